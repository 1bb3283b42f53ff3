package corpus

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

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

	// What this runner cannot do. A case of a class that is switched on fails
	// when it asks for it; see unable.
	HTTP2Continuation int `yaml:"h2_continuations"`
}

type setup struct {
	Also      []string
	ExpiresIn int `yaml:"expires_in"` // seconds
	Reload    *reload

	// See unable.
	UpstreamURL  string            `yaml:"upstream_url"`
	ConnectTo    *bool             `yaml:"connect_to"`
	Certificate  string            `yaml:"upstream_certificate"`
	Environment  map[string]string `yaml:"environment"`
	MayNotStart  bool              `yaml:"may_not_start"`
	Resolve      []string          `yaml:"resolve"`
	Unrecordable bool              `yaml:"unrecordable"`
}

type reload struct {
	Without string            // a kind whose objects go away
	Values  map[string]string // see unable
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

// unable names what a case asks for that this runner does not have. It is
// looked at for classes that are switched on, and makes the case fail.
func (c *testCase) unable() string {
	asks := map[string]bool{
		"no request": c.Raw == "" && !c.isHTTP2(),
		"needs":      c.Needs != "", "procedure": c.Procedure != "",
		"transport": (c.Transport == "h2") != c.isHTTP2() || c.Transport != "" && c.Transport != "h2", "h2_continuations": c.HTTP2Continuation > 0,
	}
	if s := c.Setup; s != nil {
		asks["setup"] = s.UpstreamURL != "" || s.ConnectTo != nil || s.Certificate != "" || s.Environment != nil ||
			s.MayNotStart || s.Resolve != nil || s.Unrecordable || s.Reload != nil && s.Reload.Values != nil
	}
	for what, asked := range asks {
		if asked {
			return what
		}
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
