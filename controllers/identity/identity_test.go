package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

const issuer = "https://kubernetes.default.svc"

// fake answers every review alike.
type fake struct {
	status authenticationv1.TokenReviewStatus
	err    error
	asked  []authenticationv1.TokenReviewSpec
}

func (f *fake) Create(_ context.Context, r *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	f.asked = append(f.asked, r.Spec)
	return &authenticationv1.TokenReview{Status: f.status}, f.err
}

func jwt(payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(payload)) + "." + b64([]byte("signature"))
}

func payload(iss, aud string, expires time.Time) string {
	return fmt.Sprintf(`{"iss":%q,"aud":%s,"exp":%d}`, iss, aud, expires.Unix())
}

var good = jwt(payload(issuer, `["broker.sallyport.dev"]`, start.Add(10*time.Minute)))

func status() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"broker.sallyport.dev"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:agents:notes",
			Extra: map[string]authenticationv1.ExtraValue{
				extraPodName: {"notes-0"}, extraPodUID: {"uid-1"}, extraNodeName: {"node-1"},
			},
		},
	}
}

func TestIdentify(t *testing.T) {
	f := &fake{status: status()}
	r := New(f, issuer, func() time.Time { return start })
	got, err := r.Identify(context.Background(), good)
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{
		Pod: types.NamespacedName{Namespace: "agents", Name: "notes-0"}, UID: "uid-1",
		ServiceAccount: "notes", Node: "node-1", Expires: start.Add(10 * time.Minute),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]authenticationv1.TokenReviewSpec{{Token: good, Audiences: []string{"broker.sallyport.dev"}}}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestPrecheckRefuses(t *testing.T) {
	later := start.Add(time.Hour)
	for name, tc := range map[string]struct{ why, token string }{
		"empty":            {"no token", ""},
		"no JWT":           {"shape", "a.b"},
		"not base64":       {"shape", "!.!.!"},
		"no JSON":          {"shape", jwt("hello")},
		"unsigned":         {"shape", strings.TrimSuffix(good, "c2lnbmF0dXJl")},
		"oversized":        {"bounded", good + strings.Repeat("A", maxToken)},
		"other issuer":     {"not this cluster", jwt(payload("https://evil", `["broker.sallyport.dev"]`, later))},
		"API audience":     {"the pod's own API token", jwt(payload(issuer, `["https://kubernetes.default.svc"]`, later))},
		"two audiences":    {"good elsewhere, too", jwt(payload(issuer, `["broker.sallyport.dev","vault"]`, later))},
		"no audience":      {"empty never means all", jwt(payload(issuer, `[]`, later))},
		"audience missing": {"empty never means all", jwt(fmt.Sprintf(`{"iss":%q,"exp":%d}`, issuer, later.Unix()))},
		"expired":          {"over", jwt(payload(issuer, `["broker.sallyport.dev"]`, start))},
		"never expires":    {"legacy tokens have no exp", jwt(fmt.Sprintf(`{"iss":%q,"aud":["broker.sallyport.dev"]}`, issuer))},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: status()}
			r := New(f, issuer, func() time.Time { return start })
			if _, err := r.Identify(context.Background(), tc.token); !errors.Is(err, ErrRefused) {
				t.Errorf("err = %v, want ErrRefused: %s", err, tc.why)
			}
			if len(f.asked) > 0 {
				t.Error("the API server was asked")
			}
		})
	}
}

func TestReviewRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		why  string
		edit func(*authenticationv1.TokenReviewStatus)
	}{
		"not authenticated": {"forged, or the pod is gone", func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }},
		"no audience":       {"a server that knows no audiences", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }},
		"another audience":  {"vouched for elsewhere", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"vault"} }},
		"more audiences":    {"exactly one", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = append(s.Audiences, "vault") }},
		"a user":            {"no service account", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "alice" }},
		"half an account":   {"no name", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:agents:" }},
		"unbound":           {"minted with create serviceaccounts/token", func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }},
		"bound to a node":   {"not to a pod", func(s *authenticationv1.TokenReviewStatus) { delete(s.User.Extra, extraPodUID) }},
		"two pods":          {"which one", func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[extraPodUID] = []string{"a", "b"} }},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: status()}
			tc.edit(&f.status)
			r := New(f, issuer, func() time.Time { return start })
			if _, err := r.Identify(context.Background(), good); !errors.Is(err, ErrRefused) {
				t.Errorf("err = %v, want ErrRefused: %s", err, tc.why)
			}
		})
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	now := start
	f := &fake{status: status()}
	r := New(f, issuer, func() time.Time { return now })
	ask := func() error { _, err := r.Identify(context.Background(), good); return err }
	count := func(want int, why string) {
		t.Helper()
		if len(f.asked) != want {
			t.Errorf("asked %d times, want %d: %s", len(f.asked), want, why)
		}
	}
	_ = ask()
	now = start.Add(yesLasts - 1)
	_ = ask()
	count(1, "a yes lasts a minute")
	now = start.Add(yesLasts)
	f.status.Authenticated = false
	if err := ask(); !errors.Is(err, ErrRefused) {
		t.Errorf("err = %v after the yes is over", err)
	}
	f.status.Authenticated = true
	_ = ask()
	count(2, "a no lasts ten seconds")
	now = now.Add(noLasts)
	if err := ask(); err != nil {
		t.Error(err)
	}
	count(3, "then it is asked again")
	now = start.Add(10 * time.Minute)
	if err := ask(); !errors.Is(err, ErrRefused) {
		t.Errorf("err = %v for a token that has expired", err)
	}
	f.err = errors.New("connection refused")
	now = start
	other := jwt(payload(issuer, `"broker.sallyport.dev"`, start.Add(time.Minute)))
	for range 2 {
		if _, err := r.Identify(context.Background(), other); !errors.Is(err, ErrUnavailable) {
			t.Errorf("err = %v, want ErrUnavailable", err)
		}
	}
	count(5, "an API server that is away says neither yes nor no")
}

func TestFloodIsBounded(t *testing.T) {
	f := &fake{}
	r := New(f, issuer, func() time.Time { return start })
	for i := range maxAnswers + 10 {
		token := jwt(payload(issuer, `["broker.sallyport.dev"]`, start.Add(time.Duration(i+1)*time.Second)))
		if _, err := r.Identify(context.Background(), token); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
	}
	if len(r.answers) > maxAnswers {
		t.Errorf("%d answers are remembered, at most %d may be", len(r.answers), maxAnswers)
	}
}

// TestKnown holds what tells old friends from strangers: a yes until the token
// expires, and no flood of strangers makes it forgotten.
func TestKnown(t *testing.T) {
	now := start
	f := &fake{status: status()}
	r := New(f, issuer, func() time.Time { return now })
	if _, ok := r.Known(good); ok {
		t.Error("a stranger is known")
	}
	if _, err := r.Identify(context.Background(), good); err != nil {
		t.Fatal(err)
	}
	f.status.Authenticated = false
	for i := range 2 * maxAnswers {
		_, _ = r.Identify(context.Background(), jwt(payload(issuer, `"broker.sallyport.dev"`, start.Add(time.Duration(i+1)*time.Second))))
	}
	now = start.Add(10*time.Minute - 1)
	if uid, ok := r.Known(good); !ok || uid != "uid-1" {
		t.Errorf("known as %q, %v", uid, ok)
	}
	if _, err := r.Identify(context.Background(), good); !errors.Is(err, ErrRefused) {
		t.Errorf("err = %v: to be known is not to be good", err)
	}
	if _, ok := r.Known(good); ok {
		t.Error("one that the API server does not vouch for any more is known")
	}
	f.status.Authenticated, now = true, start
	fresh := jwt(payload(issuer, `"broker.sallyport.dev"`, start.Add(time.Minute)) + " ")
	if _, err := r.Identify(context.Background(), fresh); err != nil {
		t.Fatal(err)
	}
	now = start.Add(time.Minute)
	if _, ok := r.Known(fresh); ok {
		t.Error("one that has expired is known")
	}
}

func TestClaimed(t *testing.T) {
	name, uid := Claimed(jwt(`{"kubernetes.io":{"namespace":"agents","pod":{"name":"notes-0","uid":"uid-1"}}}`))
	if name != (types.NamespacedName{Namespace: "agents", Name: "notes-0"}) || uid != "uid-1" {
		t.Errorf("claims %v %q", name, uid)
	}
	for _, token := range []string{"", "x", jwt("[]"), jwt(`{"kubernetes.io":1}`), jwt("{}")} {
		if name, uid := Claimed(token); name.Name != "" || uid != "" {
			t.Errorf("%q claims %v %q", token, name, uid)
		}
	}
}

func TestIssuerOf(t *testing.T) {
	if got, err := IssuerOf(good); err != nil || got != issuer {
		t.Errorf("IssuerOf = %q, %v", got, err)
	}
	if _, err := IssuerOf(jwt("{}")); err == nil {
		t.Error("a token without an issuer has one")
	}
}
