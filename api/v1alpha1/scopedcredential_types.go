package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ScopedCredential says what an agent may do with the key of an
// UpstreamSecret. A pod asks for it by the annotation
// sallyport.dev/credentials; the agent gets a short-lived token that is worth
// nothing outside its pod, and a sidecar that lets through what is granted
// here and nothing else.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=scred,categories=sallyport
// +kubebuilder:selectablefield:JSONPath=`.spec.upstream.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.upstream.namespace`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Upstream",type=string,JSONPath=`.spec.upstream.name`
// +kubebuilder:printcolumn:name="Sidecars",type=string,JSONPath=`.status.sidecars.summary`,description="Sidecars that enforce the accepted scope, of all that hold the credential"
// +kubebuilder:printcolumn:name="Reach",type=string,JSONPath=`.status.reach.summary`,description="What the grants name: reads, writes, deletes"
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Scope",type=string,JSONPath=`.status.scopeHash`,priority=1
// +kubebuilder:printcolumn:name="Holders",type=string,JSONPath=`.spec.holders.serviceAccounts`,priority=1
type ScopedCredential struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the author asks for.
	// +required
	Spec ScopedCredentialSpec `json:"spec"`

	// Status is what was accepted and what is enforced.
	// +optional
	Status ScopedCredentialStatus `json:"status,omitzero"`
}

// ScopedCredentialList is a list of ScopedCredentials.
//
// +kubebuilder:object:root=true
type ScopedCredentialList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScopedCredential `json:"items"`
}

// ScopedCredentialSpec is the scope of one credential. A request is judged by
// the grants of the endpoint it came to, and allowed when one of them matches
// it whole. There is no order, no priority and no deny rule.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxOffline) || duration(self.maxOffline) <= duration(self.lifetime)",message="set maxOffline to at most lifetime: a lease never outlives its token",fieldPath=".maxOffline"
type ScopedCredentialSpec struct {
	// Upstream is the UpstreamSecret whose key is used. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="upstream cannot change: create another ScopedCredential and let pods ask for it"
	Upstream UpstreamReference `json:"upstream"`

	// Holders says who may hold the credential. A pod's annotation only asks.
	// +required
	Holders Holders `json:"holders"`

	// Lifetime of the scoped tokens: 1m to 1h.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('1h')",message="set lifetime between 1m and 1h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`

	// MaxOffline is how long a sidecar that is cut off from the broker goes on
	// serving: 0s to 1h, and not above lifetime. Default: 10m, or lifetime where
	// that is shorter.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="set maxOffline between 0s and 1h"
	MaxOffline *metav1.Duration `json:"maxOffline,omitempty"`

	// ExpiresAt ends the whole grant, as "2030-12-31T00:00:00Z". Left out, it
	// ends when the object is deleted.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^2[0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// Suspend cuts every holder off, open streams included. Leave it out of Git,
	// so that a revocation is not reverted.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Mode Enforce refuses what is not granted. Observe judges and records by
	// the grants, but forwards all that the UpstreamSecret's ceiling allows and
	// never does not name; it is accepted only where there is a ceiling.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`

	// Client adds environment variables to those that profiles bring.
	// +optional
	Client *Client `json:"client,omitempty"`

	// Sets are matchers with a name, for use by others.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Sets []NamedSet `json:"sets,omitempty"`

	// Grants are what the agent may do.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Grants []Grant `json:"grants"`

	// Never names requests that no grant may allow, proved when the object is
	// compiled.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Never []Never `json:"never,omitempty"`

	// Examples are decided when the object is compiled; one that is not decided
	// as it says makes the object not accepted.
	// +optional
	Examples *Examples `json:"examples,omitempty"`

	// Limits bounds the use of the credential in one pod.
	// +optional
	Limits *CredentialLimits `json:"limits,omitempty"`
}

// UpstreamReference names an UpstreamSecret.
type UpstreamReference struct {
	// Namespace of the UpstreamSecret. Default: that of this object. Another one
	// must list this object's namespace in its consumers.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// Name of the UpstreamSecret.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// Holders says who may hold a credential.
type Holders struct {
	// ServiceAccounts of this namespace whose pods may hold the credential.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ServiceAccounts []string `json:"serviceAccounts"`
}

// Mode says what is done with requests that no grant allows. The zero value is
// Enforce.
// +kubebuilder:validation:Enum=Enforce;Observe
type Mode string

// What is done with requests that no grant allows.
const (
	ModeEnforce Mode = "Enforce"
	ModeObserve Mode = "Observe"
)

// Client says how the agent's programs learn of the credential.
type Client struct {
	// Env are variables set in the agent's containers. Where two credentials of
	// a pod would set the same, the one named first keeps it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is a variable of the agent's environment.
type EnvVar struct {
	// Name of the variable.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`

	// Value holds {token}, or {url:ENDPOINT} for the local address of an
	// endpoint.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.contains('{token}') || self.matches('[{]url:[a-z0-9-]+[}]')",message="write {token} or {url:ENDPOINT} in value"
	Value string `json:"value"`
}

// Examples are requests written as "[endpoint ]METHOD /path[?query]".
type Examples struct {
	// Allow lists requests that are allowed with some headers and body.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])? )?[A-Z]+(-[A-Z]+)* /`
	Allow []string `json:"allow,omitempty"`

	// Deny lists requests that are refused whatever their headers and body.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])? )?[A-Z]+(-[A-Z]+)* /`
	Deny []string `json:"deny,omitempty"`
}

// CredentialLimits bounds the use of a credential, counted in the memory of
// one sidecar.
//
// +kubebuilder:validation:XValidation:rule="has(self.requests) || has(self.concurrency)",message="set requests, concurrency, or both"
type CredentialLimits struct {
	// Requests bounds all allowed requests.
	// +optional
	Requests *RequestRate `json:"requests,omitempty"`

	// Concurrency bounds the requests in flight.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Concurrency *int32 `json:"concurrency,omitempty"`
}

// ScopedCredentialStatus is what was accepted and what is enforced. It holds
// neither scope nor secret.
type ScopedCredentialStatus struct {
	// Conditions are Accepted, ResolvedRefs, Enforced and their summary Ready,
	// where True is good; and, only while they hold, Reconciling and Stalled.
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

	// ScopeHash of the accepted scope. Equal hashes mean equal scopes.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ScopeHash string `json:"scopeHash,omitempty"`

	// Reach counts what the accepted grants name.
	// +optional
	Reach *Reach `json:"reach,omitempty"`

	// Sidecars counts the sidecars that hold the credential.
	// +optional
	Sidecars *SidecarCounts `json:"sidecars,omitempty"`

	// Revocation lists the sidecars that have not yet acknowledged that
	// something was taken away.
	// +optional
	Revocation *Revocation `json:"revocation,omitempty"`
}

// Reach counts what grants name, one for each path and method, push action,
// selected field, tool, resource, prompt, gRPC method and WebSocket.
type Reach struct {
	// Reads is the number of GET and HEAD, fetches, Query fields, resources and
	// prompts.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Reads int32 `json:"reads"`

	// Writes is the number of all that are neither reads nor deletes.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Writes int32 `json:"writes"`

	// Deletes is the number of DELETE and of push actions Delete.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Deletes int32 `json:"deletes"`

	// Opaque is the number of grants with an opaque part, or with a tail capture
	// that has no matcher.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Opaque int32 `json:"opaque"`

	// Summary is the printed form, such as "R12 W5 D1".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Summary string `json:"summary,omitempty"`
}

// SidecarCounts counts the sidecars that hold a credential.
type SidecarCounts struct {
	// Total is the number of running pods that hold the credential.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Total int32 `json:"total"`

	// Enforcing is the number that acknowledged the accepted scope.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Enforcing int32 `json:"enforcing"`

	// Outdated is the number that still enforce an earlier one.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Outdated int32 `json:"outdated"`

	// Summary is the printed form, enforcing/total, such as "4/4".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Summary string `json:"summary,omitempty"`
}

// Revocation says which sidecars may still serve what was taken away, and
// until when.
type Revocation struct {
	// PendingTotal is the number of pods without an acknowledgement.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	PendingTotal int32 `json:"pendingTotal"`

	// Pending lists the first 64 of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Pending []PendingPod `json:"pending,omitempty"`
}

// PendingPod is a pod whose sidecar has not acknowledged.
type PendingPod struct {
	// Pod is the name of the pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod"`

	// Generation is what the sidecar still enforces.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	Generation int64 `json:"generation"`

	// LeaseEnds is when the sidecar stops serving it at the latest, unless it
	// acknowledges before. It is never too early.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^2[0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	LeaseEnds metav1.Time `json:"leaseEnds"`
}
