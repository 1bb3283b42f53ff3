package scope

// Reason is why a request was refused or an object was not accepted. The set
// is closed and shared by answers, audit records, metrics and conditions.
type Reason string

// Reasons of refused requests.
const (
	Malformed           Reason = "Malformed"
	Unauthenticated     Reason = "Unauthenticated"
	OutOfScope          Reason = "OutOfScope"       // no grant has this method and path
	ParameterRefused    Reason = "ParameterRefused" // one has, but query, headers or body do not pass
	BeyondCeiling       Reason = "BeyondCeiling"
	TooLarge            Reason = "TooLarge"
	TooSlow             Reason = "TooSlow"
	RateLimited         Reason = "RateLimited"
	NotReady            Reason = "NotReady"
	LeaseExpired        Reason = "LeaseExpired"
	Revoked             Reason = "Revoked"
	Suspended           Reason = "Suspended"
	Expired             Reason = "Expired"
	VersionWentBack     Reason = "VersionWentBack"
	ClockSkew           Reason = "ClockSkew"
	Unrecorded          Reason = "Unrecorded"
	DestinationRefused  Reason = "DestinationRefused"
	UpstreamUnreachable Reason = "UpstreamUnreachable"
	UpstreamTimeout     Reason = "UpstreamTimeout"
	AnswerRefused       Reason = "AnswerRefused"
)

// Verdict is the outcome of a decision. The zero value denies.
type Verdict uint8

// The verdicts.
const (
	Deny Verdict = iota
	Allow
)
