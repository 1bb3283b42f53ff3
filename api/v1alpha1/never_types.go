package v1alpha1

// Never names requests that no grant may allow. It is a proof obligation, not
// a rule: where a request would be both granted and named here, the object is
// not accepted and the condition shows that request. The reading turns round:
// what an entry leaves out matches anything, what it lists must be present and
// match. So nothing here has a default.
//
// +kubebuilder:validation:XValidation:rule="[has(self.http), has(self.git), has(self.graphql), has(self.mcp), has(self.grpc), has(self.websocket)].filter(x, x).size() == 1",message="set exactly one of http, git, graphql, mcp, grpc or websocket"
// +kubebuilder:validation:XValidation:rule="has(self.http) || !has(self.where)",message="where goes with http alone: remove it, or name the requests by http",fieldPath=".where"
// +kubebuilder:validation:XValidation:rule="has(self.http) || !has(self.body)",message="body goes with http alone: remove it, or name the requests by http",fieldPath=".body"
// +kubebuilder:validation:XValidation:rule="has(self.http) || has(self.websocket) || !has(self.query)",message="query goes with http and websocket alone: remove it, or name the requests by one of them",fieldPath=".query"
type Never struct {
	// HTTP names requests by method and path, those of git, graphql, mcp, grpc
	// and websocket grants included.
	// +optional
	HTTP *NeverHTTP `json:"http,omitempty"`

	// Git names fetches and pushes.
	// +optional
	Git *NeverGit `json:"git,omitempty"`

	// GraphQL names selections.
	// +optional
	GraphQL *NeverGraphQL `json:"graphql,omitempty"`

	// MCP names calls of tools and reads of resources and prompts.
	// +optional
	MCP *NeverMCP `json:"mcp,omitempty"`

	// GRPC names calls of gRPC methods.
	// +optional
	GRPC *NeverGRPC `json:"grpc,omitempty"`

	// WebSocket names WebSockets and messages.
	// +optional
	WebSocket *NeverWebSocket `json:"websocket,omitempty"`

	// Where bounds the captures of the paths, by name. A capture without an
	// entry matches anything.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Where map[string]Matcher `json:"where,omitempty"`

	// Query names requests by what their query holds.
	// +optional
	Query *NeverQuery `json:"query,omitempty"`

	// Headers names requests by headers that are there and match.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]Matcher `json:"headers,omitempty"`

	// Body names requests by what their body holds.
	// +optional
	Body *NeverBody `json:"body,omitempty"`
}

// NeverHTTP names requests by method and path.
type NeverHTTP struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Methods, one of which the request has. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Methods []Method `json:"methods,omitempty"`

	// Paths, one of which the request has, written as in a grant. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^/`
	// +kubebuilder:validation:items:MaxLength=1024
	Paths []string `json:"paths,omitempty"`
}

// NeverQuery names requests by what their query holds.
type NeverQuery struct {
	// Unlisted Deny names only queries that hold nothing but params. Left out:
	// any other names may be there.
	// +optional
	Unlisted Unlisted `json:"unlisted,omitempty"`

	// Params that are there and match, by name.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Params map[string]Matcher `json:"params,omitempty"`
}

// NeverBody names requests by what their body holds.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !has(self.media) || self.media in ['JSON', 'Form']",message="fields go with media JSON or Form: remove fields, or change media",fieldPath=".fields"
// +kubebuilder:validation:XValidation:rule="!has(self.parts) || !has(self.media) || self.media == 'Multipart'",message="parts go with media Multipart: remove parts, or change media",fieldPath=".parts"
type NeverBody struct {
	// Media the body is read as. Left out: any.
	// +optional
	Media BodyMedia `json:"media,omitempty"`

	// Unlisted Deny names only bodies that hold nothing but what is listed. Left
	// out: anything else may be there.
	// +optional
	Unlisted Unlisted `json:"unlisted,omitempty"`

	// Fields that are there and match, by path.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Fields map[string]Matcher `json:"fields,omitempty"`

	// Parts that are there and match, by name.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Parts map[string]Part `json:"parts,omitempty"`
}

// NeverGit names fetches and pushes. With neither fetch nor push it names both.
type NeverGit struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Repos the request is for. Left out: any.
	// +optional
	Repos *Matcher `json:"repos,omitempty"`

	// Fetch names fetches.
	// +optional
	Fetch bool `json:"fetch,omitempty"`

	// Push names pushes.
	// +optional
	Push *NeverGitPush `json:"push,omitempty"`
}

// NeverGitPush names commands of a push.
type NeverGitPush struct {
	// Refs as globs of full names. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Refs []string `json:"refs,omitempty"`

	// Actions on these refs. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Actions []PushAction `json:"actions,omitempty"`
}

// NeverGraphQL names selections.
type NeverGraphQL struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the GraphQL service. Left out: any.
	// +optional
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

	// Operations, of one of these kinds. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Operations []GraphQLOperation `json:"operations,omitempty"`

	// Select names what is selected, any of the entries. Left out: anything.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Select []NeverSelection `json:"select,omitempty"`
}

// NeverSelection names fields of one type.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !self.on.contains('.')",message="on names one field: remove fields, or name the type alone",fieldPath=".fields"
// +kubebuilder:validation:XValidation:rule="!has(self.args) || self.on.contains('.')",message="args go with one field: name it as Type.field",fieldPath=".args"
type NeverSelection struct {
	// On is a type, or Type.field. Write the key as "on", in quotes.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[_A-Za-z][_0-9A-Za-z]*([.][_A-Za-z][_0-9A-Za-z]*)?$`
	On string `json:"on"`

	// Args of Type.field that are given and match.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Args map[string]Matcher `json:"args,omitempty"`

	// Fields of the type, any of them. Left out: any field.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[_A-Za-z][_0-9A-Za-z]*$`
	Fields []string `json:"fields,omitempty"`
}

// NeverMCP names messages to an MCP server: any of the tools, resources and
// prompts listed, or every message where none is.
type NeverMCP struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the MCP server. Left out: any.
	// +optional
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

	// Revisions, one of which is spoken. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=10
	// +kubebuilder:validation:items:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	Revisions []string `json:"revisions,omitempty"`

	// Tools that are called.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Tools []NeverMCPTool `json:"tools,omitempty"`

	// Resources that are read, as globs of their URIs.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Resources []string `json:"resources,omitempty"`

	// Prompts that are got, by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Prompts []string `json:"prompts,omitempty"`
}

// NeverMCPTool names calls of one tool.
type NeverMCPTool struct {
	// Name of the tool, compared exactly.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// Arguments that are given and match, by path.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Arguments map[string]Matcher `json:"arguments,omitempty"`

	// Unlisted Deny names only calls with no other arguments. Left out: any
	// others may be given.
	// +optional
	Unlisted Unlisted `json:"unlisted,omitempty"`
}

// NeverGRPC names calls of gRPC methods.
type NeverGRPC struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Methods as package.Service/Method, one of which is called. Left out: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[_A-Za-z][_0-9A-Za-z]*([.][_A-Za-z][_0-9A-Za-z]*)*/[_A-Za-z][_0-9A-Za-z]*$`
	Methods []string `json:"methods,omitempty"`
}

// NeverWebSocket names WebSockets and messages on them.
type NeverWebSocket struct {
	// Endpoint of the UpstreamSecret. Left out: any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the WebSocket. Left out: any.
	// +optional
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

	// Messages that are sent. Left out: any, or none.
	// +optional
	Messages *NeverMessages `json:"messages,omitempty"`
}

// NeverMessages names messages by what they hold.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !has(self.media) || self.media != 'Opaque'",message="Opaque messages have no fields: remove fields, or set media: JSON",fieldPath=".fields"
type NeverMessages struct {
	// Media the message is read as. Left out: any.
	// +optional
	Media MessageMedia `json:"media,omitempty"`

	// Fields that are there and match, by path.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Fields map[string]Matcher `json:"fields,omitempty"`
}
