// Package mcp judges the messages that a client sends to an MCP server over
// streamable HTTP, one at a time, and says which of a server's tools,
// resources and prompts an agent gets to see.
//
// The body of a request is the truth: a message is JSON-RPC 2.0 of one of the
// named revisions of the protocol, every member of it is known, and what
// headers mirror of it must agree. A grant names tools, resources and prompts;
// the handshake and the discovery of what it names are implied, every other
// method is outside the language and refused. What takes a memory of earlier
// messages, such as sessions, is not judged here.
package mcp

import (
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Protocol is what grants of this kind speak.
const Protocol shape.Protocol = "mcp"

// Spec allows calls to one MCP server. The zero Spec is refused when it is
// compiled.
type Spec struct {
	Path      string   `json:"path"`
	MaxBytes  int64    `json:"maxBytes"` // of a message
	Revisions []string `json:"revisions"`
	Tools     []Tool   `json:"tools,omitempty"`
	Resources []string `json:"resources,omitempty"` // globs of URIs
	Prompts   []string `json:"prompts,omitempty"`
}

// Tool allows calls to one tool. Without arguments it is called with none.
type Tool struct {
	Name          string                   `json:"name"`
	UnlistedAllow bool                     `json:"unlistedAllow,omitempty"`
	Arguments     map[string]match.Matcher `json:"arguments,omitempty"` // by path, see package field
}

// Judge is a compiled [Spec]. The zero Judge lets nothing pass. It is safe for
// concurrent use.
type Judge struct {
	revisions []string
	tools     map[string]*body.Object
	resources []resource
	prompts   []string
}

// Compile compiles s, and reports what cannot be enforced.
func Compile(s *Spec, report match.Report) *Judge {
	j := &Judge{revisions: s.Revisions, prompts: s.Prompts, tools: make(map[string]*body.Object, len(s.Tools))}
	if len(s.Revisions) == 0 {
		report("revisions", "", "name a revision of the protocol, such as "+newest)
	}
	for _, name := range s.Revisions {
		if !IsRevision(name) {
			report("revisions", name, "name revisions of the protocol: "+strings.Join(Revisions(), ", "))
		}
	}
	if len(s.Tools)+len(s.Resources)+len(s.Prompts) == 0 {
		report("tools", "", "name a tool, a resource or a prompt: without one the grant allows nothing")
	}
	if s.MaxBytes <= 0 {
		report("maxBytes", "", "bound the messages")
	}
	for i := range s.Tools {
		j.tool(&s.Tools[i], report)
	}
	for i, name := range s.Prompts {
		checkName("prompts", name, slices.Contains(s.Prompts[:i], name), report)
	}
	for _, glob := range s.Resources {
		one, err := compileResource(glob)
		if err != nil {
			report("resources", glob, err.Error())
			continue
		}
		j.resources = append(j.resources, one)
	}
	return j
}

func (j *Judge) tool(t *Tool, report match.Report) {
	_, again := j.tools[t.Name]
	checkName("tools", t.Name, again, report)
	at := "tools[" + t.Name + "].arguments"
	j.tools[t.Name] = body.CompileObject(t.Arguments, t.UnlistedAllow, at, "argument", "arguments", report)
}

func checkName(at, name string, again bool, report match.Report) {
	switch {
	case name == "" || text.HasControl(name):
		report(at, name, "write a name without control characters")
	case again:
		report(at, name, "list each name once")
	}
}

// Shapes returns the shapes of requests that s allows, and reports what cannot
// be enforced. The headers of a message are not among those that go upstream
// as they came: they are made of the message.
func Shapes(s *Spec, report match.Report) []shape.Shape {
	j := Compile(s, report)
	post := shape.Shape{
		Methods: []string{"POST"}, Path: s.Path, Body: body.OfJSON(s.MaxBytes, j),
	}
	earlier := slices.DeleteFunc(slices.Clone(s.Revisions), func(r string) bool { return eraOf(r) != sessions })
	if len(earlier) == 0 {
		return []shape.Shape{post}
	}
	session := match.Matcher{Pattern: new(sessionPattern)}
	version := match.Matcher{In: earlier, Required: !slices.Contains(earlier, unnamed)}
	get := shape.Shape{
		Methods: []string{"GET"}, Path: s.Path,
		Headers: map[string]match.Matcher{VersionHeader: version, SessionHeader: session, EventHeader: {Type: match.String}},
	}
	session.Required = true
	end := shape.Shape{
		Methods: []string{"DELETE"}, Path: s.Path,
		Headers: map[string]match.Matcher{VersionHeader: version, SessionHeader: session},
	}
	return []shape.Shape{post, get, end}
}

// sessionPattern is the syntax of a session's name, within a bound.
const sessionPattern = `[!-~]{1,512}`

// Missing names what a request without a body lacks.
func (j *Judge) Missing() string { return "message" }

// reading is what one message is read into.
type reading struct {
	message Message
	header  Header
}

var readings = sync.Pool{New: func() any { return &reading{} }}

// Judge judges the message that a body is, with the headers of its request.
func (j *Judge) Judge(b *body.Reading) body.Refusal {
	r := readings.Get().(*reading)
	defer readings.Put(r)
	r.message.Read(b.Document().Root())
	r.header.Read(b.Fields())
	if detail := j.refuses(&r.message, &r.header, b); detail != "" {
		return body.Refusal{Reason: body.Refused, Detail: detail}
	}
	return body.Refusal{}
}

// refuses returns why a message does not pass; empty: it does.
func (j *Judge) refuses(m *Message, h *Header, b *body.Reading) string {
	if m.wrong != "" {
		return m.wrong
	}
	era, detail := speaks(m, h, j.revisions)
	if detail != "" {
		return detail
	}
	is := methods[m.Method]
	if m.Kind != Response && !is.takes(m, era) {
		return "no grant can allow this method: call tools, read resources and get prompts"
	}
	if detail := h.disagrees(m, era); detail != "" {
		return detail
	}
	if m.Kind == Response {
		return "" // to a request of the server's, of which others know
	}
	if detail := is.members(m, era); detail != "" {
		return detail
	}
	return j.allows(is, m, b)
}

// allows holds what a message is about to what is granted.
func (j *Judge) allows(is *method, m *Message, b *body.Reading) string {
	switch is.about {
	case tool:
		arguments, found := j.tools[m.Target()]
		if !found {
			return "the tool is not granted: call one that tools/list shows"
		}
		return arguments.Judge(m.arguments, b).Detail
	case prompt:
		return unless(j.ShowsPrompt(m.Target()), "the prompt is not granted: get one that prompts/list shows")
	case oneResource:
		return unless(j.ShowsResource(m.Target()), notResource)
	case prompts:
		return unless(len(j.prompts) > 0, "no prompt is granted")
	case resources:
		return unless(len(j.resources) > 0, "no resource is granted")
	case subscription:
		return j.listens(m)
	}
	return ""
}

// unless returns why something does not pass, nothing where it does.
func unless(passes bool, why string) string {
	if passes {
		return ""
	}
	return why
}

const notResource = "the resource is not granted: read one that resources/list shows"

// ShowsTool reports whether calls to a tool of this name are granted.
func (j *Judge) ShowsTool(name string) bool { return j.tools[name] != nil }

// ShowsPrompt reports whether the prompt of this name is granted.
func (j *Judge) ShowsPrompt(name string) bool { return slices.Contains(j.prompts, name) }
