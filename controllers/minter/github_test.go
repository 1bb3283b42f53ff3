package minter

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
)

// gitHub is what GitHub's API does about installation tokens. It verifies the
// app's signature by hand.
type gitHub struct {
	server *httptest.Server
	key    *rsa.PrivateKey
	now    func() time.Time

	mu    sync.Mutex
	asked int
	last  string // the lists that were asked for
	// given is put over the permissions that were asked for.
	given map[string]string
}

func newGitHub(t *testing.T, now func() time.Time) *gitHub {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &gitHub{key: key, now: now, given: map[string]string{"metadata": "read"}}
	g.server = httptest.NewTLSServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.server.Close)
	return g
}

func (g *gitHub) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(g.key)}))
}

func (g *gitHub) gives(name, level string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.given[name] = level
}

// signed verifies an assertion as GitHub's documentation says.
func (g *gitHub) signed(header string) error {
	parts := strings.Split(strings.TrimPrefix(header, "Bearer "), ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	if err := rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	now := g.now().Unix()
	if claims.Iss != "7" || claims.Iat > now || claims.Exp <= now || claims.Exp > now+600 {
		return fmt.Errorf("claims %+v", claims)
	}
	return nil
}

func (g *gitHub) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	var asked struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/app/installations/8/access_tokens":
		w.WriteHeader(http.StatusNotFound)
		return
	case g.signed(r.Header.Get("Authorization")) != nil:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case json.NewDecoder(r.Body).Decode(&asked) != nil || len(asked.Repositories) == 0 || len(asked.Permissions) == 0:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	g.last = fmt.Sprint(asked.Repositories, asked.Permissions)
	for name, level := range g.given {
		asked.Permissions[name] = level
	}
	var repositories []map[string]any
	for i, name := range asked.Repositories {
		repositories = append(repositories, map[string]any{"id": i, "name": name, "full_name": "acme/" + name})
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": fmt.Sprintf("ghs_canary%d", g.asked), "expires_at": g.now().Add(time.Hour).UTC().Format(time.RFC3339),
		"permissions": asked.Permissions, "repository_selection": "selected", "repositories": repositories,
	})
}

func TestGitHubApp(t *testing.T) {
	var w *world
	g := newGitHub(t, func() time.Time { return w.clock.now() })
	w = newWorld(t, leadingTo(g.server.Listener.Addr().String(), g.server.Certificate()))
	w.secret("app", map[string]string{"pem": g.pem()})
	w.upstream(v1alpha1.Source{GitHubApp: &v1alpha1.GitHubApp{
		AppID: 7, InstallationID: 8, PrivateKeyRef: *ref("app", "pem"),
		Repositories: []string{"docs"}, Permissions: map[string]v1alpha1.GitHubPermission{"contents": "read"},
	}})
	r := w.run()
	first := w.minted("")
	w.awaitReady("True/Accepted")
	asked := func() int { g.mu.Lock(); defer g.mu.Unlock(); return g.asked }
	w.quiet(asked)
	w.clock.advance(45 * time.Minute)
	second := w.minted(first)

	// Fewer permissions: the token that has more is not used any more.
	w.edit(func(s *v1alpha1.UpstreamSecretSpec) {
		s.Source.GitHubApp.Permissions = map[string]v1alpha1.GitHubPermission{"issues": "read"}
	})
	w.clock.advance(time.Minute)
	third := w.minted(second)
	w.awaitReady("True/Accepted")

	// A token that may do more than was asked for is not stored.
	g.gives("contents", "write")
	w.clock.advance(45 * time.Minute)
	if says := w.awaitReady("False/AnswerRefused"); !strings.Contains(says, "spec.source.githubApp: the token that came is not used") || !strings.Contains(says, "used until it expires") {
		t.Errorf("it says %q", says)
	}
	if key, err := r.source.Key(w.get()); err != nil || key.Value.Reveal() != third {
		t.Errorf("the token before: %v", err)
	}

	w.edit(func(s *v1alpha1.UpstreamSecretSpec) { s.Source.GitHubApp.InstallationID = 9 })
	w.clock.advance(10 * time.Minute)
	if says := w.awaitReady("False/Invalid"); !strings.Contains(says, "spec.source.githubApp.installationID") || !strings.Contains(says, "every request is refused") {
		t.Errorf("it says %q", says)
	}
	w.secret("app", map[string]string{"pem": "canary-no-key"})
	if says := w.awaitReady("False/Invalid"); !strings.Contains(says, "spec.source.githubApp") {
		t.Errorf("it says %q", says)
	}
	w.clean("canary", "PRIVATE KEY", strings.Split(g.pem(), "\n")[1])
}

// TestNarrowedToScopes has the token follow what the scopes need that are in
// force, and the one before served until the next one is there.
func TestNarrowedToScopes(t *testing.T) {
	var w *world
	g := newGitHub(t, func() time.Time { return w.clock.now() })
	w = newWorld(t, leadingTo(g.server.Listener.Addr().String(), g.server.Certificate()))
	w.secret("app", map[string]string{"pem": g.pem()})
	w.upstream(v1alpha1.Source{GitHubApp: &v1alpha1.GitHubApp{
		AppID: 7, InstallationID: 8, PrivateKeyRef: *ref("app", "pem"), Repositories: []string{"docs", "web"},
		Permissions: map[string]v1alpha1.GitHubPermission{"contents": "write", "issues": "write", "statuses": "write"},
	}})
	r := w.run()
	asked := func() string { g.mu.Lock(); defer g.mu.Unlock(); return g.last }
	token := w.minted("")
	const all = "[docs web] map[contents:write issues:write statuses:write]"
	if got := asked(); got != all {
		t.Errorf("without a scope it was asked for %s", got)
	}
	next := func(what, want string) {
		t.Helper()
		w.clock.advance(time.Minute) // GitHub is not asked at once again
		token = w.minted(token)
		if got := asked(); got != want {
			t.Errorf("%s: asked for %s, want %s", what, got, want)
		}
	}
	reader := w.credential("reader", "GET", "/repos/acme/docs/issues")
	w.quiet(func() int { g.mu.Lock(); defer g.mu.Unlock(); return g.asked }) // it is not accepted
	w.accept(reader)
	next("one reads issues", "[docs] map[issues:read]")
	w.accept(w.credential("writer", "PUT", "/repos/acme/web/contents/notes"))
	next("another writes files", "[docs web] map[contents:write issues:read]")
	if err := admin.Delete(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	next("the first is gone", "[web] map[contents:write]")
	brief := w.credential("brief", "GET", "/repos/acme/docs/statuses/main", func(sc *v1alpha1.ScopedCredential) {
		sc.Spec.ExpiresAt = &metav1.Time{Time: w.clock.now().Add(10 * time.Minute)}
	})
	w.accept(brief)
	next("one is here for a while", "[docs web] map[contents:write statuses:read]")
	w.clock.advance(10 * time.Minute)
	next("its time is over", "[web] map[contents:write]")

	// GitHub is away: what it gave is used on.
	w.accept(w.credential("other", "GET", "/repos/acme/docs/labels"))
	g.server.CloseClientConnections()
	g.server.Close()
	w.clock.advance(time.Minute)
	w.awaitReady("False/UpstreamUnreachable")
	if key, err := r.source.Key(w.get()); err != nil || key.Value.Reveal() != token {
		t.Errorf("the token before: %v", err)
	}
}

// credential creates a ScopedCredential of up that allows this alone.
func (w *world) credential(name string, method v1alpha1.Method, path string, change ...func(*v1alpha1.ScopedCredential)) *v1alpha1.ScopedCredential {
	w.t.Helper()
	sc := &v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: name},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "up"}, Holders: v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants: []v1alpha1.Grant{{Name: "it", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{method}, Paths: []string{path}}}},
		},
	}
	for _, do := range change {
		do(sc)
	}
	w.create(sc)
	return sc
}

// accept puts sc in force, as its reconciler does.
func (w *world) accept(sc *v1alpha1.ScopedCredential) {
	w.t.Helper()
	records := record.Writer{Client: admin, Meta: admin, Namespace: system}
	if _, err := records.Accept(context.Background(), record.ScopedCredential, sc, &sc.Spec); err != nil {
		w.t.Fatal(err)
	}
}
