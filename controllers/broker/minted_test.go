package broker

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	minting "github.com/sallyport-dev/sallyport/internal/mint"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// What tokens are minted from, and must never leave the operator.
const (
	canaryClient  = "canary-client-secret"
	canaryRefresh = "canary-first-refresh-token"
	canaryRotated = "canary-rotated-refresh-token"
)

// mintedWorld is a world whose UpstreamSecret gets its tokens by a refresh
// token.
func mintedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "client"},
		StringData: map[string]string{"secret": canaryClient, "refresh": canaryRefresh},
	})
	w.editUpstream(func(s *v1alpha1.UpstreamSecretSpec) {
		s.Source = v1alpha1.Source{OAuth2: &v1alpha1.OAuth2{
			Grant: v1alpha1.GrantRefreshToken, TokenURL: "https://login.example/token", ClientID: "me", Scopes: []string{"read"},
			ClientSecretRef: &v1alpha1.KeyReference{Name: "client", Key: "secret"},
			RefreshTokenRef: &v1alpha1.KeyReference{Name: "client", Key: "refresh"},
		}}
	})
	return w
}

// editUpstream changes the UpstreamSecret, and accepts it.
func (w *world) editUpstream(change func(*v1alpha1.UpstreamSecretSpec)) {
	w.t.Helper()
	up := w.getUpstream()
	change(&up.Spec)
	if err := admin.Update(w.ctx, up); err != nil {
		w.t.Fatal(err)
	}
	w.accept("notes")
}

// mint stores a token for the spec as it is, as the leader does.
func (w *world) mint(token string, life time.Duration) {
	w.t.Helper()
	up := w.getUpstream()
	job, err := minting.NewJob(up, []secret.Value{secret.New(canaryClient), secret.New(canaryRefresh)})
	if err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	h := minting.Held{}.Take(job, minting.Answer{Token: secret.New(token), Refresh: secret.New(canaryRotated), Expires: now.Add(life)}, now)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: minting.Prefix + string(up.UID)}, Data: h.Encode()}
	if _, err := clients.CoreV1().Secrets(system).Update(w.ctx, s, metav1.UpdateOptions{}); err != nil {
		w.create(s)
	}
}

// TestMintedTokensAreServed walks a minted token through its life: what the
// sidecar gets is the token, with its end, and nothing that it was minted from.
func TestMintedTokensAreServed(t *testing.T) {
	w := mintedWorld(t)
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	s.awaitDenied("notes", scope.NotReady)

	w.mint("access-1", time.Hour)
	first := s.awaitServed("notes")
	if left := time.Until(first.SecretExpires); first.Secret.Reveal() != "access-1" || left <= 0 || left > time.Hour {
		t.Errorf("the sidecar gets a secret that is not the token, or ends in %s", left)
	}
	st := s.await("a state", func(st *bundle.State) bool { return st != nil })
	text, err := bundle.Encode(st)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{canaryClient, canaryRefresh, canaryRotated, "login.example"} {
		for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
			if strings.Contains(string(text), form) {
				t.Errorf("the document holds %s", canary)
			}
		}
	}

	w.mint("access-2", time.Hour)
	s.await("the next token", func(st *bundle.State) bool {
		c := find(st, "notes")
		return c != nil && c.Secret.Reveal() == "access-2" && c.SecretVersion != first.SecretVersion
	})

	// A token of another spec may do more than this one says.
	w.editUpstream(func(s *v1alpha1.UpstreamSecretSpec) { s.Source.OAuth2.Scopes = []string{"less"} })
	s.awaitDenied("notes", scope.NotReady)
	w.mint("access-3", time.Hour)
	s.awaitServed("notes")

	// Nobody tells of the end of a token.
	w.mint("access-4", 3*time.Second)
	s.awaitDenied("notes", scope.NotReady)
	w.mint("access-5", time.Hour)
	s.awaitServed("notes")
}

// TestMintedTokensAreWithdrawn holds that to take away what a token was minted
// from takes the token away, though it is good still.
func TestMintedTokensAreWithdrawn(t *testing.T) {
	w := mintedWorld(t)
	w.mint("access-1", time.Hour)
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	uid := s.awaitServed("notes").UID
	if err := clients.CoreV1().Secrets(w.platform).Delete(w.ctx, "client", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitDenied("notes", scope.NotReady)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.revoked, uid+":NotReady") {
		t.Errorf("revoked: %v", s.revoked)
	}
}
