package scope_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// bodyCase is one line of testdata/bodies/*.txt.
type bodyCase struct {
	line   string
	allow  bool
	target string
	media  string
	fields []scope.Field
	body   []byte
	reason scope.Reason
	status int
}

// readBodyCases reads the lines below a scope. A line `type` sets the
// Content-Type of those below it.
func readBodyCases(tb testing.TB, file string) (s corpusScope, cases []bodyCase) {
	tb.Helper()
	s, lines := readScope(tb, file)
	media := ""
	for line := range strings.Lines(lines) {
		line = strings.TrimRight(line, "\n")
		name, isType := strings.CutPrefix(line, "type")
		switch {
		case line == "" || line[0] == '#':
		case isType:
			media = strings.TrimSpace(name)
		default:
			cases = append(cases, readBodyCase(tb, line, media, columns.Split(line, -1)))
		}
	}
	return s, cases
}

func readBodyCase(tb testing.TB, line, media string, columns []string) bodyCase {
	tb.Helper()
	if len(columns) < 3 || columns[0] != "allow" && columns[0] != "deny" {
		tb.Fatalf("%s: write allow or deny, a path and a body", line)
	}
	c := bodyCase{line: line, allow: columns[0] == "allow", target: columns[1], media: media, body: []byte(columns[2])}
	if quoted, ok := strings.CutPrefix(columns[2], "go:"); ok {
		text, err := strconv.Unquote(quoted)
		if err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		c.body = []byte(text)
	}
	if columns[2] == "-" {
		c.body = nil
	}
	for _, column := range columns[3:] {
		switch {
		case column[0] == '#':
			return c
		case column[0] == '!' && !c.allow:
			c.reason = scope.Reason(strings.TrimLeft(column, "!"))
			if status, err := strconv.Atoi(column[1:]); err == nil {
				c.reason, c.status = scope.ParameterRefused, status
			}
		case column[0] == '{':
			name, value, _ := strings.Cut(strings.Trim(column, "{}"), ": ")
			c.fields = append(c.fields, scope.Field{Name: name, Value: value})
		default:
			tb.Fatalf("%s: what is %q?", line, column)
		}
	}
	return c
}

func (c *bodyCase) head() scope.Head {
	h := scope.Head{Method: "POST", Target: c.target, Fields: c.fields, HasBody: len(c.body) > 0}
	if c.media != "" {
		h.Fields = append([]scope.Field{{Name: "Content-Type", Value: c.media}}, c.fields...)
	}
	return h
}

// decideWhole judges a request as a proxy does: by its head, and by as much of
// its body as is to be read.
func decideWhole(tb testing.TB, p *scope.Policy, h scope.Head, profile *scope.Profile, body []byte) scope.Decision {
	tb.Helper()
	var r scope.Request
	if err := r.Parse(&h, profile); err != nil {
		return scope.Decision{Reason: scope.Malformed, Detail: err.Error()}
	}
	d := p.Decide(&r)
	if d.Verdict == scope.Undecided {
		data, whole := body, int64(len(body)) <= d.Read
		if !whole {
			data = body[:d.Read+1]
		}
		d = p.DecideBody(&r, scope.Content{Data: data, Whole: whole})
	}
	switch {
	case d.Verdict == scope.Undecided:
		tb.Fatal("undecided with a body")
	case d.Verdict == scope.Allow && h.HasBody && int64(len(body)) > d.Body.MaxBytes:
		return scope.Decision{Reason: scope.TooLarge, Detail: "larger than what may be streamed"}
	}
	return d
}

// TestBodyCorpus judges what the files under testdata/bodies say.
func TestBodyCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/bodies/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files under testdata/bodies", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s, cases := readBodyCases(t, file)
			p := mustCompile(t, s.Profile, s.Grants, s.Ceiling)
			for i := range cases {
				c := &cases[i]
				d := decideWhole(t, p, c.head(), &s.Profile, c.body)
				switch {
				case (d.Verdict == scope.Allow) != c.allow:
					t.Errorf("%s\n\tgot %v %s: %s", c.line, d.Verdict, d.Reason, d.Detail)
				case c.allow && len(d.Grants) == 0:
					t.Errorf("%s\n\tallowed by no grant", c.line)
				case c.reason != "" && (d.Reason != c.reason || c.status != 0 && d.Status != c.status):
					t.Errorf("%s\n\tgot %s %d: %s", c.line, d.Reason, d.Status, d.Detail)
				case !c.allow && (d.Detail == "" || d.Body != nil || len(d.Grants) > 0):
					t.Errorf("%s\n\tdenied with %+v", c.line, d)
				}
			}
		})
	}
}
