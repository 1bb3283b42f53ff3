package scope

import (
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
	"github.com/sallyport-dev/sallyport/internal/scope/websocket"
)

// This file is the scope language in resolved form: sets are inlined, the
// profile's equivalences applied, defaults written out. It is what
// internal/compile produces, internal/bundle carries and [Compile] reads.
// The language itself is defined in the API reference; the field names here
// follow it.

// A Grant allows the requests of one endpoint that match every one of its
// fields. A field left out is never a wildcard, but for Where.
type Grant struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	HTTP     *HTTP  `json:"http,omitempty"`
	// Of these kinds and HTTP, one.
	Git       *Git               `json:"git,omitempty"`
	GraphQL   *GraphQL           `json:"graphql,omitempty"`
	MCP       *MCP               `json:"mcp,omitempty"`
	GRPC      *GRPC              `json:"grpc,omitempty"`
	WebSocket *WebSocket         `json:"websocket,omitempty"`
	Where     map[string]Matcher `json:"where,omitempty"`
	Query     Query              `json:"query"`
	Headers   map[string]Matcher `json:"headers,omitempty"` // keys in canonical MIME form
	Body      *Body              `json:"body,omitempty"`    // nil: a request with a body is refused
	Response  *Response          `json:"response,omitempty"`
	Limits    *Limits            `json:"limits,omitempty"`
}

// HTTP lists methods and path templates; a request must have one of each.
type HTTP struct {
	Methods []string `json:"methods"`
	Paths   []string `json:"paths"` // templates, see [ParsePath]
}

// Git allows fetching from and pushing to repositories; see package git.
type Git = git.Spec

// Query constrains the query. The zero value allows no query at all.
type Query struct {
	UnlistedAllow bool               `json:"unlistedAllow,omitempty"`
	Params        map[string]Matcher `json:"params,omitempty"`
}

// GraphQL allows operations of one GraphQL service; see package graphql.
type GraphQL = graphql.Spec

// MCP allows calls to one MCP server; see package mcp.
type MCP = mcp.Spec

// GRPC allows methods of gRPC services; see package grpc.
type GRPC = grpc.Spec

// WebSocket allows one WebSocket; see package websocket.
type WebSocket = websocket.Spec

// Protocol is what a grant speaks beside plain HTTP.
type Protocol = shape.Protocol

// Body constrains the body of a request; see package body.
type Body = body.Spec

// Part constrains one part of a multipart body.
type Part = body.Part

// Media says how a body is read.
type Media = body.Media

// The ways to read a body.
const (
	JSON      = body.JSON
	Form      = body.Form
	Multipart = body.Multipart
	Opaque    = body.Opaque
)

// Limits bounds how often a grant is used. The judge keeps nothing between two
// requests: it is for its caller to count.
type Limits struct {
	Requests Rate `json:"requests"`
}

// Rate is a bucket of Count requests that fills up evenly in Per.
type Rate struct {
	Count int           `json:"count"`
	Per   time.Duration `json:"per"`
}

// Valid reports whether r can be counted.
func (r Rate) Valid() bool {
	return 0 < r.Count && r.Count <= 1_000_000 && time.Second <= r.Per && r.Per <= 24*time.Hour
}

// Response cuts JSON answers to the fields of these paths; none: to nothing.
type Response struct {
	Keep []string `json:"keep"`
}

// A Matcher bounds one value; see package match.
type Matcher = match.Matcher

// Type is the type a value must have.
type Type = match.Type

// The types of values.
const (
	String  = match.String
	Integer = match.Integer
	Number  = match.Number
	Boolean = match.Boolean
	Object  = match.Object
	Array   = match.Array
	Any     = match.Any
)

// Kind is a shape of text.
type Kind = match.Kind

// The kinds of text.
const (
	Path     = match.Path
	Ref      = match.Ref
	GitOID   = match.GitOID
	DateTime = match.DateTime
	UUID     = match.UUID
)

// Profile is what an upstream family does with a request: equivalences that
// have one canonical spelling, refusals, and headers that go upstream. It
// never widens a scope. The zero Profile is the strict one.
type Profile struct {
	// SlashInTail lets %2F stand in the segments of a tail capture, where it
	// means and is forwarded as a slash.
	SlashInTail bool `json:"slashInTail,omitempty"`
	// FoldPaths are path prefixes such as /repos/{owner}/{repo}: what stands
	// at their captures is compared without regard to the case of ASCII
	// letters and forwarded in lower case.
	FoldPaths []string `json:"foldPaths,omitempty"`
	// Layouts are other arrangements of this API, which are read as the plain
	// one.
	Layouts []Layout `json:"layouts,omitempty"`
	// RefuseHeaders are refused besides those every profile refuses.
	RefuseHeaders []string `json:"refuseHeaders,omitempty"`
	// ReserveQuery are query names refused under UnlistedAllow unless listed,
	// besides those every profile reserves.
	ReserveQuery []string `json:"reserveQuery,omitempty"`
	// ForwardHeaders are ordinary request headers of this API that go
	// upstream besides those every profile forwards.
	ForwardHeaders []string `json:"forwardHeaders,omitempty"`
}

// A Layout is another arrangement of the same API, in which some installations
// of it serve it: its clients choose by the address that they are given. Both
// are read as one, the plain arrangement, which grants and records name; what
// is forwarded stands where the upstream has it. The zero Layout is none.
type Layout struct {
	// Base is the path below which stands what is below the root otherwise,
	// such as /api/v3.
	Base string `json:"base"`
	// Moved are paths that stand elsewhere in this layout.
	Moved []Move `json:"moved,omitempty"`
}

// A Move is a path of the plain arrangement and where a layout has it.
type Move struct {
	Plain string `json:"plain"` // such as /graphql
	There string `json:"there"` // such as /api/graphql
}

// A SpecError says which field of a grant cannot be enforced, and what to do.
type SpecError struct {
	Field string // such as where.repo.glob
	Value string // as it was given; empty where there is none
	Msg   string // an instruction
}

// Error returns field, value and message.
func (e *SpecError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Msg)
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Value, e.Msg)
}

// problems collects what is wrong with a grant.
type problems struct {
	prefix string
	found  []*SpecError
}

func (p *problems) add(field, value, msg string) {
	p.found = append(p.found, &SpecError{Field: p.prefix + field, Value: value, Msg: msg})
}

// reserved are query names by which some servers take another method or
// another identity, or answer in a form that a browser runs.
var reserved = []string{"_method", "access_token", "oauth_token", "callback"}

// ReservedQuery returns the query names that UnlistedAllow does not admit.
func (p *Profile) ReservedQuery() []string { return slices.Concat(reserved, p.ReserveQuery) }
