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

// Encoded is a [Credential] that was encoded once for all pods that hold it: it
// is the same for them, but for token and lease. The secret is not in it. It is
// never changed, and safe for concurrent use.
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
	sum := sha256.New()
	err := o.write("", time.Time{}, func(text []byte) { _, _ = sum.Write(text) }, func(i int) error {
		for _, text := range o.Credentials[i].digested() {
			_, _ = sum.Write(text) // it never fails
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Frame returns the line of the frame that brings the state with that digest,
// as [EncodeFrame] has it. grants are those of the credentials, in order.
func (o *Outline) Frame(digest string, leaseEnds time.Time, grants []Grant) ([]byte, error) {
	if len(grants) != len(o.Credentials) {
		return nil, fmt.Errorf("encoding document: %d grants of %d credentials", len(grants), len(o.Credentials))
	}
	line := append(make([]byte, 0, o.size(grants)), frameHead...)
	err := o.write(digest, leaseEnds, func(text []byte) { line = append(line, text...) }, func(i int) (err error) {
		line, err = o.Credentials[i].fill(line, &grants[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	if line = append(line, frameTail...); len(line) > MaxFrame {
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
	comma           = []byte(`,`)
)

// size is about that of a frame.
func (o *Outline) size(grants []Grant) int {
	const others, filled = 1 << 10, 256 // names and keys; a lease and a short secret
	size := len(o.Roots) + others
	for i, e := range o.Credentials {
		size += len(e.head) + len(grants[i].Token) + len(e.middle) + len(e.tail) + filled
	}
	return size
}

// write encodes the state: it has its parts added, and its credentials.
func (o *Outline) write(digest string, leaseEnds time.Time, add func([]byte), credential func(i int) error) error {
	head, err := json.Marshal(&State{
		Version: Version, Digest: digest, LeaseEnds: leaseEnds.UTC(), TokenKeys: o.TokenKeys, Roots: o.Roots, Denied: o.Denied,
	})
	if err != nil {
		return fmt.Errorf("encoding document: %w", err)
	}
	add(head[:len(head)-1]) // its end comes behind the credentials
	add(credentialsHead)
	for i := range o.Credentials {
		if i > 0 {
			add(comma)
		}
		if err := credential(i); err != nil {
			return err
		}
	}
	add(stateTail)
	return nil
}

// digested is the text of e that is digested.
func (e *Encoded) digested() [5][]byte { return [...][]byte{e.head, e.middle, unset, e.tail, noSecret} }

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
