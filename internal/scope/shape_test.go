package scope

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
)

// commands lets bodies pass that begin with a line which says ok.
type commands struct{}

func (commands) Missing() string { return "command" }

func (commands) Judge(b *body.Reading) body.Refusal {
	line, _, found := strings.Cut(string(b.Content().Data), "\n")
	switch {
	case !found && !b.Whole():
		return body.Refusal{Reason: body.More, Read: 2 * int64(len(b.Content().Data))}
	case line != "ok":
		return body.Refusal{Reason: body.Refused, Detail: "the command is not allowed"}
	}
	return body.Refusal{}
}

// shaped is the policy of one grant of a made-up kind.
func shaped(t *testing.T) *Policy {
	t.Helper()
	policy := newPolicy(&Profile{})
	yes := "yes"
	c := grantCompiler{profile: &Profile{}, policy: policy, spec: &Grant{Name: "g"}}
	c.out = &grant{name: "g"}
	c.shapes("made-up", []shape.Shape{
		{Methods: []string{"GET"}, Path: "/status", Params: map[string]match.Matcher{"q": {Equals: &yes, Required: true}}},
		{
			Methods: []string{"POST"}, Match: func(path string) bool { return strings.HasSuffix(path, "/command") },
			Headers: map[string]match.Matcher{"X-Mode": {Type: match.String}},
			Body:    body.OfType("application/x-command", false, 4, 1<<20, commands{}),
		},
		{Methods: []string{"PUT"}}, // the zero path is none
	})
	for _, e := range c.found {
		t.Fatal(e)
	}
	return policy
}

func TestShapes(t *testing.T) {
	typed := []Field{{Name: "Content-Type", Value: "application/x-command"}}
	tests := map[string]struct {
		why  string
		head Head
		body string
		want Verdict
	}{
		"template":        {"a shape has a path", Head{Method: "GET", Target: "/status?q=yes"}, "", Allow},
		"parameter":       {"one that must be there", Head{Method: "GET", Target: "/status"}, "", Deny},
		"other method":    {"of another shape", Head{Method: "POST", Target: "/status?q=yes"}, "", Deny},
		"matched":         {"a shape decides about the path", Head{Method: "POST", Target: "/a/b/command", Fields: typed}, "ok\n" + strings.Repeat("x", 100), Allow},
		"refused":         {"the beginning tells", Head{Method: "POST", Target: "/a/b/command", Fields: typed}, "no\n", Deny},
		"long line":       {"more is asked for", Head{Method: "POST", Target: "/a/command", Fields: typed}, strings.Repeat("ok", 50) + "\n", Deny},
		"no body":         {"a command is missing", Head{Method: "POST", Target: "/a/command"}, "", Deny},
		"other type":      {"read as something else", Head{Method: "POST", Target: "/a/command", Fields: []Field{{Name: "Content-Type", Value: "text/plain"}}}, "ok\n", Deny},
		"coding":          {"it cannot be read", Head{Method: "POST", Target: "/a/command", Fields: append(typed, Field{Name: "Content-Encoding", Value: "gzip"})}, "ok\n", Deny},
		"slash at end":    {"another path", Head{Method: "POST", Target: "/a/command/", Fields: typed}, "ok\n", Deny},
		"other path":      {"nothing has it", Head{Method: "POST", Target: "/a/b", Fields: typed}, "ok\n", Deny},
		"shape of nobody": {"a zero shape matches nothing", Head{Method: "PUT", Target: "/a"}, "", Deny},
	}
	policy := shaped(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r Request
			test.head.HasBody = test.body != ""
			if err := r.Parse(&test.head, nil); err != nil {
				t.Fatal(err)
			}
			d := policy.Decide(&r)
			for n := int64(0); d.Verdict == Undecided; {
				if d.Read <= n || d.Most != 1<<20 {
					t.Fatalf("asks for %d bytes behind %d, of at most %d", d.Read, n, d.Most)
				}
				n = d.Read
				read := test.body[:min(int(n), len(test.body))]
				d = policy.DecideBody(&r, Content{Data: []byte(read), Whole: len(read) == len(test.body)})
			}
			if d.Verdict != test.want {
				t.Errorf("%s: got %+v", test.why, d)
			}
			if d.Verdict == Allow && (d.Protocol != "made-up" || d.Body != nil && !Forwards(&d, "X-Mode")) {
				t.Errorf("got %+v", d)
			}
		})
	}
}
