package corpus

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// corpusFile is bypass.yaml. Its format is described at its top; a field that
// is not listed here would be an expectation that nobody checks, so reading is
// strict.
type corpusFile struct {
	Format      int
	Count       int
	Conventions any
	Classes     map[string]any
	Scopes      map[string]scopeEntry
	Cases       []testCase
}

type scopeEntry struct {
	Manifest string
	Control  string
	Refusal  string
	Session  bool `yaml:"mcp_session"`
}

type testCase struct {
	ID, Class, Title, Scope, Why, Source string
	Needs, Procedure, Transport          string

	Raw       string
	Grow      *growth `yaml:"raw_gen"`
	HalfClose bool    `yaml:"half_close"`
	piece     int     // length of the writes; 0: all in one
	Setup     *setup
	Then      *then

	Expect        string
	ExpectEach    []string `yaml:"expect_each"`
	Forward       string
	Status        []int
	Refusal       string
	Reason        string
	UpstreamHas   []string       `yaml:"upstream_has"`
	UpstreamLacks []string       `yaml:"upstream_lacks"`
	UpstreamCount map[string]int `yaml:"upstream_count"`
	ClientStatus  []int          `yaml:"client_status"`
	ClientHas     []string       `yaml:"client_has"`
	ClientLacks   []string       `yaml:"client_lacks"`
	AuditLacks    []string       `yaml:"audit_lacks"`
	LogsLackLine  []string       `yaml:"logs_lack_line"`

	NoConnectionTo []string `yaml:"no_connection_to"` // the trap, which is looked at for every case

	Response string  `yaml:"upstream_response"`
	Coding   string  `yaml:"upstream_coding"`
	Pace     string  `yaml:"upstream_pace"`
	Before   *before `yaml:"upstream_before"`

	HTTP2Headers [][2]string `yaml:"h2_headers"`
	HTTP2Data    string      `yaml:"h2_data"`
	after        *testCase   // a request that goes before on the same connection
	Frames       []string    `yaml:"ws_client_frames"`

	Continuations int `yaml:"h2_continuations"` // of a header list that never ends

	drips time.Duration // between the bytes of the body; 0: they are written at once
}

type setup struct {
	Also      []string
	ExpiresIn int `yaml:"expires_in"` // seconds
	Reload    *reload

	UpstreamURL  string            `yaml:"upstream_url"`
	ConnectTo    *bool             `yaml:"connect_to"` // nil: true
	Certificate  string            `yaml:"upstream_certificate"`
	Environment  map[string]string `yaml:"environment"`
	MayNotStart  bool              `yaml:"may_not_start"`
	Resolve      []string          `yaml:"resolve"`
	Unrecordable bool              `yaml:"unrecordable"`

	// What procedures ask for besides.
	network *network
	at      []string                 // where the upstream listens; empty: on loopback
	answers func(asked int) []string // of the name server, in place of Resolve
	change  func(manifest)
	beside  string // another scope of the same process, with an upstream of its own
}

// unserved tells whether the control request cannot pass either.
func (s *setup) unserved() bool {
	return s.UpstreamURL != "" || s.Certificate != "" || s.Resolve != nil || s.Unrecordable
}

type reload struct {
	Without string            // a kind whose objects go away
	Values  map[string]string // texts of the manifest, and what takes their place
}

type then struct{ Raw, Expect string }

type growth struct {
	Repeat        *repetition `yaml:"repeat"`
	RepeatCounter *repetition `yaml:"repeat_counter"`
	GitCommands   *commands   `yaml:"git_commands"`
}

// commands are the list of a push: good ones, and one that updates a ref.
type commands struct {
	Good       int
	GoodRef    string `yaml:"good_ref"`
	ThenUpdate string `yaml:"then_update"`
}

type repetition struct {
	Needle string
	Times  int
}

func readCorpus(path string) (*corpusFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var f corpusFile
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if f.Format != 1 || f.Count != len(f.Cases) {
		return nil, fmt.Errorf("reading %s: it holds %d cases of format %d, and says %d of format 1", path, len(f.Cases), f.Format, f.Count)
	}
	seen := map[string]bool{}
	for _, c := range f.Cases {
		_, scope := f.Scopes[c.Scope]
		_, class := f.Classes[c.Class]
		if seen[c.ID] || !scope || !class {
			return nil, fmt.Errorf("reading %s: case %s occurs twice, or its scope or class is not declared", path, c.ID)
		}
		seen[c.ID] = true
	}
	return &f, nil
}

func (f *corpusFile) find(id string) testCase {
	for _, c := range f.Cases {
		if c.ID == id {
			return c
		}
	}
	return testCase{}
}

// unknown says what of a case this runner does not know. Such a case fails:
// nothing is left out.
func (c *testCase) unknown() string {
	p, described := procedures[c.Procedure]
	switch {
	case c.Procedure != "" && !described:
		return fmt.Sprintf("the procedure %q is not known: write it, and enter it under these words in procedures", c.Procedure)
	case c.Needs != p.needs:
		return fmt.Sprintf("needs is %q, and the procedure %q is known to need %q", c.Needs, c.Procedure, p.needs)
	case described && (c.Raw != "" || c.isHTTP2()):
		return "there are both a procedure and a request: the procedure says what is sent"
	case !described && c.Raw == "" && !c.isHTTP2():
		return "there is neither a request nor a procedure"
	case c.Transport != "" && c.Transport != "h2" || (c.Transport == "h2") != c.isHTTP2():
		return fmt.Sprintf("the transport %q is not known, or the request is not written for it", c.Transport)
	}
	return ""
}

// bytes is the request as it goes over the wire.
func (c *testCase) bytes(values map[string]string) []byte {
	return wire(c.Grow.apply(fill(c.Raw, values)))
}

// wire makes every character U+0000 to U+00FF one byte.
func wire(text string) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		out = append(out, byte(r))
	}
	return out
}

func fill(text string, values map[string]string) string {
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return text
}

var (
	digits        = regexp.MustCompile(`[0-9]+`)
	contentLength = regexp.MustCompile(`(?i)(\r\nContent-Length: )[0-9]+(\r\n)`)
)

// apply makes a request large and keeps the length it states true.
func (g *growth) apply(raw string) string {
	if g == nil {
		return raw
	}
	if r := g.Repeat; r != nil {
		raw = strings.Replace(raw, r.Needle, strings.Repeat(r.Needle, r.Times), 1)
	}
	if r := g.RepeatCounter; r != nil {
		var counted strings.Builder
		first, _ := strconv.Atoi(digits.FindString(r.Needle))
		for i := range r.Times {
			counted.WriteString(strings.Replace(r.Needle, strconv.Itoa(first), strconv.Itoa(first+i), 1))
		}
		raw = strings.Replace(raw, r.Needle, counted.String(), 1)
	}
	if g.GitCommands != nil {
		raw = g.GitCommands.replace(raw)
	}
	head, body, whole := strings.Cut(raw, "\r\n\r\n")
	if !whole {
		return raw
	}
	head = contentLength.ReplaceAllString(head+"\r\n", "${1}"+strconv.Itoa(len(wire(body)))+"${2}")
	return head + "\r\n" + body
}

// replace puts the list in the place of the one that is there, up to the pack.
func (g *commands) replace(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	list, pack, _ := strings.Cut(body, "PACK")
	_, capabilities, _ := strings.Cut(strings.TrimSuffix(list, "0000"), "\x00")
	capabilities = "\x00" + capabilities
	zero, one, two := strings.Repeat("0", 40), strings.Repeat("a", 40), strings.Repeat("b", 40)
	var out strings.Builder
	packet := func(content string) { fmt.Fprintf(&out, "%04x%s", len(content)+4, content) }
	for i := range g.Good {
		packet(zero + " " + one + " " + strings.Replace(g.GoodRef, "{i}", strconv.Itoa(i), 1) + capabilities)
		capabilities = ""
	}
	packet(one + " " + two + " " + g.ThenUpdate)
	return head + "\r\n\r\n" + out.String() + "0000PACK" + pack
}
