package mint

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var compareSecrets = cmp.Comparer(func(a, b secret.Value) bool { return a.Equal(b) })

// privateKey is one RSA key for all tests, in PEM.
var privateKey = sync.OnceValues(func() (*rsa.PrivateKey, string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
})

func refreshing() *v1alpha1.UpstreamSecret {
	up := &v1alpha1.UpstreamSecret{}
	up.UID = "up-1"
	up.Spec.Endpoints = []v1alpha1.Endpoint{{Name: "api", URL: "https://api.example"}}
	up.Spec.Source.OAuth2 = &v1alpha1.OAuth2{
		Grant: v1alpha1.GrantRefreshToken, TokenURL: "https://login.example/token", ClientID: "the client",
		ClientSecretRef: &v1alpha1.KeyReference{Name: "client", Key: "secret"},
		RefreshTokenRef: &v1alpha1.KeyReference{Name: "client", Key: "refresh"},
		Scopes:          []string{"b", "a"}, Audience: "https://api.example",
	}
	return up
}

func client() *v1alpha1.UpstreamSecret {
	up := refreshing()
	up.Spec.Source.OAuth2.Grant, up.Spec.Source.OAuth2.RefreshTokenRef = v1alpha1.GrantClientCredentials, nil
	return up
}

func app() *v1alpha1.UpstreamSecret {
	up := refreshing()
	up.Spec.Endpoints = append(up.Spec.Endpoints, v1alpha1.Endpoint{Name: "rest", URL: "https://ghe.example/api/v3", Profile: "github-rest"})
	up.Spec.Source = v1alpha1.Source{GitHubApp: &v1alpha1.GitHubApp{
		AppID: 7, InstallationID: 8, PrivateKeyRef: v1alpha1.KeyReference{Name: "app", Key: "pem"},
		Repositories: []string{"docs", "web"}, Permissions: map[string]v1alpha1.GitHubPermission{"contents": "write", "issues": "read"},
	}}
	return up
}

func jobOf(t testing.TB, up *v1alpha1.UpstreamSecret, texts ...string) *Job {
	t.Helper()
	var keys []secret.Value
	for _, text := range texts {
		keys = append(keys, secret.New(text))
	}
	j, err := NewJob(up, keys)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// held is what a success for j at noon leaves, good for an hour.
func held(j *Job) Held {
	return Held{}.Take(j, Answer{Token: secret.New("access-1"), Refresh: secret.New("refresh-2"), Expires: noon.Add(time.Hour)}, noon)
}

// TestDue changes one thing about a token of one hour that was minted at noon.
func TestDue(t *testing.T) {
	j := jobOf(t, refreshing(), "s", "r")
	for name, tc := range map[string]struct {
		why    string
		held   func(*Held)
		job    *Job
		tries  Tries
		now    time.Duration // after noon
		lo, hi time.Duration // when it is due; negative: at once
		serves bool
	}{
		"fresh":          {why: "half of its life is left", lo: 30 * time.Minute, hi: 40 * time.Minute, serves: true},
		"late":           {why: "the time is the same whenever one asks", now: 39 * time.Minute, lo: 30 * time.Minute, hi: 40 * time.Minute, serves: true},
		"expired":        {why: "nothing is served", now: time.Hour, lo: -1, hi: -1},
		"nothing":        {why: "there is none", held: func(h *Held) { *h = Held{} }, lo: -1, hi: -1},
		"other keys":     {why: "the next is minted with them, and the old one serves until then", job: jobOf(t, refreshing(), "s2", "r"), lo: -1, hi: -1, serves: true},
		"other spec":     {why: "the token may do more than the spec allows", held: func(h *Held) { h.Spec = "x" }, lo: -1, hi: -1},
		"from tomorrow":  {why: "a clock that was ahead stored it: it may have expired long ago", held: func(h *Held) { h.Minted, h.Expires = noon.Add(24*time.Hour), noon.Add(25*time.Hour) }, lo: -1, hi: -1},
		"a little ahead": {why: "clocks of replicas differ", now: -time.Minute, lo: 30 * time.Minute, hi: 40 * time.Minute, serves: true},
		"short life":     {why: "an endpoint is not hammered", held: func(h *Held) { h.Expires = noon.Add(2 * time.Second) }, lo: atMostEvery, hi: atMostEvery, serves: true},
		"failed once":    {why: "a little later", now: 50 * time.Minute, tries: Tries{j.Want(), 1, noon.Add(50 * time.Minute)}, lo: 50*time.Minute + 5*time.Second, hi: 50*time.Minute + 7*time.Second, serves: true},
		"failed often":   {why: "the wait is bounded", now: 50 * time.Minute, tries: Tries{j.Want(), 99, noon.Add(50 * time.Minute)}, lo: 55 * time.Minute, hi: 57 * time.Minute, serves: true},
		"failed before":  {why: "an edit is tried soon", job: jobOf(t, refreshing(), "s2", "r"), tries: Tries{j.Want(), 99, noon}, lo: atMostEvery, hi: atMostEvery, serves: true},
		"failed later":   {why: "a clock that was ahead stops nothing", now: time.Hour, tries: Tries{j.Want(), 99, noon.Add(24 * time.Hour)}, lo: -1, hi: -1},
	} {
		t.Run(name, func(t *testing.T) {
			h, job, now := held(j), j, noon.Add(tc.now)
			if tc.held != nil {
				tc.held(&h)
			}
			if tc.job != nil {
				job = tc.job
			}
			if got := h.Serves(job.Want(), now); got != tc.serves {
				t.Errorf("serves %v: %s", got, tc.why)
			}
			due := h.Due(job, tc.tries, now)
			if tc.lo < 0 {
				if due.After(now) {
					t.Errorf("due at %s, want at once: %s", due, tc.why)
				}
			} else if due.Before(noon.Add(tc.lo)) || due.After(noon.Add(tc.hi)) {
				t.Errorf("due %s after noon, want %s to %s: %s", due.Sub(noon), tc.lo, tc.hi, tc.why)
			}
		})
	}
}

func TestTriesDouble(t *testing.T) {
	j := jobOf(t, client(), "s")
	var tries Tries
	last := time.Duration(0)
	for range 6 {
		tries = tries.Failed(j.Want(), noon)
		wait := (&Held{}).Due(j, tries, noon).Sub(noon)
		if wait <= last {
			t.Errorf("after %d failures the wait is %s, not more than %s", tries.Count, wait, last)
		}
		last = wait
	}
	if other := tries.Failed(jobOf(t, client(), "t").Want(), noon); other.Count != 1 {
		t.Errorf("another key has %d failures", other.Count)
	}
}

// TestWant holds which edits mint anew.
func TestWant(t *testing.T) {
	first := jobOf(t, refreshing(), "s", "r").Want()
	appFirst := jobOf(t, app(), pemText()).Want()
	edit := func(f func(*v1alpha1.OAuth2)) Want {
		up := refreshing()
		f(up.Spec.Source.OAuth2)
		return jobOf(t, up, "s", "r").Want()
	}
	editApp := func(f func(*v1alpha1.UpstreamSecret)) Want {
		up := app()
		f(up)
		return jobOf(t, up, pemText()).Want()
	}
	for name, tc := range map[string]struct {
		why                string
		a, b               Want
		spec, keys, family bool // equal
	}{
		"again":           {"nothing", first, edit(func(*v1alpha1.OAuth2) {}), true, true, true},
		"order of scopes": {"a set", first, edit(func(o *v1alpha1.OAuth2) { o.Scopes = []string{"a", "b"} }), true, true, true},
		"another Secret":  {"of the same text", first, edit(func(o *v1alpha1.OAuth2) { o.ClientSecretRef.Name = "other" }), true, true, true},
		"scope":           {"the family goes on", first, edit(func(o *v1alpha1.OAuth2) { o.Scopes = []string{"a"} }), false, true, true},
		"audience":        {"another token", first, edit(func(o *v1alpha1.OAuth2) { o.Audience = "x" }), false, true, true},
		"client":          {"tokens are bound to it", first, edit(func(o *v1alpha1.OAuth2) { o.ClientID = "x" }), false, true, false},
		"path":            {"the same server", first, edit(func(o *v1alpha1.OAuth2) { o.TokenURL = "https://login.example:443/v2" }), false, true, true},
		"server":          {"a refresh token goes to nobody else", first, edit(func(o *v1alpha1.OAuth2) { o.TokenURL = "https://evil.example/token" }), false, true, false},
		"client's secret": {"rotated", first, jobOf(t, refreshing(), "s2", "r").Want(), true, false, true},
		"refresh token":   {"access was given again", first, jobOf(t, refreshing(), "s", "r2").Want(), true, false, false},
		"swapped":         {"texts do not run together", jobOf(t, refreshing(), "a", "bc").Want(), jobOf(t, refreshing(), "ab", "c").Want(), true, false, false},
		"repositories":    {"fewer", appFirst, editApp(func(u *v1alpha1.UpstreamSecret) { u.Spec.Source.GitHubApp.Repositories = []string{"web"} }), false, true, true},
		"order of repos":  {"a set", appFirst, editApp(func(u *v1alpha1.UpstreamSecret) { u.Spec.Source.GitHubApp.Repositories = []string{"web", "docs"} }), true, true, true},
		"permissions":     {"fewer", appFirst, editApp(func(u *v1alpha1.UpstreamSecret) { u.Spec.Source.GitHubApp.Permissions["contents"] = "read" }), false, true, true},
		"API":             {"another GitHub", appFirst, editApp(func(u *v1alpha1.UpstreamSecret) { u.Spec.Endpoints[1].URL = "https://api.github.com" }), false, true, true},
	} {
		got := [3]bool{tc.a.Spec == tc.b.Spec, tc.a.Keys == tc.b.Keys, tc.a.Family == tc.b.Family}
		if want := [3]bool{tc.spec, tc.keys, tc.family}; got != want {
			t.Errorf("%s: spec, keys, family equal %v, want %v: %s", name, got, want, tc.why)
		}
	}
}

func pemText() string { _, text := privateKey(); return text }

// TestRefreshTokenIsKept holds that the newest refresh token of a family is
// what is used, and what an answer without a usable token leaves.
func TestRefreshTokenIsKept(t *testing.T) {
	j := jobOf(t, refreshing(), "s", "r")
	h := Held{}
	if got := h.RefreshToken(j).Reveal(); got != "r" {
		t.Errorf("first: %q", got)
	}
	h = held(j)
	if got := h.RefreshToken(j).Reveal(); got != "refresh-2" {
		t.Errorf("rotated: %q", got)
	}
	bad := h.Take(j, Answer{Refresh: secret.New("refresh-3")}, noon.Add(time.Minute))
	if bad.RefreshToken(j).Reveal() != "refresh-3" || bad.Token.Reveal() != "access-1" || !bad.Expires.Equal(h.Expires) {
		t.Error("an answer whose token is not used loses the refresh token, or takes the token with it")
	}
	none := h.Take(j, Answer{Token: secret.New("access-2"), Expires: noon.Add(2 * time.Hour)}, noon)
	if none.RefreshToken(j).Reveal() != "refresh-2" {
		t.Error("an endpoint that does not rotate loses the refresh token")
	}
	again := jobOf(t, refreshing(), "s", "given again")
	if got := h.RefreshToken(again).Reveal(); got != "given again" {
		t.Errorf("access given again: %q", got)
	}
	up := refreshing()
	up.Spec.Source.OAuth2.TokenURL = "https://evil.example/token"
	if got := h.RefreshToken(jobOf(t, up, "s", "r")).Reveal(); got != "r" {
		t.Errorf("another server is sent %q", got)
	}
	if got := held(jobOf(t, client(), "s")); !got.Refresh.IsZero() {
		t.Error("client credentials keep a refresh token")
	}
}

func TestEncodeDecode(t *testing.T) {
	h := held(jobOf(t, refreshing(), "s", "r"))
	h.InBody = true
	data := h.Encode()
	read := func(key string) ([]byte, bool) { b, ok := data[key]; return b, ok }
	if diff := cmp.Diff(h, Decode(read), compareSecrets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for key, value := range map[string]string{keyExpires: "tomorrow", keyMinted: "", keyToken: "two\nlines"} {
		good := data[key]
		data[key] = []byte(value)
		if got := Decode(read); !got.Token.IsZero() || got.Refresh.Reveal() != "refresh-2" {
			t.Errorf("%s %q: the token is served, or the refresh token lost", key, value)
		}
		data[key] = good
	}
	data = nil
	if got := Decode(read); !got.Token.IsZero() || !got.Refresh.IsZero() {
		t.Error("an empty Secret holds something")
	}
}

func TestClaim(t *testing.T) {
	c := Claim{"pod@1", noon}
	if got := ParseClaim(c.String()); got != c {
		t.Errorf("got %v", got)
	}
	for name, tc := range map[string]struct {
		why  string
		text string
		now  time.Time
		busy bool
	}{
		"another's":  {"two that ask would make the provider withdraw both", c.String(), noon.Add(time.Second), true},
		"old":        {"whoever claimed is gone", c.String(), noon.Add(claimFor), false},
		"own":        {"we know how it ended", "me@2026-05-01T12:00:00Z", noon.Add(time.Second), false},
		"none":       {"nobody asks", "", noon, false},
		"unreadable": {"nothing is claimed by that", "pod@noon", noon, false},
		"tomorrow's": {"a clock that was ahead stops nothing", Claim{"pod", noon.Add(time.Hour)}.String(), noon, false},
	} {
		if got := ParseClaim(tc.text).Until("me", tc.now); got.IsZero() == tc.busy {
			t.Errorf("%s: until %s: %s", name, got, tc.why)
		}
	}
}

func TestNothingIsPrinted(t *testing.T) {
	j := jobOf(t, refreshing(), "canary-1", "canary-2")
	h := Held{}.Take(j, Answer{Token: secret.New("canary-3"), Refresh: secret.New("canary-4"), Expires: noon}, noon)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{j, *j, h, &h, Answer{Token: secret.New("canary-5")}} {
			if printed := fmt.Sprintf(verb, value); strings.Contains(printed, "canary") || strings.Contains(printed, "63616e617279") {
				t.Errorf("%s prints %T: %s", verb, value, printed)
			}
		}
	}
}
