package credential

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

const realKey = "s3cr3t/+="

var places = map[string]bundle.Inject{
	"bearer":   {Bearer: &struct{}{}},
	"token":    {Bearer: &struct{}{}},
	"header":   {Header: &bundle.HeaderInjection{Name: "X-Api-Key", Template: "{secret}"}},
	"template": {Header: &bundle.HeaderInjection{Name: "X-Auth", Template: "key={secret};v=1"}},
	"basic":    {Basic: &bundle.BasicInjection{Username: "x-access-token"}},
	"query":    {Query: &bundle.QueryInjection{Name: "api_key"}},
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// written is the request as the upstream gets it.
func written(t *testing.T, w *Swap, r *scope.Request) string {
	t.Helper()
	var out bytes.Buffer
	to := http1.NewWriter(&out)
	to.Request("GET", w.AppendQuery([]byte("/x"), len(r.Query()) > 0), "upstream.example")
	w.Write(to)
	to.Body(http1.Framing{})
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestSwap takes the token from the place where the key then is, for each kind
// of place, and leaves nothing of the token.
func TestSwap(t *testing.T) {
	for name, test := range map[string]struct {
		why    string
		target string
		fields []scope.Field
		want   string // a line of what goes upstream
	}{
		"bearer":   {"a scheme has no letter case", "/x", []scope.Field{{Name: "authorization", Value: "bearer tok"}}, "Authorization: Bearer " + realKey},
		"token":    {"Octokit and gh show theirs so", "/x", []scope.Field{{Name: "Authorization", Value: "token tok"}}, "Authorization: Bearer " + realKey},
		"header":   {"a name has none either", "/x", []scope.Field{{Name: "x-api-KEY", Value: "tok"}}, "X-Api-Key: " + realKey},
		"template": {"the text around it stays", "/x", []scope.Field{{Name: "X-Auth", Value: "key=tok;v=1"}}, "X-Auth: key=" + realKey + ";v=1"},
		"basic":    {"any user name will do", "/x", []scope.Field{{Name: "Authorization", Value: basic("me:tok")}}, "Authorization: " + basic("x-access-token:"+realKey)},
		"query":    {"escaped, and the agent's is gone", "/x?api_key=tok", nil, "GET /x?api_key=s3cr3t%2F%2B%3D HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := New(places[name], secret.New(realKey))
			if err != nil {
				t.Fatal(err)
			}
			var r scope.Request
			if err := r.Parse(&scope.Head{Method: "GET", Target: test.target, Fields: test.fields}, nil); err != nil {
				t.Fatal(err)
			}
			token, err := w.Take(test.fields, &r)
			if token != "tok" || err != nil {
				t.Fatalf("%s: Take = %q, %v", test.why, token, err)
			}
			got := written(t, w, &r)
			if !strings.Contains("\r\n"+got, "\r\n"+test.want+"\r\n") || strings.Contains(got, "tok\r") {
				t.Errorf("%s: upstream gets\n%s", test.why, got)
			}
			for _, f := range test.fields {
				if !w.Drops(f.Name) {
					t.Errorf("%s stays", f.Name)
				}
			}
		})
	}
}

func TestTakeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		why, place, target string
		fields             []scope.Field
		want               error
	}{
		"nothing":             {"no token", "bearer", "/x", nil, ErrMissing},
		"other scheme":        {"Basic is not Bearer", "bearer", "/x", []scope.Field{{Name: "Authorization", Value: basic("a:tok")}}, ErrMissing},
		"other alone":         {"an empty token", "bearer", "/x", []scope.Field{{Name: "Authorization", Value: "token "}}, ErrMissing},
		"other for basic":     {"it is the clients' of Bearer", "basic", "/x", []scope.Field{{Name: "Authorization", Value: "token tok"}}, ErrMissing},
		"two schemes":         {"which one?", "bearer", "/x", []scope.Field{{Name: "Authorization", Value: "Bearer tok"}, {Name: "Authorization", Value: "token tok"}}, ErrAmbiguous},
		"scheme alone":        {"an empty token", "bearer", "/x", []scope.Field{{Name: "Authorization", Value: "Bearer "}}, ErrMissing},
		"twice":               {"which one?", "bearer", "/x", []scope.Field{{Name: "Authorization", Value: "Bearer tok"}, {Name: "authorization", Value: "Bearer tok"}}, ErrAmbiguous},
		"second spelling":     {"some servers read _ as -", "header", "/x", []scope.Field{{Name: "X-Api-Key", Value: "tok"}, {Name: "X_Api_Key", Value: "tok"}}, ErrAmbiguous},
		"query twice":         {"which one?", "query", "/x?api_key=tok&api_key=tok", nil, ErrAmbiguous},
		"query spelled":       {"some servers know no letter case", "query", "/x?api_key=tok&API_KEY=x", nil, ErrAmbiguous},
		"query empty":         {"an empty token", "query", "/x?api_key=", nil, ErrMissing},
		"elsewhere":           {"the place is the query", "query", "/x", []scope.Field{{Name: "Authorization", Value: "Bearer tok"}}, ErrMissing},
		"no Base64":           {"it is no pair", "basic", "/x", []scope.Field{{Name: "Authorization", Value: "Basic ???"}}, ErrMissing},
		"loose Base64":        {"bits behind the end differ by reader", "basic", "/x", []scope.Field{{Name: "Authorization", Value: "Basic YTpiYx=="}}, ErrMissing},
		"no password":         {"the token is the password", "basic", "/x", []scope.Field{{Name: "Authorization", Value: basic("tok")}}, ErrMissing},
		"part of a template":  {"all of it must be there", "template", "/x", []scope.Field{{Name: "X-Auth", Value: "key=tok"}}, ErrMissing},
		"template overlaps":   {"prefix and suffix share no byte", "template", "/x", []scope.Field{{Name: "X-Auth", Value: "key=;v=1"}}, ErrMissing},
		"header without text": {"an empty token", "header", "/x", []scope.Field{{Name: "X-Api-Key", Value: ""}}, ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := New(places[test.place], secret.New(realKey))
			if err != nil {
				t.Fatal(err)
			}
			var r scope.Request
			if err := r.Parse(&scope.Head{Method: "GET", Target: test.target, Fields: test.fields}, nil); err != nil {
				t.Fatal(err)
			}
			if token, err := w.Take(test.fields, &r); !errors.Is(err, test.want) || token != "" {
				t.Errorf("%s: Take = %q, %v", test.why, token, err)
			}
		})
	}
	if _, err := (&Swap{}).Take(nil, &scope.Request{}); err == nil {
		t.Error("the zero Swap takes a token")
	}
}

// TestDrops keeps every other authentication of the agent's back.
func TestDrops(t *testing.T) {
	for place, in := range places {
		w, err := New(in, secret.New(realKey))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "authorization", "Cookie", "COOKIE", "Proxy-Authorization"} {
			if !w.Drops(name) {
				t.Errorf("%s: %s stays", place, name)
			}
		}
		if w.Drops("Accept") || w.Drops("Cookies") {
			t.Errorf("%s: it drops what authenticates nobody", place)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	bearer := places["bearer"]
	for name, test := range map[string]struct {
		why    string
		in     bundle.Inject
		secret string
	}{
		"no place":        {"there is no rule", bundle.Inject{}, realKey},
		"two places":      {"which one?", bundle.Inject{Bearer: &struct{}{}, Query: &bundle.QueryInjection{Name: "k"}}, realKey},
		"empty":           {"nothing is no key", bearer, ""},
		"line end":        {"one is dropped, no more", bearer, realKey + "\n\n"},
		"injected header": {"it would end the field", bearer, "a\r\nX-Evil: 1"},
		"white space":     {"it would not survive", bearer, realKey + " "},
		"template":        {"there is no place in it", bundle.Inject{Header: &bundle.HeaderInjection{Name: "X", Template: "key"}}, realKey},
		"template twice":  {"it would stand there twice", bundle.Inject{Header: &bundle.HeaderInjection{Name: "X", Template: "{secret}{secret}"}}, realKey},
		"framing":         {"it frames the message", bundle.Inject{Header: &bundle.HeaderInjection{Name: "Content-Length", Template: "{secret}"}}, realKey},
		"user name":       {"a colon would move the password", bundle.Inject{Basic: &bundle.BasicInjection{Username: "a:b"}}, realKey},
		"no user name":    {"it is required", bundle.Inject{Basic: &bundle.BasicInjection{}}, realKey},
		"no query name":   {"a value without a name", bundle.Inject{Query: &bundle.QueryInjection{}}, realKey},
	} {
		_, err := New(test.in, secret.New(test.secret))
		if err == nil {
			t.Errorf("%s passes: %s", name, test.why)
		} else if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
	if w, err := New(bearer, secret.New(realKey+"\r\n")); err != nil {
		t.Errorf("one line end: %v", err)
	} else if text := fmt.Sprintf("%v %+v %#v", w, w, *w); strings.Contains(text, "s3cr3t") {
		t.Errorf("a printed Swap holds the key: %s", text)
	}
}
