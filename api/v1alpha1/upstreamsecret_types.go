package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// UpstreamSecret is the real key of an upstream API: where it comes from, the
// only places it may be sent to, who may use it and the most that any of them
// may do with it. It belongs to the platform team; the key itself never
// reaches an agent's container.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=upsec,categories=sallyport
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Consumers",type=integer,JSONPath=`.status.consumers`,description="ScopedCredentials that use it"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.consumers.namespaces`,priority=1
type UpstreamSecret struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the owner of the key asks for.
	// +required
	Spec UpstreamSecretSpec `json:"spec"`

	// Status is what was found.
	// +optional
	Status UpstreamSecretStatus `json:"status,omitzero"`
}

// UpstreamSecretList is a list of UpstreamSecrets.
//
// +kubebuilder:object:root=true
type UpstreamSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UpstreamSecret `json:"items"`
}

// UpstreamSecretSpec describes a key and bounds its use.
//
// +kubebuilder:validation:XValidation:rule="(has(self.plaintext) && self.plaintext == 'AllowClusterInternal') || self.endpoints.all(e, !e.url.startsWith('http://'))",message="an http:// url sends the key in clear text: use https://, or set plaintext: AllowClusterInternal",fieldPath=".endpoints"
// +kubebuilder:validation:XValidation:rule="self.endpoints.all(e, !e.url.startsWith('http://') || e.url.matches('^http://[^:/]+[.]svc([.]cluster[.]local)?(:[0-9]+)?(/.*)?$'))",message="an http:// url may only name a host under .svc: use https://, or the name of a Service in this cluster",fieldPath=".endpoints"
// +kubebuilder:validation:XValidation:rule="self.endpoints.all(e, has(e.inject.awsSigV4) == has(self.source.awsKeys))",message="source.awsKeys and inject.awsSigV4 go together, on every endpoint: set both or neither",fieldPath=".endpoints"
// +kubebuilder:validation:XValidation:rule="self.endpoints.all(e, has(e.inject.clientCertificate) == has(self.source.clientCertificate))",message="source.clientCertificate and inject.clientCertificate go together, on every endpoint: set both or neither",fieldPath=".endpoints"
type UpstreamSecretSpec struct {
	// Endpoints are the only places that the key can ever be sent to.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Endpoints []Endpoint `json:"endpoints"`

	// Source is where the key comes from.
	// +required
	Source Source `json:"source"`

	// Consumers says who may use the key. Left out: this namespace alone.
	// +optional
	Consumers *Consumers `json:"consumers,omitempty"`

	// Ceiling bounds every ScopedCredential that uses the key. Left out, one may
	// grant whatever the key can do.
	// +optional
	Ceiling *Ceiling `json:"ceiling,omitempty"`

	// Network says which addresses the endpoints' names may resolve to.
	// +optional
	// +kubebuilder:default={}
	Network *Network `json:"network,omitempty"`

	// Plaintext AllowClusterInternal lets a url be http:// for hosts under .svc,
	// and only for pods in which every container drops NET_RAW and DNS is the
	// cluster's: others in the pod could read the key off the wire.
	// +optional
	// +kubebuilder:default=Deny
	Plaintext Plaintext `json:"plaintext,omitempty"`

	// Response says what is done with answers. The key is masked in them always.
	// +optional
	// +kubebuilder:default={}
	Response *UpstreamResponse `json:"response,omitempty"`

	// Limits bounds every exchange with the upstream.
	// +optional
	// +kubebuilder:default={}
	Limits *UpstreamLimits `json:"limits,omitempty"`
}

// Endpoint is one place that a key may be sent to.
type Endpoint struct {
	// Name of the endpoint, by which grants name it.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// URL is scheme, host, optional port and optional base path, such as
	// https://api.github.com. Paths of grants are relative to the base path.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\\\\[[0-9a-f:.]+\\\\])(:[1-9][0-9]{0,4})?(/([A-Za-z0-9._~!$&*+,=:@()-]|%[0-9A-F]{2})+)*$') && !self.matches('/[.][.]?(/|$)')",message="write url as https://host, with :port and /base/path where needed: host in lower case, no trailing slash, dot segment, query or user information"
	// +kubebuilder:validation:XValidation:rule="!self.matches(':[0-9]{5}(/|$)') || self.matches(':([1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(/|$)')",message="write a port between 1 and 65535 in url"
	URL string `json:"url"`

	// Profile is what the upstream's family does with a request. It may add
	// refusals and equivalences, and never widens a scope.
	// +optional
	// +kubebuilder:default=strict
	Profile Profile `json:"profile,omitempty"`

	// Inject is the place where the key is put. The agent's token is taken from
	// the same place.
	// +required
	Inject Inject `json:"inject"`

	// TLS tunes the connection to the upstream. Its certificate is always
	// verified.
	// +optional
	TLS *TLS `json:"tls,omitempty"`

	// Headers are fixed, not secret, and set on every forwarded request over the
	// agent's.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]HeaderValue `json:"headers,omitempty"`

	// GraphQL describes the GraphQL service of this endpoint.
	// +optional
	GraphQL *GraphQLEndpoint `json:"graphql,omitempty"`
}

// HeaderValue is the value of a fixed header: visible ASCII, with single
// spaces inside.
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^[!-~]+( [!-~]+)*$`
type HeaderValue string

// Profile names what an upstream family does with a request. The zero value is
// strict, which does nothing.
// +kubebuilder:validation:Enum=strict;github-rest;github-git;github-graphql;google-rest;odata;mcp;grpc;strict-json;openai;anthropic
type Profile string

// The profiles.
const (
	ProfileStrict        Profile = "strict"
	ProfileGitHubREST    Profile = "github-rest"
	ProfileGitHubGit     Profile = "github-git"
	ProfileGitHubGraphQL Profile = "github-graphql"
	ProfileGoogleREST    Profile = "google-rest"
	ProfileOData         Profile = "odata"
	ProfileMCP           Profile = "mcp"
	ProfileGRPC          Profile = "grpc"
	ProfileStrictJSON    Profile = "strict-json"
	ProfileOpenAI        Profile = "openai"
	ProfileAnthropic     Profile = "anthropic"
)

// TLS tunes the connection to an upstream.
type TLS struct {
	// CABundle is PEM: the authorities that are trusted instead of the public
	// ones.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=131072
	CABundle string `json:"caBundle,omitempty"`

	// MinVersion of TLS.
	// +optional
	// +kubebuilder:default="1.2"
	MinVersion TLSVersion `json:"minVersion,omitempty"`
}

// TLSVersion is a version of TLS. The zero value is 1.2.
// +kubebuilder:validation:Enum="1.2";"1.3"
type TLSVersion string

// The versions of TLS.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// GraphQLEndpoint describes a GraphQL service.
type GraphQLEndpoint struct {
	// SchemaRef is a ConfigMap in the same namespace that holds the schema in
	// SDL.
	// +required
	SchemaRef KeyReference `json:"schemaRef"`
}

// Consumers says who may use a key.
type Consumers struct {
	// Namespaces whose ScopedCredentials may use the key: exactly these. An empty
	// list lets nobody use it. To others it looks as if it did not exist.
	// +required
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces"`
}

// Ceiling is the most that any ScopedCredential may grant, in the same
// language. Every grant must be proved to lie within grants of its kind here,
// and every request must pass them too.
type Ceiling struct {
	// Sets are matchers with a name, for use by others of the ceiling.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Sets []NamedSet `json:"sets,omitempty"`

	// Grants are the most that may be granted.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Grants []Grant `json:"grants"`
}

// Network says which addresses an endpoint's name may resolve to.
type Network struct {
	// Private Allow admits private addresses, for upstreams in the cluster.
	// Loopback, link-local and metadata addresses are always refused.
	// +optional
	// +kubebuilder:default=Deny
	Private PrivateAddresses `json:"private,omitempty"`
}

// PrivateAddresses says whether private addresses are connected to. The zero value
// denies.
// +kubebuilder:validation:Enum=Deny;Allow
type PrivateAddresses string

// Whether private addresses are connected to.
const (
	PrivateDeny  PrivateAddresses = "Deny"
	PrivateAllow PrivateAddresses = "Allow"
)

// Plaintext says whether a key may be sent without TLS. The zero value denies.
// +kubebuilder:validation:Enum=Deny;AllowClusterInternal
type Plaintext string

// Whether a key may be sent without TLS.
const (
	PlaintextDeny                 Plaintext = "Deny"
	PlaintextAllowClusterInternal Plaintext = "AllowClusterInternal"
)

// UpstreamResponse says what is done with answers.
type UpstreamResponse struct {
	// Redirects Return passes a 3xx answer on, with Location rewritten where it
	// names the upstream; Refuse answers 502. None is ever followed.
	// +optional
	// +kubebuilder:default=Return
	Redirects Redirects `json:"redirects,omitempty"`

	// Cookies Drop removes Set-Cookie from answers.
	// +optional
	// +kubebuilder:default=Drop
	Cookies Cookies `json:"cookies,omitempty"`
}

// Redirects says what is done with a redirecting answer. The zero value is
// Return.
// +kubebuilder:validation:Enum=Return;Refuse
type Redirects string

// What is done with a redirecting answer.
const (
	RedirectsReturn Redirects = "Return"
	RedirectsRefuse Redirects = "Refuse"
)

// Cookies says what is done with cookies in answers. The zero value drops
// them.
// +kubebuilder:validation:Enum=Drop;Keep
type Cookies string

// What is done with cookies in answers.
const (
	CookiesDrop Cookies = "Drop"
	CookiesKeep Cookies = "Keep"
)

// UpstreamLimits bounds every exchange with an upstream.
type UpstreamLimits struct {
	// HeaderBytes bounds the header of a request, its target included, and that
	// of an answer.
	// +optional
	// +kubebuilder:default=32768
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=1048576
	HeaderBytes *int32 `json:"headerBytes,omitempty"`

	// BodyBytes bounds bodies that are read whole. Packs and Opaque bodies have
	// maxBytes.
	// +optional
	// +kubebuilder:default=1048576
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=67108864
	BodyBytes *int64 `json:"bodyBytes,omitempty"`

	// RequestTimeout bounds reading the request: 1s to 1h.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="set requestTimeout between 1s and 1h"
	RequestTimeout *metav1.Duration `json:"requestTimeout,omitempty"`

	// AnswerTimeout bounds the wait for the answer's header, from the end of the
	// request: 1s to 1h.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="set answerTimeout between 1s and 1h"
	AnswerTimeout *metav1.Duration `json:"answerTimeout,omitempty"`

	// StreamTimeout bounds the whole exchange: 1s to 24h.
	// +optional
	// +kubebuilder:default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="set streamTimeout between 1s and 24h"
	StreamTimeout *metav1.Duration `json:"streamTimeout,omitempty"`

	// Concurrency bounds the exchanges in flight in one sidecar.
	// +optional
	// +kubebuilder:default=256
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Concurrency *int32 `json:"concurrency,omitempty"`
}

// UpstreamSecretStatus is what was found.
type UpstreamSecretStatus struct {
	// Conditions are Accepted, ResolvedRefs and their summary Ready, where True
	// is good; and, only while they hold, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() > 0)",message="write lastTransitionTime as 2030-12-31T00:00:00Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the newest generation that was looked at.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// SecretVersion tells versions of the key apart. It is keyed, so that nothing
	// can be learnt about the key from it.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	SecretVersion string `json:"secretVersion,omitempty"`

	// Consumers is the number of ScopedCredentials that use the key.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Consumers int32 `json:"consumers,omitempty"`
}
