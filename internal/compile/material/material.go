// Package material reads the key of an upstream from where an UpstreamSecret says
// that it is. Where the Secrets lie, and who may read them, is its caller's
// affair.
package material

import (
	"bytes"
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Reference is a key of a Secret that a source names.
type Reference struct {
	Field string // within spec.source, such as awsKeys.accessKeyIDRef
	v1alpha1.KeyReference
}

// References are all that the source of up names, in the order of its fields. A
// nil up names none, and neither does a source that is not enforced.
func References(up *v1alpha1.UpstreamSecret) []Reference {
	if up == nil {
		return nil
	}
	switch s := &up.Spec.Source; {
	case s.SecretRef != nil:
		return []Reference{{"secretRef", *s.SecretRef}}
	case s.AWSKeys != nil:
		all := []Reference{
			{"awsKeys.accessKeyIDRef", s.AWSKeys.AccessKeyIDRef},
			{"awsKeys.secretAccessKeyRef", s.AWSKeys.SecretAccessKeyRef},
		}
		if s.AWSKeys.SessionTokenRef != nil {
			all = append(all, Reference{"awsKeys.sessionTokenRef", *s.AWSKeys.SessionTokenRef})
		}
		return all
	case s.ClientCertificate != nil:
		return []Reference{
			{"clientCertificate.certRef", s.ClientCertificate.CertRef},
			{"clientCertificate.keyRef", s.ClientCertificate.KeyRef},
		}
	}
	return nil
}

// Key is what is injected. The zero Key is none.
type Key struct {
	Value secret.Value
	// Ends is when it is good no longer; zero: nothing says so.
	Ends time.Time
}

// Problem is what keeps the bytes of a reference from being a key. It says what
// to change, and quotes nothing of them.
type Problem struct {
	Reference
	Err error
}

func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

var errNone = errors.New("the source names no Secret")

// Read reads the key of up at now. look returns the bytes that a reference leads
// to; its errors are returned as they are, all others are a *[Problem].
func Read(up *v1alpha1.UpstreamSecret, look func(Reference) ([]byte, error), now time.Time) (Key, error) {
	references := References(up)
	if len(references) == 0 {
		return Key{}, errNone
	}
	parts := make([]secret.Value, len(references))
	for i, r := range references {
		data, err := look(r)
		if err != nil {
			return Key{}, err
		}
		if parts[i], err = part(up, data); err != nil {
			return Key{}, &Problem{r, err}
		}
	}
	switch s := &up.Spec.Source; {
	case s.AWSKeys != nil:
		return awsKeys(references, parts)
	case s.ClientCertificate != nil:
		return certificate(references, parts, now)
	}
	return Key{Value: parts[0]}, nil
}

// part reads one of the parts of a key.
func part(up *v1alpha1.UpstreamSecret, data []byte) (secret.Value, error) {
	if up.Spec.Source.ClientCertificate == nil {
		return Line(data)
	}
	if len(data) > maxPEM {
		return secret.Value{}, errors.New("it is longer than 64 KiB: no chain of certificates is")
	}
	return secret.New(string(data)), nil
}

// Bounds of a key, in bytes. A line has to fit into a header.
const (
	maxLine = 16 << 10
	maxPEM  = 64 << 10
)

// Line reads a key of one line out of the bytes of a Secret. One line end after
// it is dropped, since files end in one; it refuses other control characters,
// which would end a header early, bytes that are no text, and a key that is
// empty or longer than 16 KiB. No error holds the key.
func Line(data []byte) (secret.Value, error) {
	data = bytes.TrimSuffix(data, []byte("\n"))
	data = bytes.TrimSuffix(data, []byte("\r"))
	switch {
	case len(data) == 0:
		return secret.Value{}, errors.New("the key is empty: write it into the Secret")
	case len(data) > maxLine:
		return secret.Value{}, errors.New("the key is longer than 16 KiB: no header could hold it")
	}
	for _, c := range data {
		if c < ' ' || c > '~' {
			return secret.Value{}, errors.New("the key holds a control character or a byte that is not ASCII: write it without line ends inside")
		}
	}
	return secret.New(string(data)), nil
}

func awsKeys(references []Reference, parts []secret.Value) (Key, error) {
	keys := bundle.AWSKeys{AccessKeyID: parts[0], SecretAccessKey: parts[1]}
	if len(parts) > 2 {
		keys.SessionToken = parts[2]
	}
	for i, p := range parts {
		if hasSpace(p) {
			return Key{}, &Problem{references[i], errors.New("it holds a space: no key of AWS does")}
		}
	}
	value := keys.Secret()
	if _, err := bundle.AWSKeysOf(value); err != nil {
		return Key{}, &Problem{references[0], errors.New("this is no access key id: it has 4 to 128 letters, digits, _, - or dots")}
	}
	return Key{Value: value}, nil
}

// certificate holds a certificate and its key to each other, and to the time: one
// that has expired never gets better. One that is not valid yet does, and whoever
// it is shown to knows when.
func certificate(references []Reference, parts []secret.Value, now time.Time) (Key, error) {
	value := bundle.CertificateSecret(parts[0], parts[1])
	pair, err := bundle.CertificateOf(value)
	switch {
	case errors.Is(err, bundle.ErrNoCertificate):
		return Key{}, &Problem{references[0], err}
	case err != nil:
		return Key{}, &Problem{references[1], err}
	case !now.Before(pair.Leaf.NotAfter):
		return Key{}, &Problem{references[0], errors.New("the certificate has expired: renew it")}
	}
	return Key{Value: value, Ends: pair.Leaf.NotAfter}, nil
}

// hasSpace tells whether a key holds a space.
func hasSpace(v secret.Value) bool { return bytes.IndexByte([]byte(v.Reveal()), ' ') >= 0 }
