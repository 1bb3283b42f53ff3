package v1alpha1

// Types of the conditions in the status of both kinds. Each carries the
// generation that it speaks of.
const (
	// ConditionAccepted is True when the spec was compiled and every feature
	// that it uses can be enforced. Positive; always present once the object
	// was seen. False leaves the last accepted scope in force and keeps the
	// generation of that one in its message; where there is none, every request
	// is refused. Reasons: Accepted, Invalid, Unsupported, NotWithinCeiling,
	// NeverViolated, ExampleFailed, SchemaTooOld, Pending.
	ConditionAccepted = "Accepted"

	// ConditionResolvedRefs is True when every object that the spec names is
	// there and may be read, and where tokens are minted the last attempt
	// brought one. Positive; always present once the object was seen.
	// Reasons: Accepted, NotFound, NotPermitted, Invalid, Pending, and of minting
	// DestinationRefused, UpstreamUnreachable, UpstreamTimeout, AnswerRefused.
	ConditionResolvedRefs = "ResolvedRefs"

	// ConditionEnforced is True when every sidecar that holds the credential
	// and has a running lease acknowledged the accepted generation, and when no
	// pod holds it yet (reason NoSidecars). Positive; on ScopedCredentials,
	// always present once the object was seen. Reasons: Accepted, NoSidecars,
	// Pending, SidecarRefused, AttestationFailed.
	ConditionEnforced = "Enforced"

	// ConditionReady sums the others up: True when Accepted, ResolvedRefs and,
	// on ScopedCredentials, Enforced are True. Positive; always present once
	// the object was seen. Its reason and message are those of the first
	// condition that is not True. Suspended, Revoked and Expired are reasons of
	// its own: the credential is intact and serves nobody.
	ConditionReady = "Ready"

	// ConditionReconciling is True while the controller works towards the
	// generation it names. Negative; present only then. Reasons: Pending, and
	// UpstreamUnreachable and UpstreamTimeout of a token endpoint that is asked
	// again.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is True when only a change of the object, or of one that
	// it names, can help. Negative; present only then, with the reason of the
	// condition that failed.
	ConditionStalled = "Stalled"
)

// Reasons of conditions. They are one closed set with the reasons of refused
// requests below: an answer, an audit record, a metric and a condition that
// speak of the same thing use the same word.
const (
	// ReasonAccepted: what the condition asks for holds.
	ReasonAccepted = "Accepted"
	// ReasonInvalid: the spec, or the text of an object that it names, cannot
	// be compiled. The message names field, value and remedy.
	ReasonInvalid = "Invalid"
	// ReasonUnsupported: the spec uses a feature that this release does not
	// enforce. The message names the field.
	ReasonUnsupported = "Unsupported"
	// ReasonNotWithinCeiling: a grant allows a request that the UpstreamSecret's
	// ceiling does not. The message shows one.
	ReasonNotWithinCeiling = "NotWithinCeiling"
	// ReasonNeverViolated: a grant allows a request that an entry of never
	// names. The message shows one.
	ReasonNeverViolated = "NeverViolated"
	// ReasonExampleFailed: an entry of examples is not decided as it says.
	ReasonExampleFailed = "ExampleFailed"
	// ReasonNotFound: an object that the spec names does not exist, or is not
	// shared with this namespace; the two look the same.
	ReasonNotFound = "NotFound"
	// ReasonNotPermitted: the manager may not read an object that the spec
	// names. The message names the RoleBinding to add.
	ReasonNotPermitted = "NotPermitted"
	// ReasonSidecarRefused: a sidecar refused the document, as one that is older
	// than the features it uses.
	ReasonSidecarRefused = "SidecarRefused"
	// ReasonNoSidecars: no running pod holds the credential yet.
	ReasonNoSidecars = "NoSidecars"
	// ReasonPending: work on this generation goes on.
	ReasonPending = "Pending"
	// ReasonAttestationFailed: a pod that asks for the credential is not what
	// injection made of it.
	ReasonAttestationFailed = "AttestationFailed"
	// ReasonSchemaTooOld: the installed CustomResourceDefinition is older than
	// this manager. Apply the release's CRDs.
	ReasonSchemaTooOld = "SchemaTooOld"
)

// Reasons of refused requests. Some of them appear in conditions too.
const (
	// ReasonMalformed: the request can be read in more than one way, or in none.
	ReasonMalformed = "Malformed"
	// ReasonUnauthenticated: no token, or one that is not good here.
	ReasonUnauthenticated = "Unauthenticated"
	// ReasonOutOfScope: no grant has this method and path.
	ReasonOutOfScope = "OutOfScope"
	// ReasonParameterRefused: a grant has this method and path, but query,
	// headers, body, ref, tool or selection do not pass.
	ReasonParameterRefused = "ParameterRefused"
	// ReasonBeyondCeiling: a grant allows it, the ceiling does not.
	ReasonBeyondCeiling = "BeyondCeiling"
	// ReasonTooLarge: target, headers or body exceed their bound.
	ReasonTooLarge = "TooLarge"
	// ReasonTooSlow: the request did not arrive in time.
	ReasonTooSlow = "TooSlow"
	// ReasonRateLimited: a limit of a grant or of the credential is used up.
	ReasonRateLimited = "RateLimited"
	// ReasonNotReady: the sidecar has no scope for this credential yet.
	ReasonNotReady = "NotReady"
	// ReasonLeaseExpired: the sidecar was cut off from the broker for longer
	// than maxOffline.
	ReasonLeaseExpired = "LeaseExpired"
	// ReasonRevoked: the credential was taken from this pod.
	ReasonRevoked = "Revoked"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonExpired: spec.expiresAt has passed.
	ReasonExpired = "Expired"
	// ReasonVersionWentBack: the sidecar was offered an older generation than
	// the one it has.
	ReasonVersionWentBack = "VersionWentBack"
	// ReasonClockSkew: the clocks of node and broker are too far apart to judge
	// a token's times.
	ReasonClockSkew = "ClockSkew"
	// ReasonUnrecorded: no audit record can be written, and without a record
	// there is no call.
	ReasonUnrecorded = "Unrecorded"
	// ReasonDestinationRefused: the upstream's name resolves to an address that
	// the UpstreamSecret does not allow.
	ReasonDestinationRefused = "DestinationRefused"
	// ReasonUpstreamUnreachable: no connection to the upstream, or its
	// certificate does not hold.
	ReasonUpstreamUnreachable = "UpstreamUnreachable"
	// ReasonUpstreamTimeout: the upstream did not answer in time.
	ReasonUpstreamTimeout = "UpstreamTimeout"
	// ReasonAnswerRefused: the upstream's answer cannot be passed on.
	ReasonAnswerRefused = "AnswerRefused"
)
