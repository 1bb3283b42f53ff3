package rotation

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/test/oauth"
)

// tokenLife is that of the provider's tokens: the next one is minted when half of
// it to two thirds are over, and what is left is for a busy machine.
const tokenLife = 30 * time.Second

// nextSecret is what the provider gives its client in place of the first one.
const nextSecret = "canary-next-client-secret"

// resource is an upstream that takes the provider's tokens alone, each until it
// ends, and tells whoever asks what it was shown.
type resource struct {
	mu    sync.Mutex
	shown []string // in the order in which they came first
	asked int
}

func (r *resource) answer(rw http.ResponseWriter, req *http.Request) {
	shown := req.Header.Get("Authorization")
	token := strings.TrimPrefix(shown, "Bearer ")
	r.mu.Lock()
	r.asked++
	if !slices.Contains(r.shown, token) {
		r.shown = append(r.shown, token)
	}
	r.mu.Unlock()
	if !provider.Good(token) {
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	rw.Header().Set("X-Shown", shown)
	_, _ = fmt.Fprintf(rw, "%s\n%s\n", shown, base64.StdEncoding.EncodeToString([]byte(token))) // the agent may be gone
}

// tokens are those that it was shown, and asked is how often it was asked.
func (r *resource) tokens() (shown []string, asked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.shown), r.asked
}

// leaks tells whether a text has a token of the provider or a secret of its
// client in it.
func leaks(text string) bool {
	return slices.ContainsFunc(append(provider.Given(), oauth.ServiceSecret, nextSecret), func(secret string) bool {
		return strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret)))
	})
}

// leaking counts the files of the agent, and those that leak.
func (w *world) leaking() (leaking, files int) {
	w.t.Helper()
	dir := os.DirFS(w.sidecar.AgentDir())
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		if files++; leaks(string(text)) {
			leaking++
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return leaking, files
}

// TestMintedTokens takes the tokens of a real provider to an upstream, across a
// refresh: no request fails, and the agent sees no token, nor what they are
// minted from. Where the provider says no, the last token is used until it ends,
// then every request is refused, until the client has a secret that is taken.
func TestMintedTokens(t *testing.T) {
	provider.Reissue(oauth.ServiceSecret)
	r, w, leaked := &resource{}, &world{t: t}, atomic.Int64{}
	w.look = func(answer string) {
		if leaks(answer) {
			leaked.Add(1)
		}
	}
	w.begin(r.answer, oauth.ServiceSecret, v1alpha1.Source{OAuth2: &v1alpha1.OAuth2{
		Grant: v1alpha1.GrantClientCredentials, TokenURL: oauth.TokenURL, ClientID: oauth.ServiceClient, Scopes: []string{"read"},
		ClientSecretRef: &v1alpha1.KeyReference{Name: "key", Key: "token"},
	}})
	up := &v1alpha1.UpstreamSecret{ObjectMeta: w.named("upstream")}
	t.Cleanup(func() { _ = client.IgnoreNotFound(api.Delete(context.Background(), up.DeepCopy())) }) // or it is minted for ever
	ready := func(status metav1.ConditionStatus, reason, message string) {
		t.Helper()
		w.condition(v1alpha1.ConditionReady, up, &up.Status.Conditions, status, reason, message)
	}

	stop := w.load()
	w.await("the upstream is shown a second token", func() bool { shown, _ := r.tokens(); return len(shown) == 2 })
	if failed, total := stop(); failed > 0 || total == 0 {
		t.Errorf("%d of %d requests failed while the token was replaced", failed, total)
	}

	provider.Reissue(nextSecret)
	ready(metav1.ConditionFalse, v1alpha1.ReasonInvalid, "the token before is used until it expires")
	if status := w.get("/notes", w.sidecar.Handle); status != http.StatusOK {
		t.Errorf("while the token is good a request is answered %d", status)
	}
	w.await("requests are refused", func() bool { return w.get("/notes", w.sidecar.Handle) != http.StatusOK })
	_, before := r.tokens()
	for range 20 {
		status, answer := w.fetch("/notes", w.sidecar.Handle)
		if status != http.StatusServiceUnavailable || !strings.Contains(answer, `"reason":"NotReady"`) {
			t.Errorf("without a token a request is answered %s", answer)
		}
	}
	if _, after := r.tokens(); after != before {
		t.Errorf("%d later requests came to the upstream", after-before)
	}
	ready(metav1.ConditionFalse, v1alpha1.ReasonInvalid, "spec.source.oauth2.clientSecretRef: ")
	ready(metav1.ConditionFalse, v1alpha1.ReasonInvalid, "every request is refused")

	w.setKey(nextSecret)
	w.await("requests are served again", func() bool { return w.get("/notes", w.sidecar.Handle) == http.StatusOK })
	ready(metav1.ConditionTrue, v1alpha1.ReasonAccepted, "")

	shown, _ := r.tokens()
	if given := provider.Given(); len(shown) < 3 || !slices.IsSortedFunc(shown, func(a, b string) int {
		return slices.Index(given, a) - slices.Index(given, b)
	}) || !slices.Contains(given, shown[0]) {
		t.Errorf("the provider gave %q, the upstream was shown %q", given, shown)
	}
	if n := leaked.Load(); n > 0 {
		t.Errorf("%d answers show the agent a token or the client's secret", n)
	}
	if n, files := w.leaking(); n > 0 || files == 0 {
		t.Errorf("%d of %d files of the agent hold a token or the client's secret", n, files)
	}
}
