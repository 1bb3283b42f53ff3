package mint

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// asked is a request of j as it is sent: its fields and its body.
func asked(t *testing.T, j *Job, h Held, inBody bool) (*http.Request, string) {
	t.Helper()
	req, err := j.Request(t.Context(), &h, inBody, noon)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "POST" || req.GetBody != nil {
		t.Error("it is not sent once, by POST")
	}
	return req, string(body)
}

func TestOAuth2Request(t *testing.T) {
	public := refreshing()
	public.Spec.Source.OAuth2.ClientSecretRef = nil
	bare := client()
	bare.Spec.Source.OAuth2.Scopes, bare.Spec.Source.OAuth2.Audience = nil, ""
	rotated := jobOf(t, refreshing(), "s:%+", "r")
	for name, tc := range map[string]struct {
		why    string
		j      *Job
		held   Held
		inBody bool
		basic  string
		form   url.Values
	}{
		"client": {
			"both parts are escaped before they are joined", jobOf(t, client(), "s:%+"), Held{}, false, "the+client:s%3A%25%2B",
			url.Values{"grant_type": {"client_credentials"}, "scope": {"b a"}, "audience": {"https://api.example"}},
		},
		"in the body": {
			"where the header is not taken", jobOf(t, client(), "s:%+"), Held{}, true, "",
			url.Values{"grant_type": {"client_credentials"}, "scope": {"b a"}, "audience": {"https://api.example"}, "client_id": {"the client"}, "client_secret": {"s:%+"}},
		},
		"bare": {"what is not set is not sent", jobOf(t, bare, "s"), Held{}, false, "the+client:s", url.Values{"grant_type": {"client_credentials"}}},
		"refresh": {
			"the first one", rotated, Held{}, false, "the+client:s%3A%25%2B",
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r"}, "scope": {"b a"}, "audience": {"https://api.example"}},
		},
		"rotated": {
			"the newest one", rotated, held(rotated), false, "the+client:s%3A%25%2B",
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-2"}, "scope": {"b a"}, "audience": {"https://api.example"}},
		},
		"public": {
			"a client without a secret names itself", jobOf(t, public, "r"), Held{}, false, "",
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r"}, "scope": {"b a"}, "audience": {"https://api.example"}, "client_id": {"the client"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			req, body := asked(t, tc.j, tc.held, tc.inBody)
			form, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.form, form); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			want := ""
			if tc.basic != "" {
				want = "Basic " + base64.StdEncoding.EncodeToString([]byte(tc.basic))
			}
			if got := req.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization is %q, want %q: %s", got, want, tc.why)
			}
			if req.URL.String() != "https://login.example/token" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("sent to %s as %s", req.URL, req.Header.Get("Content-Type"))
			}
		})
	}
}

// TestGitHubRequest verifies the assertion by hand, not by the library that
// made it.
func TestGitHubRequest(t *testing.T) {
	key, text := privateKey()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, pemText := range map[string]string{
		"PKCS #1": text, "PKCS #8": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	} {
		req, body := asked(t, jobOf(t, app(), pemText), Held{}, false)
		if got := req.URL.String(); got != "https://ghe.example/api/v3/app/installations/8/access_tokens" {
			t.Errorf("%s: sent to %s", name, got)
		}
		if want := `{"repositories":["docs","web"],"permissions":{"contents":"write","issues":"read"}}`; body != want {
			t.Errorf("%s: body %s, want %s", name, body, want)
		}
		parts := strings.Split(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), ".")
		if len(parts) != 3 {
			t.Fatalf("%s: no compact JWS: %d parts", name, len(parts))
		}
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var head map[string]string
		var claims struct {
			Iss      string
			Iat, Exp int64
		}
		for i, into := range []any{&head, &claims} {
			raw, _ := base64.RawURLEncoding.DecodeString(parts[i])
			if err := json.Unmarshal(raw, into); err != nil {
				t.Fatal(err)
			}
		}
		if head["alg"] != "RS256" || claims.Iss != "7" || claims.Iat >= noon.Unix() || claims.Exp <= noon.Unix() || claims.Exp-claims.Iat > 600 {
			t.Errorf("%s: head %v, claims %+v", name, head, claims)
		}
	}
}

// TestNothingMeansAllToGitHub holds that a list that is empty is never sent.
func TestNothingMeansAllToGitHub(t *testing.T) {
	for name, edit := range map[string]func(*v1alpha1.UpstreamSecret){
		"repositories": func(u *v1alpha1.UpstreamSecret) { u.Spec.Source.GitHubApp.Repositories = nil },
		"permissions":  func(u *v1alpha1.UpstreamSecret) { u.Spec.Source.GitHubApp.Permissions = nil },
		"endpoint":     func(u *v1alpha1.UpstreamSecret) { u.Spec.Endpoints = u.Spec.Endpoints[:1] },
	} {
		up := app()
		edit(up)
		if req, err := jobOf(t, up, pemText()).Request(t.Context(), &Held{}, false, noon); err == nil {
			t.Errorf("without %s %s is asked", name, req.URL)
		}
	}
}

func TestPrivateKeys(t *testing.T) {
	_, good := privateKey()
	for name, text := range map[string]string{
		"no PEM": "canary", "two": good + good, "a certificate": strings.ReplaceAll(good, "RSA PRIVATE KEY", "X")[:80],
		"not a key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("canary")})),
	} {
		j, err := NewJob(app(), []secret.Value{secret.New(text)})
		if err == nil {
			err = j.Check()
		}
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewJob(app(), nil); err == nil {
		t.Error("a job without its key")
	}
	if _, err := NewJob(&v1alpha1.UpstreamSecret{}, nil); err == nil {
		t.Error("a job of nothing")
	}
}

// answers are those of token endpoints, most of them not as they should be.
var answers = map[string]struct {
	why, media, body string
	status           int
	reason, field    string // of the failure; empty: it is taken
	refresh          string // that is kept
}{
	"good":            {"as RFC 6749 shows it", "application/json;charset=UTF-8", `{"access_token":"tok","token_type":"bearer","expires_in":600,"refresh_token":"next","x":{}}`, 200, "", "", "next"},
	"no refresh":      {"the one before stays good", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":"600"}`, 200, "", "", ""},
	"fewer scopes":    {"less was given", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":600,"scope":"a"}`, 200, "", "", ""},
	"more scopes":     {"the token may do more than the spec says", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":600,"scope":"a b admin","refresh_token":"next"}`, 200, "AnswerRefused", fieldScopes, "next"},
	"no type":         {"how it is used is not known", "application/json", `{"access_token":"tok","expires_in":600,"refresh_token":"next"}`, 200, "AnswerRefused", fieldTokenURL, "next"},
	"MAC":             {"it is not sent as it is", "application/json", `{"access_token":"tok","token_type":"mac","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"folded type":     {"not ASCII", "application/json", `{"access_token":"tok","token_type":"beareſ","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"no end":          {"one that may have expired is not sent", "application/json", `{"access_token":"tok","token_type":"Bearer","refresh_token":"next"}`, 200, "AnswerRefused", fieldTokenURL, "next"},
	"null end":        {"the same", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":null}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"ended":           {"it cannot be used", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":0}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"negative":        {"it cannot be used", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":-1}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"no token":        {"nothing to use", "application/json", `{"token_type":"Bearer","expires_in":600,"refresh_token":"next"}`, 200, "AnswerRefused", fieldTokenURL, "next"},
	"empty token":     {"nothing to use", "application/json", `{"access_token":"","token_type":"Bearer","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"line end":        {"it would end the header", "application/json", `{"access_token":"a\r\nX: y","token_type":"Bearer","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"twice":           {"two readers read it differently", "application/json", `{"access_token":"tok","access_token":"other","token_type":"Bearer","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"other case":      {"another name", "application/json", `{"Access_Token":"tok","token_type":"Bearer","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"two documents":   {"which one counts is not known", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":600}{}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"array":           {"no object", "application/json", `[]`, 200, "AnswerRefused", fieldTokenURL, ""},
	"page":            {"of a proxy, perhaps", "text/html", `{"access_token":"tok","token_type":"Bearer","expires_in":600}`, 200, "AnswerRefused", fieldTokenURL, ""},
	"form":            {"no JSON", "application/x-www-form-urlencoded", `access_token=tok&token_type=Bearer&expires_in=600`, 200, "AnswerRefused", fieldTokenURL, ""},
	"redirect":        {"a key is sent where it was said", "", ``, 307, "AnswerRefused", fieldTokenURL, ""},
	"created":         {"no answer of RFC 6749", "application/json", `{"access_token":"tok","token_type":"Bearer","expires_in":600}`, 201, "Invalid", fieldTokenURL, ""},
	"unavailable":     {"later, perhaps", "text/html", `canary`, 503, "UpstreamUnreachable", fieldTokenURL, ""},
	"too many":        {"later, perhaps", "application/json", `{}`, 429, "UpstreamUnreachable", fieldTokenURL, ""},
	"not found":       {"a wrong URL", "text/html", `canary`, 404, "Invalid", fieldTokenURL, ""},
	"invalid client":  {"the client or its secret", "application/json", `{"error":"invalid_client","error_description":"canary"}`, 401, "Invalid", fieldClientSecret, ""},
	"invalid grant":   {"the refresh token", "application/json", `{"error":"invalid_grant","error_description":"canary"}`, 400, "Invalid", fieldRefreshToken, ""},
	"invalid scope":   {"the scopes", "application/json", `{"error":"invalid_scope"}`, 400, "Invalid", fieldScopes, ""},
	"unauthorized":    {"the client", "application/json", `{"error":"unauthorized_client"}`, 400, "Invalid", fieldClientID, ""},
	"unsupported":     {"the grant", "application/json", `{"error":"unsupported_grant_type"}`, 400, "Invalid", fieldGrant, ""},
	"invalid request": {"what is left", "application/json", `{"error":"invalid_request"}`, 400, "Invalid", fieldOAuth2, ""},
	"made up":         {"nothing foreign is quoted", "application/json", `{"error":"canary"}`, 400, "Invalid", fieldTokenURL, ""},
}

func TestOAuth2Answers(t *testing.T) {
	j := jobOf(t, refreshing(), "s", "r")
	for name, tc := range answers {
		t.Run(name, func(t *testing.T) {
			a, err := j.Read(tc.status, http.Header{"Content-Type": {tc.media}}, []byte(tc.body), noon)
			if a.Refresh.Reveal() != tc.refresh {
				t.Errorf("refresh token %q is kept, want %q", a.Refresh.Reveal(), tc.refresh)
			}
			var f *Failure
			if errors.As(err, &f) {
				if f.Reason != tc.reason || f.Field != tc.field {
					t.Errorf("%s at %s, want %s at %s: %s", f.Reason, f.Field, tc.reason, tc.field, tc.why)
				}
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("it quotes the answer: %v", err)
				}
				if !a.Token.IsZero() {
					t.Error("the token is used all the same")
				}
				return
			}
			if tc.reason != "" || a.Token.Reveal() != "tok" || !a.Expires.Equal(noon.Add(10*time.Minute)) {
				t.Errorf("taken, good until %s: %s", a.Expires, tc.why)
			}
		})
	}
}

// TestLongLife holds that an absurd life is cut, whatever its number does to a
// duration.
func TestLongLife(t *testing.T) {
	j := jobOf(t, client(), "s")
	a, err := j.Read(200, http.Header{"Content-Type": {"application/json"}}, []byte(`{"access_token":"tok","token_type":"Bearer","expires_in":9223372036854775807,"refresh_token":"unasked"}`), noon)
	if err != nil || !a.Expires.Equal(noon.Add(maxLife)) || !a.Refresh.IsZero() {
		t.Errorf("%v: until %s", err, a.Expires)
	}
}

// TestTryOther holds that a key is sent twice only where the first was looked
// at and nothing else.
func TestTryOther(t *testing.T) {
	j := jobOf(t, refreshing(), "s", "r")
	public := refreshing()
	public.Spec.Source.OAuth2.ClientSecretRef = nil
	header := http.Header{"Content-Type": {"application/json"}}
	for name, tc := range map[string]struct {
		j      *Job
		status int
		body   string
		want   bool
	}{
		"not taken":    {j, 401, `{"error":"invalid_client"}`, true},
		"older":        {j, 400, `{"error":"invalid_client"}`, true},
		"other error":  {j, 400, `{"error":"invalid_grant"}`, false},
		"unavailable":  {j, 503, `{"error":"invalid_client"}`, false},
		"no error":     {j, 401, ``, false},
		"no secret":    {jobOf(t, public, "r"), 401, `{"error":"invalid_client"}`, false},
		"a success":    {j, 200, `{"error":"invalid_client"}`, false},
		"other object": {j, 401, `{"Error":"invalid_client"}`, false},
	} {
		if a, _ := tc.j.Read(tc.status, header, []byte(tc.body), noon); a.TryOther(tc.j) != tc.want {
			t.Errorf("%s: sent again: %v", name, !tc.want)
		}
	}
}

func TestGitHubAnswers(t *testing.T) {
	const good = `{"token":"ghs_x","expires_at":"2026-05-01T13:00:00Z","permissions":{"contents":"write","issues":"read","metadata":"read"},"repository_selection":"selected","repositories":[{"id":1,"name":"docs"},{"name":"Web"}]}`
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in it", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	j := jobOf(t, app(), pemText())
	for name, tc := range map[string]struct {
		why, body string
		status    int
		reason    string
	}{
		"good":               {"as asked", good, 201, ""},
		"less":               {"narrower than asked", replace(`"contents":"write","issues":"read",`, `"contents":"read",`), 201, ""},
		"wider level":        {"more than asked", replace(`"issues":"read"`, `"issues":"write"`), 201, "AnswerRefused"},
		"other permission":   {"more than asked", replace(`"issues"`, `"administration"`), 201, "AnswerRefused"},
		"metadata":           {"more than GitHub adds by itself", replace(`"metadata":"read"`, `"metadata":"write"`), 201, "AnswerRefused"},
		"unknown level":      {"what it allows is not known", replace(`"issues":"read"`, `"issues":"own"`), 201, "AnswerRefused"},
		"no permissions":     {"not known", replace(`"permissions"`, `"x"`), 201, "AnswerRefused"},
		"null permissions":   {"not known", replace(`{"contents":"write","issues":"read","metadata":"read"}`, `null`), 201, "AnswerRefused"},
		"other repository":   {"more than asked", replace(`"docs"`, `"secrets"`), 201, "AnswerRefused"},
		"unnamed repository": {"not known", replace(`"name":"docs"`, `"full_name":"acme/docs"`), 201, "AnswerRefused"},
		"all repositories":   {"more than asked", replace(`"selected"`, `"all"`), 201, "AnswerRefused"},
		"no selection":       {"not known", replace(`"repository_selection"`, `"x"`), 201, "AnswerRefused"},
		"no repositories":    {"not known", replace(`"repositories"`, `"x"`), 201, "AnswerRefused"},
		"no token":           {"nothing to use", replace(`"token"`, `"x"`), 201, "AnswerRefused"},
		"no end":             {"one that may have expired is not sent", replace(`"expires_at"`, `"x"`), 201, "AnswerRefused"},
		"ended":              {"clocks differ", replace(`13:00`, `12:00`), 201, "AnswerRefused"},
		"not created":        {"another answer", good, 200, "Invalid"},
		"no JSON":            {"a page", "<html>", 201, "AnswerRefused"},
		"signature":          {"the key or the app", `{"message":"canary"}`, 401, "Invalid"},
		"suspended":          {"at GitHub", `{"message":"canary"}`, 403, "Invalid"},
		"no installation":    {"a wrong number", `{"message":"canary"}`, 404, "Invalid"},
		"not given":          {"the lists", `{"message":"canary"}`, 422, "Invalid"},
		"down":               {"later, perhaps", ``, 502, "UpstreamUnreachable"},
		"redirect":           {"a signature is sent where it was said", ``, 301, "AnswerRefused"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := j.Read(tc.status, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, []byte(tc.body), noon)
			var f *Failure
			switch {
			case errors.As(err, &f):
				if f.Reason != tc.reason || strings.Contains(err.Error(), "canary") || !a.Token.IsZero() {
					t.Errorf("%v (%s), want %s: %s", err, f.Reason, tc.reason, tc.why)
				}
				if !strings.HasPrefix(f.Field, "spec.source.githubApp") {
					t.Errorf("the field is %s", f.Field)
				}
			case tc.reason != "" || a.Token.Reveal() != "ghs_x" || !a.Expires.Equal(noon.Add(time.Hour)):
				t.Errorf("taken, good until %s: %s", a.Expires, tc.why)
			}
		})
	}
}

// FuzzRead holds that no answer is taken for more than it says.
func FuzzRead(f *testing.F) {
	for _, tc := range answers {
		f.Add(tc.status, tc.media, tc.body)
	}
	up := refreshing()
	j, err := NewJob(up, []secret.Value{secret.New("s"), secret.New("r")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, media, body string) {
		a, err := j.Read(status, http.Header{"Content-Type": {media}}, []byte(body), noon)
		if err != nil && !a.Token.IsZero() {
			t.Error("a token that is not to be used")
		}
		if err == nil && (a.Token.IsZero() || !a.Expires.After(noon) || a.Expires.After(noon.Add(maxLife)) || status != 200) {
			t.Errorf("taken with %d, until %s", status, a.Expires)
		}
		if !a.Token.IsZero() && !json.Valid([]byte(body)) {
			t.Error("taken out of what is no JSON")
		}
		if !a.Token.IsZero() && !strings.Contains(body, "_token") && !strings.Contains(body, `\u`) {
			t.Error("taken out of nothing")
		}
	})
}
