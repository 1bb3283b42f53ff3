package mint

import (
	"hash/fnv"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Held is what is stored of one UpstreamSecret's tokens. The zero Held holds
// nothing. Printing it prints no token.
type Held struct {
	// What the token was minted from.
	Spec, Keys      string
	Asked           string
	Token           secret.Value
	Minted, Expires time.Time

	// Refresh is the newest refresh token of Family.
	Family  string
	Refresh secret.Value

	// InBody says that the token endpoint takes the client's secret in the body.
	InBody bool
}

// Times of minting.
const (
	// clockLeeway is how far ahead the clock may have been that stored a time.
	clockLeeway = 5 * time.Minute
	// atMostEvery bounds how often a token endpoint is asked, however short its
	// tokens live and however often a spec is edited.
	atMostEvery = 5 * time.Second
	// A failure is followed by a wait that doubles from firstBackoff to
	// lastBackoff.
	firstBackoff = 5 * time.Second
	lastBackoff  = 5 * time.Minute
)

// Serves tells whether the token may be used for want at now. A token that
// another spec asked for may do more than this one allows, and is not; one that
// was minted with earlier keys is, until the next one is there, and so is one that
// was asked for other consumers.
func (h *Held) Serves(want Want, now time.Time) bool {
	return !h.Token.IsZero() && h.Spec == want.Spec && now.Before(h.Expires) && !h.Minted.After(now.Add(clockLeeway))
}

// Tries counts what failed since the last success. The zero Tries has seen
// none.
type Tries struct {
	Want  Want // what was wanted; other wants have no failures yet
	Count int
	Last  time.Time // when it was tried last, with success or not
}

// Failed returns t after one more failure at now.
func (t Tries) Failed(want Want, now time.Time) Tries {
	if t.Want != want {
		t.Count = 0
	}
	return Tries{want, t.Count + 1, now}
}

// Due is when the next token is to be minted for j: at once, where none is held
// that was asked for the same; when half of its life is over, or some time after, else; and
// later where it was tried in vain.
func (h *Held) Due(j *Job, t Tries, now time.Time) time.Time {
	want := j.Want()
	var due time.Time
	if h.Serves(want, now) && h.Keys == want.Keys && h.Asked == want.Asked {
		due = h.renewal(j.uid)
	}
	if t.Last.IsZero() || t.Last.After(now.Add(clockLeeway)) {
		return due
	}
	wait := atMostEvery
	if t.Want == want && t.Count > 0 {
		wait = backoff(j.uid, t.Count)
	}
	return later(due, t.Last.Add(wait))
}

// renewal is between one half and two thirds of the life, the same in every
// replica. Two more attempts and their waits fit into what is left of an hour.
func (h *Held) renewal(uid string) time.Time {
	life := h.Expires.Sub(h.Minted)
	at := h.Minted.Add(life/2 + time.Duration(chance(uid, h.Minted.Unix())*float64(life/6)))
	return later(at, h.Minted.Add(atMostEvery))
}

// backoff is how long to wait after so many failures.
func backoff(uid string, failures int) time.Duration {
	wait := lastBackoff
	if shift := failures - 1; shift < 10 {
		wait = min(firstBackoff<<shift, lastBackoff)
	}
	return wait + time.Duration(chance(uid, int64(failures))*float64(wait/4))
}

// chance spreads out what begins at one time, over 0 to 1. It is the same for
// the same UpstreamSecret, so that asking again changes nothing.
func chance(uid string, n int64) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid + "/" + strconv.FormatInt(n, 10))) // never fails
	return float64(h.Sum32()) / (1 << 32)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// RefreshToken is the one to use for j: the newest of its family, else the
// first one, which the spec names.
func (h *Held) RefreshToken(j *Job) secret.Value {
	if want := j.Want(); want.Family != "" && h.Family == want.Family && !h.Refresh.IsZero() {
		return h.Refresh
	}
	return j.refreshToken
}

// Take returns h with what a brought, minted for j at now. An answer without a
// token leaves the token that is held.
func (h Held) Take(j *Job, a Answer, now time.Time) Held {
	want := j.Want()
	if !a.Token.IsZero() {
		h.Spec, h.Keys, h.Asked = want.Spec, want.Keys, want.Asked
		h.Token, h.Minted, h.Expires = a.Token, now, a.Expires
	}
	if want.Family != "" && !a.Refresh.IsZero() {
		h.Family, h.Refresh = want.Family, a.Refresh
	}
	h.InBody = a.InBody
	return h
}
