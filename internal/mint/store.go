package mint

import (
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Prefix begins the name of the Secret that holds the tokens of an
// UpstreamSecret; its UID follows.
const Prefix = "minted-"

// The keys of that Secret's data.
const (
	keySpec    = "spec"
	keyKeys    = "keys"
	keyAsked   = "asked"
	keyToken   = "token"
	keyMinted  = "minted"
	keyExpires = "expires"
	keyFamily  = "family"
	keyRefresh = "refresh"
	keyInBody  = "client-in-body"
)

// Encode returns the data of the Secret.
func (h *Held) Encode() map[string][]byte {
	data := map[string][]byte{}
	if !h.Token.IsZero() {
		data[keySpec], data[keyKeys] = []byte(h.Spec), []byte(h.Keys)
		if h.Asked != "" {
			data[keyAsked] = []byte(h.Asked)
		}
		data[keyToken] = []byte(h.Token.Reveal())
		data[keyMinted], data[keyExpires] = encodeTime(h.Minted), encodeTime(h.Expires)
	}
	if !h.Refresh.IsZero() {
		data[keyFamily], data[keyRefresh] = []byte(h.Family), []byte(h.Refresh.Reveal())
	}
	if h.InBody {
		data[keyInBody] = []byte("true")
	}
	return data
}

func encodeTime(t time.Time) []byte { return []byte(t.UTC().Format(time.RFC3339)) }

// Decode reads the data of the Secret. A token whose times cannot be read is
// none; the refresh token is kept all the same.
func Decode(data func(key string) ([]byte, bool)) Held {
	text := func(key string) string { b, _ := data(key); return string(b) }
	h := Held{Family: text(keyFamily), Refresh: secret.New(text(keyRefresh)), InBody: text(keyInBody) == "true"}
	minted, err := time.Parse(time.RFC3339, text(keyMinted))
	if err != nil {
		return h
	}
	expires, err := time.Parse(time.RFC3339, text(keyExpires))
	if err != nil || !checkText(text(keyToken)) {
		return h
	}
	h.Spec, h.Keys, h.Asked = text(keySpec), text(keyKeys), text(keyAsked)
	h.Token, h.Minted, h.Expires = secret.New(text(keyToken)), minted, expires
	return h
}

// A Claim says who asks a token endpoint, and since when. It is written before
// the endpoint is asked and with the version that was read, so that of two that
// take themselves for the leader one asks.
type Claim struct {
	Process string // of the manager
	At      time.Time
}

// claimFor is how long a claim holds: longer than one attempt takes.
const claimFor = 45 * time.Second

// String is the text that [ParseClaim] reads.
func (c Claim) String() string { return c.Process + "@" + string(encodeTime(c.At)) }

// ParseClaim reads a claim. What it cannot read claims nothing.
func ParseClaim(text string) Claim {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '@' {
			at, err := time.Parse(time.RFC3339, text[i+1:])
			if err != nil {
				return Claim{}
			}
			return Claim{text[:i], at}
		}
	}
	return Claim{}
}

// Until is when process may ask, which another one claimed; zero: now. Its own
// claim keeps nobody waiting: it knows how that ended.
func (c Claim) Until(process string, now time.Time) time.Time {
	end := c.At.Add(claimFor)
	if c.Process == "" || c.Process == process || !now.Before(end) || c.At.After(now.Add(clockLeeway)) {
		return time.Time{}
	}
	return end
}
