package bundle

import (
	"time"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// MaxFrame bounds one encoded frame, its line end included, in bytes.
const MaxFrame = 4 << 20

// A Frame is one line of the stream from broker to sidecar. Exactly one field
// is set.
type Frame struct {
	State     *State
	Heartbeat *Heartbeat
	Revoke    *Revoke
	GoAway    *GoAway
}

// A Heartbeat says that nothing has changed and how long that holds.
type Heartbeat struct {
	Version   int       `json:"version"`
	Now       time.Time `json:"now"` // by the clock of the broker
	LeaseEnds time.Time `json:"leaseEnds"`
}

// A Revoke cuts a credential off before the next [State] says so.
type Revoke struct {
	UID    string       `json:"uid"` // of the ScopedCredential
	Reason scope.Reason `json:"reason"`
}

// A GoAway asks the sidecar to open another stream. The leases go on.
type GoAway struct {
	Reason     string        `json:"reason"` // for the log
	RetryAfter time.Duration `json:"retryAfter"`
}

// An Ack is what a sidecar answers to a state or a revoke.
type Ack struct {
	Version int          `json:"version"` // newest document version that the sidecar reads
	Digest  string       `json:"digest"`  // of the state in force
	Applied bool         `json:"applied"` // the last frame is in force, but for Errors
	Errors  []ApplyError `json:"errors,omitempty"`
	Seen    []Seen       `json:"seen,omitempty"`
}

// Seen counts decisions since the ack before.
type Seen struct {
	Credential string       `json:"credential"` // namespace/name
	Grant      string       `json:"grant"`      // empty where none matched
	Reason     scope.Reason `json:"reason"`     // empty where allowed
	Count      uint64       `json:"count"`
}
