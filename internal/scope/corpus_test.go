package scope_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// corpusCase is one line of testdata/*.txt.
type corpusCase struct {
	line    string
	allow   bool
	head    scope.Head
	forward string       // of an allow
	reason  scope.Reason // of a deny; empty: any
}

type corpusScope struct {
	Profile scope.Profile
	Grants  []scope.Grant
	Ceiling *[]scope.Grant
}

var columns = regexp.MustCompile(`\t+| {2,}`)

func readCorpus(tb testing.TB, file string) (s corpusScope, cases []corpusCase) {
	tb.Helper()
	s, lines := readScope(tb, file)
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			cases = append(cases, readCase(tb, line))
		}
	}
	return s, cases
}

// readScope reads the scope that a file begins with, and returns the lines
// below it.
func readScope(tb testing.TB, file string) (s corpusScope, lines string) {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\nscope\n")
	text, lines, ok := strings.Cut(rest, "\nend\n")
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil || !ok {
		tb.Fatalf("%s: reading the scope: %v", file, err)
	}
	return s, lines
}

func readCase(tb testing.TB, line string) corpusCase {
	tb.Helper()
	fields := columns.Split(line, -1)
	if len(fields) < 3 || fields[0] != "allow" && fields[0] != "deny" {
		tb.Fatalf("%s: write allow or deny, a method and a target", line)
	}
	c := corpusCase{line: line, allow: fields[0] == "allow", head: scope.Head{Method: fields[1], Target: fields[2]}, forward: fields[2]}
	for i := 3; i < len(fields); i++ {
		switch f := fields[i]; {
		case f[0] == '#':
			return c
		case f[0] == '!' && !c.allow:
			c.reason = scope.Reason(f[1:])
		case f == "+body":
			c.head.HasBody = true
		case f == "=>" && c.allow && i+1 < len(fields):
			i++
			c.forward = fields[i]
		case f[0] == '{':
			name, value, _ := strings.Cut(strings.Trim(f, "{}"), ": ")
			c.head.Fields = append(c.head.Fields, scope.Field{Name: name, Value: value})
		default:
			tb.Fatalf("%s: what is %q?", line, f)
		}
	}
	return c
}

// run reads and judges the request, and returns the target that is forwarded.
func (c *corpusCase) run(p *scope.Policy, profile *scope.Profile) (d scope.Decision, target string) {
	var r scope.Request
	if err := r.Parse(&c.head, profile); err != nil {
		return scope.Decision{Reason: scope.Malformed, Detail: err.Error()}, ""
	}
	d = p.Decide(&r)
	return d, string(scope.AppendTarget(nil, "", &r, &d))
}

// TestCorpus judges what the files under testdata say.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files under testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s, cases := readCorpus(t, file)
			p := mustCompile(t, s.Profile, s.Grants, s.Ceiling)
			for i := range cases {
				c := &cases[i]
				d, target := c.run(p, &s.Profile)
				switch {
				case (d.Verdict == scope.Allow) != c.allow:
					t.Errorf("%s\n\tgot %v %s: %s", c.line, d.Verdict, d.Reason, d.Detail)
				case c.allow && target != c.forward:
					t.Errorf("%s\n\tforwarded %s", c.line, target)
				case c.reason != "" && d.Reason != c.reason:
					t.Errorf("%s\n\tgot %s: %s", c.line, d.Reason, d.Detail)
				case !c.allow && (d.Detail == "" || target != "" || d.Body != nil):
					t.Errorf("%s\n\tdenied with %+v, forwarded %q", c.line, d, target)
				}
			}
		})
	}
}
