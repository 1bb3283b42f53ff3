package minter

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
)

func ref(name, key string) *v1alpha1.KeyReference {
	return &v1alpha1.KeyReference{Name: name, Key: key}
}

func clientCredentials() v1alpha1.Source {
	return v1alpha1.Source{OAuth2: &v1alpha1.OAuth2{
		Grant: v1alpha1.GrantClientCredentials, TokenURL: tokenURL, ClientID: serviceClient,
		ClientSecretRef: ref("client", "secret"), Scopes: []string{"read"},
	}}
}

func refreshToken() v1alpha1.Source {
	return v1alpha1.Source{OAuth2: &v1alpha1.OAuth2{
		Grant: v1alpha1.GrantRefreshToken, TokenURL: tokenURL, ClientID: webClient,
		ClientSecretRef: ref("client", "secret"), RefreshTokenRef: ref("client", "refresh"),
	}}
}

// minted waits for a token that is not before.
func (w *world) minted(before string) string {
	w.t.Helper()
	w.await("a token", func() bool {
		h := w.held()
		return !h.Token.IsZero() && h.Token.Reveal() != before
	})
	return w.held().Token.Reveal()
}

func TestClientCredentials(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret + "\n"})
	w.upstream(clientCredentials())
	r := w.run()
	first := w.minted("")
	w.awaitReady("True/Accepted")
	if first != p.last() {
		t.Error("what is stored is not what was given")
	}
	asked := func() int { n, _ := p.Count(); return n }
	if n := asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	w.quiet(asked)
	version := w.get().Status.SecretVersion
	if version == "" {
		t.Error("the status names no version")
	}

	w.clock.advance(2 * time.Minute) // of five
	w.quiet(asked)
	w.clock.advance(90 * time.Second)
	if second := w.minted(first); second != p.last() {
		t.Error("what is stored is not what was given")
	}
	w.quiet(asked)
	if got := w.get().Status.SecretVersion; got != version {
		t.Error("the version ticks with the tokens")
	}
	if key, err := r.source.Key(w.get()); err != nil || key.Value.Reveal() != p.last() || key.Expires.IsZero() {
		t.Errorf("a replica reads %v, good until %s", err, key.Expires)
	}
	w.clean(serviceSecret, first, p.last())
}

// TestSchemas: tokens are minted for an upstream that names a schema, once the
// schema is there.
func TestSchemas(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.upstream(clientCredentials())
	w.edit(func(s *v1alpha1.UpstreamSecretSpec) {
		s.Endpoints[0].GraphQL = &v1alpha1.GraphQLEndpoint{SchemaRef: *ref("schema", "sdl")}
	})
	w.run()
	w.awaitReady("False/NotFound")
	if n, _ := p.Count(); n != 0 {
		t.Errorf("asked %d times for what is not accepted", n)
	}
	w.create(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "schema"},
		Data:       map[string]string{"sdl": "type Query { thing: String }"},
	})
	if w.minted("") != p.last() {
		t.Error("what is stored is not what was given")
	}
	w.awaitReady("True/Accepted")
}

// TestEditsMintAnew holds that a token serves the spec that it was minted for,
// and goes on serving while the next one of the same spec is minted.
func TestEditsMintAnew(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.upstream(clientCredentials())
	r := w.run()
	first := w.minted("")
	w.awaitReady("True/Accepted")

	// The endpoint is down while the spec changes: the token of the old spec is
	// not used for the new one.
	p.Answering(func(int, []byte) (int, []byte) { return 503, nil })
	w.clock.advance(time.Minute)
	w.edit(func(s *v1alpha1.UpstreamSecretSpec) { s.Source.OAuth2.Scopes = []string{"read", "write"} })
	if says := w.awaitReady("False/UpstreamUnreachable"); !strings.Contains(says, "every request is refused") {
		t.Errorf("it says %q", says)
	}
	if _, err := r.source.Key(w.get()); !errors.Is(err, sourcekey.ErrUnminted) {
		t.Errorf("the token of the old spec: %v", err)
	}
	p.Answering(nil)
	w.clock.advance(10 * time.Minute)
	second := w.minted(first)
	w.awaitReady("True/Accepted")

	// The same with a client's secret that is wrong: what was minted serves on.
	w.secret("client", map[string]string{"secret": "canary-wrong-one"})
	w.clock.advance(time.Minute)
	says := w.awaitReady("False/Invalid")
	if !strings.Contains(says, "spec.source.oauth2.clientSecretRef") || !strings.Contains(says, "used until it expires") {
		t.Errorf("it says %q", says)
	}
	if key, err := r.source.Key(w.get()); err != nil || key.Value.Reveal() != second {
		t.Errorf("the token that is still good: %v", err)
	}
	w.clock.advance(6 * time.Minute)
	w.await("the end of the token in the condition", func() bool {
		w.touch()
		return strings.Contains(w.awaitReady("False/Invalid"), "every request is refused")
	})
	if _, err := r.source.Key(w.get()); !errors.Is(err, sourcekey.ErrUnminted) {
		t.Errorf("a token that has expired: %v", err)
	}
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.clock.advance(time.Minute)
	w.minted(second)
	w.awaitReady("True/Accepted")
	w.clean("canary-wrong-one", serviceSecret, first, second)
}

// touch has the UpstreamSecret looked at.
func (w *world) touch() {
	w.t.Helper()
	up := w.get()
	before := up.DeepCopy()
	metav1.SetMetaDataAnnotation(&up.ObjectMeta, "example.com/touched", time.Now().String())
	if err := admin.Patch(context.Background(), up, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// TestFailuresBackOff counts what a provider that says no is asked.
func TestFailuresBackOff(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": "canary-wrong-one"})
	w.upstream(clientCredentials())
	w.run()
	w.awaitReady("False/Invalid")
	asked := func() int { n, _ := p.Count(); return n }
	w.quiet(asked) // the clock stands still, so there is no next attempt
	before := asked()
	for range 20 {
		w.clock.advance(30 * time.Second)
		w.settle()
	}
	// Ten minutes: 5, 10, 20, 40, 80, 160 and 300 seconds, and each attempt tries
	// both places of the client's secret.
	if n := asked() - before; n < 6 || n > 16 {
		t.Errorf("asked %d times in ten minutes", n)
	}
	w.clean("canary-wrong-one")
}

// TestReferencedSecretGone holds that to take the client's secret away takes the
// token away.
func TestReferencedSecretGone(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.upstream(clientCredentials())
	r := w.run()
	w.minted("")
	w.awaitReady("True/Accepted")
	if err := clients.CoreV1().Secrets(w.platform).Delete(t.Context(), "client", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if says := w.awaitReady("False/NotFound"); !strings.Contains(says, "spec.source.oauth2.clientSecretRef") {
		t.Errorf("it says %q", says)
	}
	if _, err := r.source.Key(w.get()); !errors.Is(err, secretwatch.ErrNotFound) {
		t.Errorf("the token is good still: %v", err)
	}
}

// TestRefreshTokensRotate walks a family through its life. The provider
// withdraws it at the first token that comes twice.
func TestRefreshTokensRotate(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	refresh := p.consent(t)
	w.secret("client", map[string]string{"secret": webSecret, "refresh": refresh})
	w.upstream(refreshToken())
	w.run()
	token := ""
	for range 4 {
		token = w.minted(token)
		if !p.takes(t, token) {
			t.Error("the provider does not take it")
		}
		w.clock.advance(4 * time.Minute)
	}
	w.awaitReady("True/Accepted")

	// An answer whose token is not used rotates all the same.
	p.Answering(func(status int, body []byte) (int, []byte) {
		return status, bytes.Replace(body, []byte(`"token_type":"Bearer"`), []byte(`"token_type":"MAC"`), 1)
	})
	held := w.held()
	w.clock.advance(4 * time.Minute)
	w.awaitReady("False/AnswerRefused")
	if now := w.held(); now.Refresh.Equal(held.Refresh) || !now.Token.Equal(held.Token) {
		t.Error("the refresh token of an answer that is not used is lost, or its token is used")
	}
	p.Answering(nil)
	w.clock.advance(10 * time.Minute)
	token = w.minted(held.Token.Reveal())
	if !p.takes(t, token) {
		t.Error("the provider does not take it")
	}
	if _, reused := p.Count(); reused != 0 {
		t.Errorf("%d refresh tokens were used twice", reused)
	}

	// Once somebody else has used it, access has to be given again.
	newest := w.held().Refresh.Reveal()
	if _, _, _, err := p.CreateAccessAndRefreshTokens(t.Context(), mustRequest(t, p, newest), newest); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(4 * time.Minute)
	if says := w.awaitReady("False/Invalid"); !strings.Contains(says, "spec.source.oauth2.refreshTokenRef") {
		t.Errorf("it says %q", says)
	}
	again := p.consent(t)
	w.secret("client", map[string]string{"secret": webSecret, "refresh": again})
	w.clock.advance(10 * time.Minute)
	if token = w.minted(token); !p.takes(t, token) {
		t.Error("the provider does not take it")
	}
	w.clean(webSecret, refresh, newest, again, token, w.held().Refresh.Reveal())
}

// TestFailover holds that of two replicas one mints, and that the other one goes
// on with the family.
func TestFailover(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": webSecret, "refresh": p.consent(t)})
	w.upstream(refreshToken())
	one, two := w.run(), w.run()
	token := w.minted("")
	for range 3 {
		w.clock.advance(4 * time.Minute)
		token = w.minted(token)
	}
	leader, other := one, two
	select {
	case <-two.leads:
		leader, other = two, one
	default:
	}
	select {
	case <-other.leads:
		t.Fatal("both lead")
	default:
	}
	if asked, reused := p.Count(); asked != 4 || reused != 0 {
		t.Errorf("asked %d times, %d with a used token; want 4 and 0", asked, reused)
	}
	leader.stop()
	<-other.leads
	for range 2 {
		w.clock.advance(4 * time.Minute)
		token = w.minted(token)
	}
	if !p.takes(t, token) {
		t.Error("the provider does not take it")
	}
	if asked, reused := p.Count(); asked != 6 || reused != 0 {
		t.Errorf("asked %d times, %d with a used token; want 6 and 0", asked, reused)
	}
	if _, err := other.source.Key(w.get()); err != nil {
		t.Error(err)
	}
}
