package bundle

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// A Credential is the same for all pods that hold it, but for token and lease.
// An Encoded is what is the same, encoded once for all of them. The secret is
// not in it. It is never changed.
type Encoded struct {
	// the text before the token, from there to the lease, and from there to the
	// secret.
	head, middle, tail []byte
}

// unset is how an instant that is to be filled in is encoded.
var unset = encodedTime(time.Time{})

// EncodeCredential returns c for outlines, whatever its token, lease and secret
// are.
func EncodeCredential(c *Credential) (*Encoded, error) {
	shared := *c
	shared.Token = rand.Text() // which nobody has written into a document
	shared.LeaseEnds, shared.ExpiresAt = time.Time{}, c.ExpiresAt.UTC()
	text, err := encode(wireCredential{Credential: &shared})
	if err != nil {
		return nil, err
	}
	head, rest, ok := bytes.Cut(text, []byte(shared.Token))
	middle, tail, cut := bytes.Cut(rest, unset) // the lease is the next instant
	tail, end := bytes.CutSuffix(tail, noSecret)
	if !ok || !cut || !end {
		return nil, errors.New("encoding document: token, lease and secret are not where they are filled in")
	}
	return &Encoded{slices.Clip(head), slices.Clip(middle), slices.Clip(tail)}, nil
}

// A Grant is what one pod gets of one credential besides what all get.
type Grant struct {
	Token     string
	LeaseEnds time.Time
	Secret    secret.Value
}

// An Outline is the state of many pods, without what differs between them.
type Outline struct {
	TokenKeys   []TokenKey
	Roots       string
	Denied      []Denial
	Credentials []*Encoded
}

// Digest is that of every state that o is the outline of, as [Digest] has it.
func (o *Outline) Digest() (string, error) {
	text, err := o.state("", time.Time{}, nil)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Frame returns the line of the frame that brings the state with that digest,
// as [EncodeFrame] has it. grants are those of the credentials, in order.
func (o *Outline) Frame(digest string, leaseEnds time.Time, grants []Grant) ([]byte, error) {
	if len(grants) != len(o.Credentials) {
		return nil, fmt.Errorf("encoding document: %d grants of %d credentials", len(grants), len(o.Credentials))
	}
	state, err := o.state(digest, leaseEnds, grants)
	if err != nil {
		return nil, err
	}
	line := slices.Concat(frameHead, state, frameTail)
	if len(line) > MaxFrame {
		return nil, ErrTooLarge
	}
	return line, nil
}

// How the parts are put together.
var (
	frameHead       = []byte(`{"state":`)
	frameTail       = []byte("}\n")
	credentialsHead = []byte(`,"credentials":[`)
	stateTail       = []byte(`]}`)
	noSecret        = []byte(`null}`)
)

// state encodes the state that has these grants, or, of nil, the text that is
// digested.
func (o *Outline) state(digest string, leaseEnds time.Time, grants []Grant) ([]byte, error) {
	head, err := json.Marshal(&State{
		Version: Version, Digest: digest, LeaseEnds: leaseEnds.UTC(), TokenKeys: o.TokenKeys, Roots: o.Roots, Denied: o.Denied,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding document: %w", err)
	}
	size := len(head) + len(credentialsHead) + len(stateTail)
	for i, e := range o.Credentials {
		size += len(e.head) + len(e.middle) + len(e.tail) + roomToFill
		if grants != nil {
			size += len(grants[i].Token)
		}
	}
	text := append(make([]byte, 0, size), head[:len(head)-1]...)
	text = append(text, credentialsHead...)
	for i, e := range o.Credentials {
		if i > 0 {
			text = append(text, ',')
		}
		if grants == nil {
			text = e.digested(text)
			continue
		}
		if text, err = e.fill(text, &grants[i]); err != nil {
			return nil, err
		}
	}
	return append(text, stateTail...), nil
}

// roomToFill is for the lease and a short secret.
const roomToFill = 256

// digested appends e as it is digested.
func (e *Encoded) digested(text []byte) []byte {
	text = append(append(text, e.head...), e.middle...)
	text = append(append(text, unset...), e.tail...)
	return append(text, noSecret...)
}

// fill appends e with g.
func (e *Encoded) fill(text []byte, g *Grant) ([]byte, error) {
	if !plain(g.Token) {
		return nil, errors.New("encoding document: the token is no compact JWS")
	}
	revealed, err := json.Marshal(wireSecret(g.Secret))
	if err != nil {
		return nil, fmt.Errorf("encoding document: %w", err)
	}
	text = append(append(text, e.head...), g.Token...)
	text = append(append(text, e.middle...), encodedTime(g.LeaseEnds)...)
	text = append(append(text, e.tail...), revealed...)
	return append(text, '}'), nil
}

// plain tells whether a token needs no escapes in JSON.
func plain(token string) bool {
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// encodedTime is t as encoding/json writes it.
func encodedTime(t time.Time) []byte {
	return t.UTC().AppendFormat(nil, `"`+time.RFC3339Nano+`"`)
}
