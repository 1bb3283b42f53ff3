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

// Same tells whether o and p are made of the same, which is soon found out: of
// credentials it is asked whether they were encoded together.
func (o *Outline) Same(p *Outline) bool {
	return (o.TokenKeys == nil) == (p.TokenKeys == nil) && // which are written differently
		o.Roots == p.Roots && slices.Equal(o.Credentials, p.Credentials) && slices.Equal(o.Denied, p.Denied) &&
		slices.EqualFunc(o.TokenKeys, p.TokenKeys, func(a, b TokenKey) bool { return a.ID == b.ID && bytes.Equal(a.Public, b.Public) })
}

// A Template is an [Outline] that was encoded once for all pods that have it. It
// is never changed, and safe for concurrent use.
type Template struct {
	digest string
	// the text before the lease, and from there to the credentials
	head, middle []byte
	credentials  []*Encoded
}

// Template encodes o, which must not be changed afterwards.
func (o *Outline) Template() (*Template, error) {
	t := &Template{credentials: o.Credentials}
	if err := t.encode(o, ""); err != nil {
		return nil, err
	}
	sum := sha256.New()
	for _, text := range [][]byte{t.head, unset, t.middle} {
		_, _ = sum.Write(text) // it never fails
	}
	for i, e := range o.Credentials {
		if i > 0 {
			_, _ = sum.Write(comma)
		}
		for _, text := range e.digested() {
			_, _ = sum.Write(text)
		}
	}
	_, _ = sum.Write(stateTail)
	t.digest = hex.EncodeToString(sum.Sum(nil))
	return t, t.encode(o, t.digest)
}

// encode sets the texts of t.
func (t *Template) encode(o *Outline, digest string) error {
	text, err := json.Marshal(&State{Version: Version, Digest: digest, TokenKeys: o.TokenKeys, Roots: o.Roots, Denied: o.Denied})
	if err != nil {
		return fmt.Errorf("encoding document: %w", err)
	}
	head, middle, ok := bytes.Cut(text, unset) // the first instant: a digest holds none
	if !ok {
		return errors.New("encoding document: the lease is not where it is filled in")
	}
	middle = middle[:len(middle)-1] // its end comes behind the credentials
	t.head, t.middle = slices.Clip(head), slices.Concat(middle, credentialsHead)
	return nil
}

// Digest is that of every state that is made of t, as the function of that name
// has it.
func (t *Template) Digest() string { return t.digest }

// Frame returns the line of the frame that brings the state, as [EncodeFrame]
// has it. grants are those of the credentials, in order.
func (t *Template) Frame(leaseEnds time.Time, grants []Grant) ([]byte, error) {
	if len(grants) != len(t.credentials) {
		return nil, fmt.Errorf("encoding document: %d grants of %d credentials", len(grants), len(t.credentials))
	}
	line := append(make([]byte, 0, t.size(grants)), frameHead...)
	line = append(append(line, t.head...), encodedTime(leaseEnds)...)
	line = append(line, t.middle...)
	for i, e := range t.credentials {
		if i > 0 {
			line = append(line, comma...)
		}
		var err error
		if line, err = e.fill(line, &grants[i]); err != nil {
			return nil, err
		}
	}
	line = append(append(line, stateTail...), frameTail...)
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
	comma           = []byte(`,`)
)

// size is about that of a frame.
func (t *Template) size(grants []Grant) int {
	const others, filled = 128, 256 // what is between the parts; a lease and a short secret
	size := len(t.head) + len(t.middle) + others
	for i, e := range t.credentials {
		size += len(e.head) + len(grants[i].Token) + len(e.middle) + len(e.tail) + filled
	}
	return size
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
