package scope_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

func parse(tb testing.TB, target string, p *scope.Profile) *scope.Request {
	tb.Helper()
	r := &scope.Request{}
	if err := r.Parse(&scope.Head{Method: "GET", Target: target}, p); err != nil {
		tb.Fatalf("%s: %v", target, err)
	}
	return r
}

// TestParseSaysWhatIsWrong: each refusal names its own cause, and quotes
// nothing.
func TestParseSaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		head scope.Head
		want string
	}{
		"zero":             {scope.Head{}, "method"},
		"no method":        {scope.Head{Target: "/"}, "method"},
		"method":           {scope.Head{Method: "GET /x", Target: "/"}, "method"},
		"no target":        {scope.Head{Method: "GET"}, "slash"},
		"absolute":         {scope.Head{Method: "GET", Target: "http://canary/"}, "slash"},
		"asterisk":         {scope.Head{Method: "OPTIONS", Target: "*"}, "slash"},
		"authority":        {scope.Head{Method: "CONNECT", Target: "canary:443"}, "slash"},
		"query alone":      {scope.Head{Method: "GET", Target: "?canary=1"}, "slash"},
		"empty segment":    {scope.Head{Method: "GET", Target: "/canary//x"}, "empty segment"},
		"dot":              {scope.Head{Method: "GET", Target: "/canary/."}, "dot segment"},
		"dots":             {scope.Head{Method: "GET", Target: "/canary/%2e%2E/x"}, "dot segment"},
		"slash":            {scope.Head{Method: "GET", Target: "/canary%2Fx"}, "encoded slash"},
		"backslash":        {scope.Head{Method: "GET", Target: "/canary%5Cx"}, "backslash"},
		"question mark":    {scope.Head{Method: "GET", Target: "/canary%3Fx"}, "question mark"},
		"semicolon":        {scope.Head{Method: "GET", Target: "/canary;x"}, "semicolon"},
		"twice":            {scope.Head{Method: "GET", Target: "/canary%2541"}, "twice"},
		"twice in parts":   {scope.Head{Method: "GET", Target: "/canary%25%34%31"}, "twice"},
		"triplet":          {scope.Head{Method: "GET", Target: "/canary%4"}, "two hexadecimal digits"},
		"raw":              {scope.Head{Method: "GET", Target: "/canary<"}, "must be percent-encoded"},
		"raw in query":     {scope.Head{Method: "GET", Target: "/?canary=<"}, "must be percent-encoded"},
		"triplet in query": {scope.Head{Method: "GET", Target: "/?canary=%4"}, "two hexadecimal digits"},
		"UTF-8":            {scope.Head{Method: "GET", Target: "/canary%ff"}, "UTF-8"},
		"surrogate":        {scope.Head{Method: "GET", Target: "/canary%ed%a0%80"}, "UTF-8"},
		"overlong":         {scope.Head{Method: "GET", Target: "/canary%c0%af"}, "UTF-8"},
		"control":          {scope.Head{Method: "GET", Target: "/canary%0a"}, "control"},
		"no equals sign":   {scope.Head{Method: "GET", Target: "/?canary"}, "equals sign"},
		"no name":          {scope.Head{Method: "GET", Target: "/?=canary"}, "without a name"},
		"empty pair":       {scope.Head{Method: "GET", Target: "/?canary=1&&x=1"}, "empty pair"},
		"empty query":      {scope.Head{Method: "GET", Target: "/?"}, "empty pair"},
	} {
		t.Run(name, func(t *testing.T) {
			var r scope.Request
			err := r.Parse(&test.head, nil)
			var refusal *scope.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != scope.Malformed || refusal.Status != 400 {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}

// Requests of very many parts are refused at their bound, by its own reason.
func TestParseBoundsParts(t *testing.T) {
	pairs := func(n int) string { return "/a?" + strings.Repeat("b=c&", n-1) + "b=c" }
	for name, test := range map[string]struct {
		target string
		want   string
	}{
		"segments":              {strings.Repeat("/a", 256), ""},
		"with a slash":          {strings.Repeat("/a", 256) + "/", ""},
		"too many":              {strings.Repeat("/a", 257), "segments"},
		"pairs":                 {pairs(1024), ""},
		"too many pairs":        {pairs(1025), "pairs"},
		"too many, and one bad": {strings.Repeat("/a", 257) + "/..", "segments"},
	} {
		t.Run(name, func(t *testing.T) {
			var r scope.Request
			err := r.Parse(&scope.Head{Method: "GET", Target: test.target}, nil)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var refusal *scope.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != scope.TooLarge || refusal.Status != 414 || !strings.Contains(refusal.Detail, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestParseForgets: what was read before is gone, on success and on failure.
func TestParseForgets(t *testing.T) {
	p := mustCompile(t, github, []scope.Grant{{
		Name: "all", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/a/{rest...}"}},
		Query: scope.Query{UnlistedAllow: true}, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1},
	}}, nil)
	r := &scope.Request{}
	good := scope.Head{Method: "GET", Target: "/a/b?c=d", Fields: []scope.Field{{Name: "X-Original-URL", Value: "/"}}, HasBody: true}
	if err := r.Parse(&good, &github); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(r); d.Reason != scope.ParameterRefused {
		t.Fatalf("got %+v", d)
	}
	if err := r.Parse(&scope.Head{Method: "GET", Target: "/a/b?c=d&"}, &github); err == nil {
		t.Fatal("a bad query is read")
	}
	d := p.Decide(r)
	if d.Verdict != scope.Deny || d.Reason != scope.Malformed || r.Method() != "" || len(r.Query()) != 0 || len(r.AppendPath(nil)) != 0 {
		t.Errorf("behind an error: %+v, %q, %v, %s", d, r.Method(), r.Query(), r.AppendPath(nil))
	}
	if err := r.Parse(&scope.Head{Method: "GET", Target: "/a/x"}, &github); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(r); d.Verdict != scope.Allow || string(scope.AppendTarget(nil, "", r, &d)) != "/a/x" {
		t.Errorf("the next one: %+v", d)
	}
}

func TestTakeQuery(t *testing.T) {
	for name, test := range map[string]struct {
		target, value string
		n             int
		left          []scope.Param
	}{
		"alone":      {"/?key=a%20b", "a b", 1, nil},
		"first":      {"/?key=x&q=1", "x", 1, []scope.Param{{"q", "1"}}},
		"in between": {"/?q=1&k%65y=x&r=2", "x", 1, []scope.Param{{"q", "1"}, {"r", "2"}}},
		"twice":      {"/?key=x&q=1&key=y", "y", 2, []scope.Param{{"q", "1"}}},
		"beside":     {"/?key=x&KEY=y&key%5B%5D=z", "x", 3, []scope.Param{{"KEY", "y"}, {"key[]", "z"}}}, // which some take for it
		"missing":    {"/?Key=x&key%5B%5D=y", "", 2, []scope.Param{{"Key", "x"}, {"key[]", "y"}}},
		"other":      {"/?key2=x&ke=y", "", 0, []scope.Param{{"key2", "x"}, {"ke", "y"}}},
		"no query":   {"/", "", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, test.target, nil)
			value, n := r.TakeQuery("key")
			if value != test.value || n != test.n {
				t.Errorf("got %q, %d", value, n)
			}
			if diff := cmp.Diff(test.left, append([]scope.Param(nil), r.Query()...)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTakenQueryIsNotForwarded(t *testing.T) {
	p := mustCompile(t, scope.Profile{}, []scope.Grant{{Name: "x", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/x"}}}}, nil)
	r := parse(t, "/x?key=token", nil)
	r.TakeQuery("key")
	d := p.Decide(r)
	if got := string(scope.AppendTarget(nil, "", r, &d)); got != "/x" {
		t.Errorf("forwarded %q: %+v", got, d)
	}
}

func TestAppendPath(t *testing.T) {
	for target, want := range map[string]string{
		"/":                         "/",
		"/a/b/?q=secret":            "/a/b/",
		"/%61%2a%20%c3%a9":          "/a*%20%C3%A9",
		"/repos/ACME/Web/x%2FY":     "/repos/acme/web/x/Y",
		"/repos/ACME":               "/repos/ACME", // shorter than what folds
		"/Repos/ACME/Web":           "/Repos/ACME/Web",
		"/repos/ACME%2FWeb/X":       "/repos/acme/web/X",
		"/repos/%C3%9CBER/%C5%BF/X": "/repos/%C3%9Cber/%C5%BF/X",
	} {
		if got := string(parse(t, target, &github).AppendPath(nil)); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}
