package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Errors of decoding.
var (
	// ErrVersion is returned for a document that is newer or older than this
	// code reads. It is not guessed at: what is not known cannot be enforced.
	ErrVersion = errors.New("unknown document version")
	// ErrNotCanonical is returned for anything that [Encode] would have written
	// differently: unknown, missing, repeated or differently spelled names.
	ErrNotCanonical = errors.New("not in canonical encoding")
	// ErrTooLarge is returned for more than MaxFrame bytes.
	ErrTooLarge = fmt.Errorf("larger than %d bytes", MaxFrame)
)

// wireState is State with what is written nowhere else.
type wireState struct {
	*State
	Credentials []wireCredential `json:"credentials"`
}

type wireCredential struct {
	*Credential
	Secret []byte `json:"secret"` // Base64 in JSON, since a secret need not be UTF-8
}

type wireFrame struct {
	State     *wireState `json:"state,omitempty"`
	Heartbeat *Heartbeat `json:"heartbeat,omitempty"`
	Revoke    *Revoke    `json:"revoke,omitempty"`
	GoAway    *GoAway    `json:"goaway,omitempty"`
}

// Encode returns the canonical encoding of s, in JSON on one line without its
// end. It holds the secrets: it is for the sidecar's connection alone.
func Encode(s *State) ([]byte, error) { return encode(wire(s)) }

// wire returns s for encoding, with all instants in UTC.
func wire(s *State) *wireState {
	state := *s
	state.LeaseEnds = state.LeaseEnds.UTC()
	w := &wireState{State: &state, Credentials: make([]wireCredential, len(s.Credentials))}
	for i, c := range s.Credentials {
		c.LeaseEnds, c.ExpiresAt, c.SecretExpires = c.LeaseEnds.UTC(), c.ExpiresAt.UTC(), c.SecretExpires.UTC()
		w.Credentials[i] = wireCredential{Credential: &c, Secret: wireSecret(c.Secret)}
	}
	return w
}

func wireSecret(v secret.Value) []byte { return []byte(v.Reveal()) }

// Decode reads what Encode wrote, and nothing else. The error never quotes
// data, which holds secrets.
func Decode(data []byte) (*State, error) {
	if err := checkVersion(data); err != nil {
		return nil, err
	}
	w := &wireState{}
	if err := unmarshal(data, w); err != nil {
		return nil, err
	}
	s, err := w.state()
	if err != nil {
		return nil, err
	}
	again, err := Encode(s)
	return canonical(s, data, again, err)
}

// state returns the State that was read into w.
func (w *wireState) state() (*State, error) {
	if w.State == nil {
		return nil, ErrNotCanonical
	}
	for _, c := range w.Credentials {
		if c.Credential == nil {
			return nil, ErrNotCanonical
		}
		for i := range c.Endpoints {
			if !c.Endpoints[i].Inject.isOne() {
				return nil, fmt.Errorf("endpoint %q: set one way to inject: %w", c.Endpoints[i].Name, ErrNotCanonical)
			}
		}
		c.Credential.Secret = secret.New(string(c.Secret))
		w.State.Credentials = append(w.State.Credentials, *c.Credential)
	}
	return w.State, nil
}

func (i *Inject) isOne() bool {
	return isOne(i.Bearer != nil, i.Header != nil, i.Basic != nil, i.Query != nil, i.AWSSigV4 != nil, i.ClientCertificate != nil)
}

func isOne(set ...bool) bool {
	n := 0
	for _, is := range set {
		if is {
			n++
		}
	}
	return n == 1
}

var lineEnd = []byte("\n")

// EncodeFrame returns the line of a frame, its end included.
func EncodeFrame(f *Frame) ([]byte, error) {
	if !f.isOne() {
		return nil, errors.New("encoding frame: set one field of it")
	}
	w := wireFrame{Revoke: f.Revoke, GoAway: f.GoAway}
	if h := f.Heartbeat; h != nil {
		w.Heartbeat = &Heartbeat{Version: h.Version, Now: h.Now.UTC(), LeaseEnds: h.LeaseEnds.UTC()}
	}
	if f.State != nil {
		w.State = wire(f.State)
	}
	line, err := encode(w)
	if err != nil {
		return nil, err
	}
	return append(line, lineEnd...), nil
}

func (f *Frame) isOne() bool {
	return isOne(f.State != nil, f.Heartbeat != nil, f.Revoke != nil, f.GoAway != nil)
}

// DecodeFrame reads a line of the stream as EncodeFrame wrote it; its end may
// be cut off. The error never quotes the line.
func DecodeFrame(line []byte) (*Frame, error) {
	line = bytes.TrimSuffix(line, lineEnd)
	if err := checkFrameVersion(line); err != nil {
		return nil, err
	}
	w := wireFrame{}
	if err := unmarshal(line, &w); err != nil {
		return nil, err
	}
	f := &Frame{Heartbeat: w.Heartbeat, Revoke: w.Revoke, GoAway: w.GoAway}
	if w.State != nil {
		var err error
		if f.State, err = w.State.state(); err != nil {
			return nil, err
		}
	}
	if !f.isOne() {
		return nil, fmt.Errorf("a frame has one kind: %w", ErrNotCanonical)
	}
	again, err := EncodeFrame(f)
	return canonical(f, line, bytes.TrimSuffix(again, lineEnd), err)
}

// checkFrameVersion does what [checkVersion] does for the parts of a frame that
// have one.
func checkFrameVersion(line []byte) error {
	for _, kind := range []string{"state", "heartbeat"} {
		// As the canonical encoding begins; no second version can follow in that.
		if bytes.HasPrefix(line, fmt.Appendf(nil, `{"%s":{"version":%d,`, kind, Version)) {
			return nil
		}
	}
	var parts struct{ State, Heartbeat json.RawMessage }
	if err := unmarshal(line, &parts); err != nil {
		return err
	}
	for _, part := range []json.RawMessage{parts.State, parts.Heartbeat} {
		if part == nil {
			continue
		}
		if err := checkVersion(part); err != nil {
			return err
		}
	}
	return nil
}

// EncodeAck returns the canonical encoding of an ack.
func EncodeAck(a *Ack) ([]byte, error) { return encode(a) }

// DecodeAck reads what EncodeAck wrote, and nothing else.
func DecodeAck(data []byte) (*Ack, error) {
	if err := checkVersion(data); err != nil {
		return nil, err
	}
	a := &Ack{}
	if err := unmarshal(data, a); err != nil {
		return nil, err
	}
	again, err := EncodeAck(a)
	return canonical(a, data, again, err)
}

// Digest returns the SHA-256 of the canonical encoding of s without what
// changes by time alone, leases and tokens, and without the secrets, which a
// digest would invite to guess: their versions stand for them.
func Digest(s *State) (string, error) {
	w := wire(s)
	w.State.Digest, w.State.LeaseEnds = "", time.Time{}
	for i := range w.Credentials {
		c := &w.Credentials[i]
		c.Secret, c.Token, c.Credential.LeaseEnds = nil, "", time.Time{}
	}
	data, err := encode(w)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding document: %w", err)
	}
	if len(data) >= MaxFrame {
		return nil, ErrTooLarge
	}
	return data, nil
}

// unmarshal reads what is still to be compared with its encoding.
func unmarshal(data []byte, v any) error {
	if len(data) > MaxFrame {
		return ErrTooLarge
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading document: %w", redacted(err))
	}
	return nil
}

// canonical returns v, having compared what it was read from with how that is
// written. So there is no second reading: encoding/json alone would take Secret
// for secret, the last of two equal names, and leave out those it does not know.
func canonical[T any](v *T, data, again []byte, err error) (*T, error) {
	if err == nil && !bytes.Equal(data, again) {
		err = ErrNotCanonical
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// checkVersion looks at the version before anything else is understood.
func checkVersion(data []byte) error {
	var v struct{ Version int }
	if err := unmarshal(data, &v); err != nil {
		return err
	}
	if v.Version != Version {
		return fmt.Errorf("version %d, not %d: %w", v.Version, Version, ErrVersion)
	}
	return nil
}

// redacted cuts err down to its kind and place: the messages of encoding/json
// quote what they could not read, and here that may be a secret.
func redacted(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON at byte %d", syntax.Offset)
	case errors.As(err, &typ):
		return fmt.Errorf("wrong type at byte %d", typ.Offset)
	}
	return errors.New("no document")
}
