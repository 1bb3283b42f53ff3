package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Grant allows the requests of one endpoint that match every one of its
// fields. A request is allowed when one grant matches it whole; what a grant
// does not name, it does not allow.
//
// +kubebuilder:validation:XValidation:rule="[has(self.http), has(self.git), has(self.graphql), has(self.mcp), has(self.grpc), has(self.websocket)].filter(x, x).size() == 1",message="set exactly one of http, git, graphql, mcp, grpc or websocket"
// +kubebuilder:validation:XValidation:rule="has(self.http) || !has(self.where)",message="where goes with http alone: remove it, or grant by http",fieldPath=".where"
// +kubebuilder:validation:XValidation:rule="has(self.http) || !has(self.body)",message="body goes with http alone: remove it, or grant by http",fieldPath=".body"
// +kubebuilder:validation:XValidation:rule="has(self.http) || !has(self.response)",message="response goes with http alone: remove it, or grant by http",fieldPath=".response"
// +kubebuilder:validation:XValidation:rule="has(self.http) || has(self.websocket) || !has(self.query)",message="query goes with http and websocket alone: remove it, or grant by one of them",fieldPath=".query"
type Grant struct {
	// Name of the grant, as audit records and metrics show it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name"`

	// HTTP grants requests by method and path.
	// +optional
	HTTP *HTTPGrant `json:"http,omitempty"`

	// Git grants fetch and push over git's smart HTTP protocol.
	// +optional
	Git *GitGrant `json:"git,omitempty"`

	// GraphQL grants fields of a GraphQL schema.
	// +optional
	GraphQL *GraphQLGrant `json:"graphql,omitempty"`

	// MCP grants tools, resources and prompts of an MCP server.
	// +optional
	MCP *MCPGrant `json:"mcp,omitempty"`

	// GRPC grants methods of gRPC services.
	// +optional
	GRPC *GRPCGrant `json:"grpc,omitempty"`

	// WebSocket grants one WebSocket and the messages the agent may send on it.
	// +optional
	WebSocket *WebSocketGrant `json:"websocket,omitempty"`

	// Where bounds the captures of the paths, by name. Every path of the grant
	// has every capture named here. A capture without an entry matches any one
	// segment, a tail any segments: the one place where leaving out allows.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Where map[string]Matcher `json:"where,omitempty"`

	// Query bounds the query. Left out, a request with a query is refused.
	// +optional
	Query *Query `json:"query,omitempty"`

	// Headers bounds request headers, named without regard to case, and lets
	// them go upstream. A listed header occurs at most once and its whole value
	// is matched. Headers that are neither listed nor ordinary are dropped.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]Matcher `json:"headers,omitempty"`

	// Body bounds the body. Left out, a request with a body is refused; with it,
	// one without a body passes unless a field or part is required.
	// +optional
	Body *Body `json:"body,omitempty"`

	// Response cuts what the agent gets to see of answers.
	// +optional
	Response *GrantResponse `json:"response,omitempty"`

	// Limits bounds how often the grant may be used.
	// +optional
	Limits *GrantLimits `json:"limits,omitempty"`
}

// HTTPGrant names requests by method and path. A request must have one of the
// methods and one of the paths.
type HTTPGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Methods the agent may use. GET does not imply HEAD, nor anything OPTIONS.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Methods []Method `json:"methods"`

	// Paths, relative to the endpoint's url. /literal; {name} is one segment,
	// {name=*/*} one capture over two, {name...} the rest, at least one segment;
	// {a,b} one of these literals. A path that ends in / matches only requests
	// that do. Literals are written decoded.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^/`
	// +kubebuilder:validation:items:MaxLength=1024
	Paths []string `json:"paths"`
}

// Method is an HTTP method in upper case. CONNECT and TRACE cannot be granted.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^[A-Z]+(-[A-Z]+)*$`
// +kubebuilder:validation:XValidation:rule="self != 'CONNECT' && self != 'TRACE'",message="CONNECT and TRACE cannot be granted: remove the method"
type Method string

// Query bounds the query of a request. The zero value allows no name at all.
type Query struct {
	// Unlisted says what happens to names that are not in params. Allow admits
	// them with any value, any number of times, except reserved names and second
	// spellings of a listed one.
	// +optional
	// +kubebuilder:default=Deny
	Unlisted Unlisted `json:"unlisted,omitempty"`

	// Params bounds values by name. Names are compared exactly; one occurs at
	// most once unless its matcher says repeated.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Params map[string]Matcher `json:"params,omitempty"`
}

// Unlisted says what happens to names that a grant does not list. The zero
// value denies.
// +kubebuilder:validation:Enum=Deny;Allow
type Unlisted string

// What happens to names that a grant does not list.
const (
	UnlistedDeny  Unlisted = "Deny"
	UnlistedAllow Unlisted = "Allow"
)

// Body bounds the body of a request.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !has(self.media) || self.media in ['JSON', 'Form']",message="fields go with media JSON or Form: remove fields, or change media",fieldPath=".fields"
// +kubebuilder:validation:XValidation:rule="!has(self.parts) || (has(self.media) && self.media == 'Multipart')",message="parts go with media Multipart: remove parts, or change media",fieldPath=".parts"
// +kubebuilder:validation:XValidation:rule="!has(self.unlisted) || self.unlisted == 'Deny' || !has(self.media) || self.media != 'Opaque'",message="an Opaque body has no names that could be unlisted: remove unlisted",fieldPath=".unlisted"
type Body struct {
	// Media says how the body is read. JSON, Form and Multipart are read whole,
	// strictly, and judged; Opaque is bounded in size and not looked at.
	// +optional
	// +kubebuilder:default=JSON
	Media BodyMedia `json:"media,omitempty"`

	// Unlisted says what happens to fields or parts that are not listed.
	// +optional
	// +kubebuilder:default=Deny
	Unlisted Unlisted `json:"unlisted,omitempty"`

	// MaxBytes bounds the body, in bytes. Default: limits.bodyBytes of the
	// UpstreamSecret.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1099511627776
	MaxBytes *int64 `json:"maxBytes,omitempty"`

	// Fields bounds values by path. In JSON a.b is a child, a[] and a[].b stand
	// for every element, [] in front for an array as the document, and \ takes a
	// dot, bracket or backslash literally. In a Form the key is the whole name.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Fields map[string]Matcher `json:"fields,omitempty"`

	// Parts bounds the parts of a Multipart body by name. A part occurs at most
	// once.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Parts map[string]Part `json:"parts,omitempty"`
}

// BodyMedia says how a body is read. The zero value is JSON.
// +kubebuilder:validation:Enum=JSON;Form;Multipart;Opaque
type BodyMedia string

// The ways to read a body.
const (
	BodyJSON      BodyMedia = "JSON"
	BodyForm      BodyMedia = "Form"
	BodyMultipart BodyMedia = "Multipart"
	BodyOpaque    BodyMedia = "Opaque"
)

// Part bounds one part of a multipart body.
type Part struct {
	// Required says that the part must be there.
	// +optional
	Required bool `json:"required,omitempty"`

	// Value bounds the bytes of the part, as text. Left out, it may hold any.
	// +optional
	Value *Matcher `json:"value,omitempty"`

	// Filename bounds the file name. Left out, the part must not have one.
	// +optional
	Filename *Matcher `json:"filename,omitempty"`

	// Media lists the content types the part may have. Left out, it must not
	// have one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$`
	Media []string `json:"media,omitempty"`

	// MaxBytes bounds the part, in bytes. Default: what is left of the body's.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1099511627776
	MaxBytes *int64 `json:"maxBytes,omitempty"`
}

// GrantResponse cuts a JSON answer, error answers included.
type GrantResponse struct {
	// Keep lists the field paths that the agent gets to see, written as in
	// body.fields; an empty list leaves none. An answer that cannot be read as
	// JSON keeps its status and loses its body.
	// +required
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Keep []string `json:"keep"`
}

// GrantLimits bounds how often a grant may be used, counted in the memory of
// one sidecar.
type GrantLimits struct {
	// Requests bounds the requests that this grant allows.
	// +required
	Requests RequestRate `json:"requests"`
}

// RequestRate is a bucket of requests that is refilled evenly. Allowed
// requests are charged, in one sidecar: the rate bounds a pod, not the sum of
// pods.
type RequestRate struct {
	// Count is the size of the bucket.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Count int32 `json:"count"`

	// Per is the time in which an empty bucket fills up: 1s to 24h.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="set per between 1s and 24h"
	Per metav1.Duration `json:"per"`
}
