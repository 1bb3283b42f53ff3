// Package sigv4 has requests signed with AWS Signature Version 4, by the signer
// of AWS's own SDK.
//
// An agent's client signs as well, with its token for an access key id and a key
// that is none. Of its signature the id and the scope are read, and nothing of it
// goes upstream: what is signed is what is forwarded, as it was judged, for the
// region and the service that the owner of the credential named.
package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Signer signs for one service in one region with one account's keys. It is
// safe for concurrent use. What it derives of the keys goes with it.
type Signer struct {
	region, service string
	keys            bundle.AWSKeys
	signer          *v4.Signer
}

// Names of the fields that a signature consists of. Those of the agent never go
// upstream.
const (
	authorization = "Authorization"
	dateHeader    = "X-Amz-Date"
	digestHeader  = "X-Amz-Content-Sha256"
	tokenHeader   = "X-Amz-Security-Token"
)

// Own are the fields that the Signer writes besides Authorization.
var Own = []string{dateHeader, digestHeader, tokenHeader}

// objectServices are those in whose signatures a path is encoded once. All
// others encode it twice ("Create a signed AWS API request", step 1).
var objectServices = []string{"s3", "s3-outposts", "s3-object-lambda"}

// New returns the Signer of in with the keys that s has.
func New(in *bundle.SignatureInjection, s secret.Value) (*Signer, error) {
	keys, err := bundle.AWSKeysOf(s)
	if err != nil {
		return nil, err
	}
	if !isLabel(in.Region) || !isLabel(in.Service) {
		return nil, errors.New("reading inject: awsSigV4 needs a region and a service of lower-case letters, digits and hyphens")
	}
	if !isPrintable(keys.SecretAccessKey.Reveal()) || !isPrintable(keys.SessionToken.Reveal()) {
		return nil, errors.New("reading the secret: its keys hold characters that no key has")
	}
	object := slices.Contains(objectServices, in.Service)
	return &Signer{
		region: in.Region, service: in.Service, keys: keys,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = object }),
	}, nil
}

func isLabel(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Service is what s signs for.
func (s *Signer) Service() string { return s.service }

// Secrets are what must not come back in an answer.
func (s *Signer) Secrets() []string {
	all := []string{s.keys.AccessKeyID.Reveal(), s.keys.SecretAccessKey.Reveal()}
	if !s.keys.SessionToken.IsZero() {
		all = append(all, s.keys.SessionToken.Reveal())
	}
	return all
}

// Request is a request as it goes upstream. Target is spelled by [Spell].
type Request struct {
	Method, Target, Host string
	Fields               []scope.Field // all but Host, those of framing, and the signature's own
	Length               int64         // of a body whose length is sent; else 0
	Digest               string        // of the body, from [Signer.Digest]
}

// Sign calls field with each field that signs r at now.
func (s *Signer) Sign(ctx context.Context, r *Request, now time.Time, field func(name, value string)) error {
	path, query, _ := strings.Cut(r.Target, "?")
	// Without a scheme no port is taken for its usual one: Host is signed as it
	// is sent. The path is given as Opaque, since the signer takes that as it is.
	out := &http.Request{
		Method: r.Method, Host: r.Host, Header: make(http.Header, len(r.Fields)+len(Own)+1), ContentLength: r.Length,
		URL: &url.URL{Host: r.Host, Opaque: "//" + r.Host + path, RawQuery: query},
	}
	for i := range r.Fields {
		out.Header.Add(r.Fields[i].Name, r.Fields[i].Value)
	}
	out.Header.Set(digestHeader, r.Digest) // S3 needs it, and others take it
	keys := aws.Credentials{
		AccessKeyID: s.keys.AccessKeyID.Reveal(), SecretAccessKey: s.keys.SecretAccessKey.Reveal(), SessionToken: s.keys.SessionToken.Reveal(),
	}
	if err := s.signer.SignHTTP(ctx, keys, out, r.Digest, s.service, s.region, now); err != nil {
		return errors.New("signing the request: the signer refuses it") // its words may hold the request
	}
	for _, name := range Own {
		if value := out.Header.Get(name); value != "" {
			field(name, value)
		}
	}
	field(authorization, out.Header.Get(authorization))
	return nil
}

// unsigned stands for the digest of a body that is not signed.
const unsigned = "UNSIGNED-PAYLOAD"

// Whole tells whether a body has to be read before it can be sent, since its
// digest is signed. S3 takes others, but not in clear text.
func (s *Signer) Whole(tls bool) bool { return s.service != "s3" || !tls }

// Digest returns what is signed of a body: all of it where it was read whole.
// Of one that was not, it is what the agent says, to which S3 holds the body;
// or nothing. It is not ok where the agent says what is not true.
func (s *Signer) Digest(fields []scope.Field, body []byte, whole bool) (digest string, ok bool) {
	said := valueOf(fields, digestHeader)
	if !isDigest(said) {
		said = ""
	}
	switch {
	case whole:
		sum := sha256.Sum256(body)
		digest = hex.EncodeToString(sum[:])
		return digest, said == "" || said == digest
	case said != "":
		return strings.Clone(said), true
	}
	return unsigned, true
}

func isDigest(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, "0123456789abcdef") == ""
}

// Spell appends a canonical request target to dst as AWS spells it: in its path
// all is escaped but what is unreserved. So the path that is sent is the one that
// is signed, whether a service takes it as it came or decodes it first.
func Spell(dst, target []byte) []byte {
	for i, c := range target {
		switch {
		case c == '?':
			return append(dst, target[i:]...)
		case strings.IndexByte("!$&'()*+,;=:@", c) >= 0:
			const digits = "0123456789ABCDEF"
			dst = append(dst, '%', digits[c>>4], digits[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// valueOf returns the value of a field that occurs once at most.
func valueOf(fields []scope.Field, name string) string {
	for i := range fields {
		if text.EqualFold(fields[i].Name, name) {
			return fields[i].Value
		}
	}
	return ""
}
