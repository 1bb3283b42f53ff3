package credential

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// FuzzTake: a token that is taken is the one that any server would find in that
// place, there is no second one in any spelling, and the place stays behind.
func FuzzTake(f *testing.F) {
	for _, seed := range [][5]string{
		{"/x", "Authorization", "Bearer tok", "X-Other", "a"},
		{"/x", "authorization", "token tok", "Authorization", "Bearer tok"},
		{"/x", "AUTHORIZATION", basic("me:tok:x"), "Proxy-Authorization", "Basic eA=="},
		{"/x?api_key=tok&b=c", "X-Api-Key", "tok", "X_Api_Key", "tok"},
		{"/x?api_key=tok&api%5Fkey=b", "X-Auth", "key=tok;v=1", "x-auth", "key=;v=1"},
		{"/x?API_KEY=tok", "Authorization", "Basic eDp5=", "Authorization_", "a"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	swaps := map[string]*Swap{}
	for name, in := range places {
		w, err := New(in, secret.New(realKey))
		if err != nil {
			f.Fatal(err)
		}
		swaps[name] = w
	}
	f.Fuzz(func(t *testing.T, target, name1, value1, name2, value2 string) {
		fields := []scope.Field{{Name: name1, Value: value1}, {Name: name2, Value: value2}}
		for place, w := range swaps {
			var r scope.Request
			if err := r.Parse(&scope.Head{Method: "GET", Target: target, Fields: fields}, &scope.Profile{}); err != nil {
				return
			}
			token, err := w.Take(fields, &r)
			if err != nil {
				continue
			}
			if token == "" {
				t.Errorf("%s: an empty token of %q, %q", place, target, fields)
			}
			if w.query != "" {
				_, query, _ := strings.Cut(target, "?")
				// A raw semicolon separates nothing (WHATWG URL, application/x-www-form-urlencoded),
				// goes upstream as %3B, and is an error to net/url.
				all, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
				if err != nil || len(all[w.query]) != 1 || all[w.query][0] != token {
					t.Errorf("%s: took %q, and net/url reads %q, %v", place, token, all, err)
				}
				for _, q := range r.Query() {
					if q.Name == w.query {
						t.Errorf("%s: %q stays in the query of %q", place, q, target)
					}
				}
				continue
			}
			value, n := "", 0
			for _, field := range fields {
				if strings.ReplaceAll(strings.ToLower(field.Name), "_", "-") == strings.ToLower(w.header) {
					value, n = field.Value, n+1
					if !w.Drops(field.Name) {
						t.Errorf("%s: %q goes upstream", place, field.Name)
					}
				}
			}
			if want := shown(place, value); n != 1 || want != token {
				t.Errorf("%s: took %q of %q, where a server finds %q, %d times", place, token, fields, want, n)
			}
		}
	})
}

// shown is the token that a server finds in the value of the field of a place;
// empty: none.
func shown(place, value string) string {
	scheme, rest, _ := strings.Cut(value, " ")
	switch place {
	case "header":
		return value
	case "template":
		if strings.HasPrefix(strings.ToLower(value), "key=") && strings.HasSuffix(value, ";v=1") {
			return value[len("key=") : len(value)-len(";v=1")]
		}
	case "basic":
		_, password, _ := (&http.Request{Header: http.Header{"Authorization": {value}}}).BasicAuth()
		return password
	default:
		if s := strings.ToLower(scheme); s == "bearer" || s == "token" {
			return rest
		}
	}
	return ""
}
