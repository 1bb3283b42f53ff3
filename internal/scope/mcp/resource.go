package mcp

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// resource is a compiled glob of URIs.
type resource struct {
	glob *text.Glob
	// asks: the glob has a query or fragment, so that URIs may.
	asks bool
}

func compileResource(glob string) (resource, error) {
	g, err := text.CompileGlob(glob)
	return resource{g, strings.ContainsAny(glob, "?#")}, err
}

// ShowsResource reports whether the resource of this URI is granted. A
// wildcard reaches neither into a query or fragment nor over escapes that a
// server could decode to other segments.
func (j *Judge) ShowsResource(uri string) bool {
	asks := strings.ContainsAny(uri, "?#")
	for i := range j.resources {
		if r := &j.resources[i]; (!asks || r.asks) && r.glob.Match(uri) {
			return isSafe(uri)
		}
	}
	return false
}

// isSafe refuses what servers read differently: backslashes, control
// characters, and escapes of what needs none or means something.
func isSafe(uri string) bool {
	for i := 0; i < len(uri); i++ {
		switch c := uri[i]; {
		case c < ' ' || c == 0x7f || c == '\\':
			return false
		case c != '%':
		case i+2 >= len(uri) || !needsEscape(uri[i+1], uri[i+2]):
			return false
		}
	}
	return true
}

// needsEscape reports whether two digits are the escape of a byte that has to
// be written as one (RFC 3986, 2.4), and separates nothing.
func needsEscape(high, low byte) bool {
	h, l := strings.IndexByte(digits, high|0x20), strings.IndexByte(digits, low|0x20)
	if h < 0 || l < 0 {
		return false
	}
	c := byte(h<<4 | l)
	switch {
	case c < ' ' || c == 0x7f:
		return false
	case c >= 0x80:
		return true
	}
	return strings.IndexByte(" \"<>[]^`{|}", c) >= 0
}

const digits = "0123456789abcdef"

// ShowsTemplate reports whether what a URI template makes is granted where a
// plain word stands for each of its expressions.
func (j *Judge) ShowsTemplate(template string) bool {
	var b strings.Builder
	for rest := template; ; {
		before, expression, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return j.ShowsResource(b.String())
		}
		name, after, closed := strings.Cut(expression, "}")
		if !closed || name == "" {
			return false
		}
		b.WriteString("x")
		rest = after
	}
}

// listens judges what a client wants to be told of.
func (j *Judge) listens(m *Message) string {
	for key, v := range m.params.Member("notifications").Members {
		switch key {
		case "toolsListChanged", "promptsListChanged", "resourcesListChanged":
			if v.Kind() != json.Boolean {
				return "the parameter " + key + " has the wrong type"
			}
		case "resourceSubscriptions":
			if detail := j.subscribes(v, m); detail != "" {
				return detail
			}
		default:
			return "no grant can allow to listen for this: listen for changes of lists and of granted resources"
		}
	}
	return ""
}

func (j *Judge) subscribes(v json.Value, m *Message) string {
	if v.Kind() != json.Array {
		return "the parameter resourceSubscriptions has the wrong type"
	}
	for uri := range v.Items {
		if uri.Kind() != json.String || !j.ShowsResource(uri.Text(&m.target)) {
			return notResource
		}
	}
	return ""
}
