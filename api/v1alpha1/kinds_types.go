package v1alpha1

// GitGrant allows fetching from and pushing to repositories. The whole command
// list of a push is judged before a byte goes upstream: all or nothing.
//
// +kubebuilder:validation:XValidation:rule="has(self.push) || (has(self.fetch) && self.fetch)",message="set fetch: true, push, or both"
type GitGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Repos bounds the repository, such as acme/docs, without a trailing .git.
	// +required
	Repos Matcher `json:"repos"`

	// Fetch allows clone and fetch.
	// +optional
	Fetch bool `json:"fetch,omitempty"`

	// Push allows what it lists to be pushed.
	// +optional
	Push *GitPush `json:"push,omitempty"`
}

// GitPush allows commands of a push. A force-push cannot be told from any other
// Update by the command list.
type GitPush struct {
	// Refs are globs of full names, such as refs/heads/agent/**.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Refs []string `json:"refs"`

	// Actions on these refs. Deleting is one of its own.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Actions []PushAction `json:"actions"`

	// PushOptions says whether push options may be sent.
	// +optional
	// +kubebuilder:default=None
	PushOptions PushOptions `json:"pushOptions,omitempty"`

	// MaxBytes bounds the pack, in bytes. Default 512 MiB.
	// +optional
	// +kubebuilder:default=536870912
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1099511627776
	MaxBytes *int64 `json:"maxBytes,omitempty"`

	// MaxCommands bounds the commands of one push.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxCommands *int32 `json:"maxCommands,omitempty"`
}

// PushAction is what a command of a push does to a ref.
// +kubebuilder:validation:Enum=Create;Update;Delete
type PushAction string

// What a command of a push does to a ref.
const (
	PushCreate PushAction = "Create"
	PushUpdate PushAction = "Update"
	PushDelete PushAction = "Delete"
)

// PushOptions says whether push options may be sent. The zero value is None.
// +kubebuilder:validation:Enum=None;Any
type PushOptions string

// Whether push options may be sent.
const (
	PushOptionsNone PushOptions = "None"
	PushOptionsAny  PushOptions = "Any"
)

// GraphQLGrant allows fields of a schema. Every operation of a document is
// judged.
type GraphQLGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the GraphQL service, relative to the endpoint's url.
	// +required
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`

	// Operations the agent may send.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Operations []GraphQLOperation `json:"operations"`

	// Introspection of the schema. __typename is always allowed.
	// +optional
	// +kubebuilder:default=Deny
	Introspection Introspection `json:"introspection,omitempty"`

	// Limits bounds one document.
	// +optional
	// +kubebuilder:default={}
	Limits *GraphQLLimits `json:"limits,omitempty"`

	// Select lists what may be selected.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Select []Selection `json:"select"`
}

// GraphQLOperation is a kind of operation.
// +kubebuilder:validation:Enum=Query;Mutation
type GraphQLOperation string

// The kinds of operations.
const (
	OperationQuery    GraphQLOperation = "Query"
	OperationMutation GraphQLOperation = "Mutation"
)

// Introspection says whether the schema may be asked for. The zero value
// denies.
// +kubebuilder:validation:Enum=Deny;Allow
type Introspection string

// Whether the schema may be asked for.
const (
	IntrospectionDeny  Introspection = "Deny"
	IntrospectionAllow Introspection = "Allow"
)

// GraphQLLimits bounds one GraphQL document.
type GraphQLLimits struct {
	// Depth of nested selections.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Depth *int32 `json:"depth,omitempty"`

	// Selections, fragments counted wherever they are spread.
	// +optional
	// +kubebuilder:default=500
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Selections *int32 `json:"selections,omitempty"`

	// Operations in one document.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Operations *int32 `json:"operations,omitempty"`

	// Aliases in one document. Left out, selections bounds them.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Aliases *int32 `json:"aliases,omitempty"`
}

// Selection allows fields of one type. A field that is named both with
// arguments and in a list of fields is refused.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !self.on.contains('.')",message="on names one field: remove fields, or name the type alone",fieldPath=".fields"
// +kubebuilder:validation:XValidation:rule="has(self.fields) || self.on.contains('.')",message="on names a type: list its fields, or name one as Type.field",fieldPath=".on"
// +kubebuilder:validation:XValidation:rule="!has(self.args) || self.on.contains('.')",message="args go with one field: name it as Type.field",fieldPath=".args"
type Selection struct {
	// On is a type with fields, or Type.field with args. Write the key as "on",
	// in quotes: YAML 1.1 reads it as true otherwise.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[_A-Za-z][_0-9A-Za-z]*([.][_A-Za-z][_0-9A-Za-z]*)?$`
	On string `json:"on"`

	// Args bounds the arguments of Type.field; none but these may be given.
	// Paths are dotted into input objects.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Args map[string]Matcher `json:"args,omitempty"`

	// Fields of the type that may be selected, with any arguments.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[_A-Za-z][_0-9A-Za-z]*$`
	Fields []string `json:"fields,omitempty"`
}

// MCPGrant allows tools, resources and prompts of an MCP server. Handshake and
// discovery of the named revisions are implied; lists are cut to what is
// granted.
type MCPGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the MCP server, relative to the endpoint's url.
	// +required
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`

	// Revisions of the protocol that may be spoken, such as "2025-11-25".
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=10
	// +kubebuilder:validation:items:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	Revisions []string `json:"revisions"`

	// Tools that may be called.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Tools []MCPTool `json:"tools,omitempty"`

	// Resources that may be read, as globs of their URIs.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Resources []string `json:"resources,omitempty"`

	// Prompts that may be got, by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Prompts []string `json:"prompts,omitempty"`
}

// MCPTool allows calls of one tool.
type MCPTool struct {
	// Name of the tool, compared exactly.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// Arguments bounds the arguments, by path as in body.fields.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Arguments map[string]Matcher `json:"arguments,omitempty"`

	// Unlisted says what happens to arguments that are not listed.
	// +optional
	// +kubebuilder:default=Deny
	Unlisted Unlisted `json:"unlisted,omitempty"`
}

// GRPCGrant allows methods of gRPC services. Messages are not looked at.
type GRPCGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Methods as package.Service/Method.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[_A-Za-z][_0-9A-Za-z]*([.][_A-Za-z][_0-9A-Za-z]*)*/[_A-Za-z][_0-9A-Za-z]*$`
	Methods []string `json:"methods"`
}

// WebSocketGrant allows one WebSocket. What the agent sends is bound, what the
// upstream sends passes.
type WebSocketGrant struct {
	// Endpoint of the UpstreamSecret. May be left out where it has only one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Endpoint string `json:"endpoint,omitempty"`

	// Path of the WebSocket, relative to the endpoint's url.
	// +required
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`

	// Messages the agent may send. Left out, it may send none.
	// +optional
	Messages *Messages `json:"messages,omitempty"`
}

// Messages bounds every message that the agent sends on a WebSocket.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || !has(self.media) || self.media != 'Opaque'",message="Opaque messages have no fields: remove fields, or set media: JSON",fieldPath=".fields"
type Messages struct {
	// Media says how a message is read. Opaque is not looked at.
	// +optional
	// +kubebuilder:default=JSON
	Media MessageMedia `json:"media,omitempty"`

	// Fields bounds values by path, as in body.fields. Others are refused.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Fields map[string]Matcher `json:"fields,omitempty"`
}

// MessageMedia says how a WebSocket message is read. The zero value is JSON.
// +kubebuilder:validation:Enum=JSON;Opaque
type MessageMedia string

// The ways to read a WebSocket message.
const (
	MessageJSON   MessageMedia = "JSON"
	MessageOpaque MessageMedia = "Opaque"
)
