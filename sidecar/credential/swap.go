// Package credential exchanges what an agent shows for what the upstream
// wants.
//
// One rule, an UpstreamSecret's `inject`, drives both: the agent's token is
// taken from the very place where the credential is put, so that an unmodified
// client works, and nothing of the agent's can stand beside the credential.
package credential

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/credential/sigv4"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
)

// Refusals of requests.
var (
	// ErrMissing is a request without a token in its place.
	ErrMissing = errors.New("there is no token where the credential goes")
	// ErrAmbiguous is a request that fills the place twice, or in a spelling
	// that some servers take for it.
	ErrAmbiguous = errors.New("the place where the credential goes is filled twice")

	errSignatureFields = fmt.Errorf("%w: X-Amz-Date, X-Amz-Content-Sha256 and X-Amz-Security-Token occur once at most, in this spelling", ErrAmbiguous)
	errSignatureQuery  = fmt.Errorf("%w: sign in the Authorization header, not in the query, which has no place for it", ErrAmbiguous)
)

// Swap is the rule of one endpoint, with the credential in it. It is an
// immutable value, safe for concurrent use. The zero Swap takes no token.
type Swap struct {
	header    string // name of the field; empty for the query
	query     string // name of the parameter; empty for a header
	basic     bool
	prefix    string // of the value of the field, before what is secret
	other     string // that agents may show their token behind instead
	suffix    string
	rendered  secret.Value  // the whole value of the field, or the escaped one of the parameter; zero: nothing is put there
	signer    *sigv4.Signer // nil: the credential is put there as it is
	challenge string
	mask      mask.Mask

	in bundle.Inject // what it was made of
	of secret.Value
}

const authorization = "Authorization"

// New returns the rule that puts s where in says. One line end behind the
// secret's text is dropped, since files end in one; any other control
// character is refused, as is a secret that is too short to be masked. Errors never quote the secret.
//
// A certificate is for the connection: with one, nothing is put into a request.
func New(in bundle.Inject, s secret.Value) (*Swap, error) {
	w, err := place(in)
	switch {
	case err != nil: // there is no place to put anything
	case in.AWSSigV4 != nil:
		err = w.sign(in.AWSSigV4, s)
	case in.ClientCertificate == nil:
		err = w.render(in, s)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Next returns the rule that takes the place of before, which may be nil: before
// itself where nothing changes, since to look for all spellings of a key takes
// tables that are long in the making. Answers are masked of the credential of both,
// also those to what was sent by before. One caller at a time. Errors are those of
// [New].
func Next(before *Swap, in bundle.Inject, s secret.Value) (*Swap, error) {
	if before != nil && reflect.DeepEqual(before.in, in) && before.of.Equal(s) {
		return before, nil
	}
	w, err := New(in, s)
	if err != nil {
		return nil, err
	}
	w.in, w.of = in, s
	if before != nil {
		w.mask = w.mask.Follow(before.mask)
	}
	return w, nil
}

// render writes the secret as it is put into its place.
func (w *Swap) render(in bundle.Inject, s secret.Value) error {
	value := strings.TrimSuffix(strings.TrimSuffix(s.Reveal(), "\n"), "\r")
	if err := check(value); err != nil {
		return err
	}
	if err := w.hide(value); err != nil {
		return err
	}
	switch {
	case w.query != "":
		w.rendered = secret.New(escapeQuery(value))
	case w.basic:
		pair := in.Basic.Username + ":" + value
		w.rendered = secret.New(w.prefix + base64.StdEncoding.EncodeToString([]byte(pair)))
	default:
		w.rendered = secret.New(w.prefix + value + w.suffix)
	}
	return nil
}

// sign has requests signed with the secret.
func (w *Swap) sign(in *bundle.SignatureInjection, s secret.Value) error {
	var err error
	if w.signer, err = sigv4.New(in, s); err != nil {
		return err
	}
	return w.hide(w.signer.Secrets()...)
}

// hide masks these secrets in answers.
func (w *Swap) hide(secrets ...string) (err error) {
	if w.mask, err = mask.New(secrets...); err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	return nil
}

// place reads where the credential goes; exactly one place must be given.
func place(in bundle.Inject) (*Swap, error) {
	var found []*Swap
	var err error
	if in.Bearer != nil {
		// GitHub's clients show a token that is no JWT behind another scheme.
		found = append(found, &Swap{header: authorization, prefix: "Bearer ", other: "token ", challenge: "Bearer"})
	}
	if in.Header != nil {
		w, e := headerPlace(in.Header)
		found, err = append(found, w), e
	}
	if in.Basic != nil {
		w, e := basicPlace(in.Basic)
		found, err = append(found, w), e
	}
	if in.Query != nil {
		w, e := queryPlace(in.Query)
		found, err = append(found, w), e
	}
	if in.AWSSigV4 != nil {
		found = append(found, &Swap{header: authorization, prefix: sigv4.Prefix})
	}
	if in.ClientCertificate != nil {
		found = append(found, &Swap{header: authorization, prefix: "Bearer ", challenge: "Bearer"})
	}
	if len(found) != 1 {
		return nil, errors.New("reading inject: exactly one of bearer, header, basic, query, awsSigV4 and clientCertificate must be given")
	}
	return found[0], err
}

const placeholder = "{secret}"

func headerPlace(h *bundle.HeaderInjection) (*Swap, error) {
	template := h.Template
	if template == "" {
		template = placeholder
	}
	prefix, suffix, ok := strings.Cut(template, placeholder)
	switch {
	case !ok || strings.Contains(suffix, placeholder):
		return nil, fmt.Errorf("reading inject: header.template must hold %s once", placeholder)
	case text.HasControl(prefix + suffix):
		return nil, errors.New("reading inject: header.template must not hold control characters")
	case !http1.IsToken(h.Name) || http1.IsHopByHop(h.Name):
		return nil, errors.New("reading inject: header.name must be a field name, and none of those that frame a message")
	}
	return &Swap{header: h.Name, prefix: prefix, suffix: suffix}, nil
}

func basicPlace(b *bundle.BasicInjection) (*Swap, error) {
	if strings.Contains(b.Username, ":") || check(b.Username) != nil {
		return nil, errors.New("reading inject: basic.username must not be empty or hold a colon or control characters")
	}
	return &Swap{header: authorization, basic: true, prefix: "Basic ", challenge: `Basic realm="sallyport"`}, nil
}

func queryPlace(q *bundle.QueryInjection) (*Swap, error) {
	if q.Name == "" {
		return nil, errors.New("reading inject: query.name must not be empty")
	}
	return &Swap{query: q.Name}, nil
}

// check refuses what cannot be a credential. White space around it would not
// survive in a header field, so it would not be the credential that is sent.
func check(value string) error {
	switch {
	case value == "":
		return errors.New("reading the secret: it is empty")
	case text.HasControl(value):
		return errors.New("reading the secret: it holds control characters besides one line end behind it")
	case strings.TrimSpace(value) != value:
		return errors.New("reading the secret: it begins or ends with white space")
	}
	return nil
}

// Take returns the token of a request, and takes it out of req where it is in
// the query. fields are all fields that came with it. The error is
// [ErrMissing] or [ErrAmbiguous].
func (w *Swap) Take(fields []scope.Field, req *scope.Request) (string, error) {
	switch {
	case w.query != "":
		return fromQuery(req.TakeQuery(w.query))
	case w.signer != nil && sigv4.Ambiguous(fields):
		return "", errSignatureFields
	case w.signer != nil && sigv4.InQuery(req):
		return "", errSignatureQuery
	}
	return w.fromFields(fields)
}

func (w *Swap) fromFields(fields []scope.Field) (string, error) {
	value, found := "", false
	for i := range fields {
		name := fields[i].Name
		switch {
		case len(name) != len(w.header):
		case text.EqualFold(name, w.header):
			if found {
				return "", ErrAmbiguous
			}
			value, found = fields[i].Value, true
		case scope.SecondSpelling(name, w.header):
			return "", ErrAmbiguous
		}
	}
	return w.unwrap(value)
}

func fromQuery(value string, n int) (string, error) {
	switch {
	case n > 1:
		return "", ErrAmbiguous
	case value == "":
		return "", ErrMissing
	}
	return value, nil
}

// unwrap takes the token out of the value of the field. The name of an
// authentication scheme has no letter case (RFC 9110, 11.1).
func (w *Swap) unwrap(value string) (string, error) {
	prefix := w.prefix
	if w.other != "" && startsWith(value, w.other) {
		prefix = w.other
	}
	if len(value) <= len(prefix)+len(w.suffix) || !startsWith(value, prefix) || !strings.HasSuffix(value, w.suffix) {
		return "", ErrMissing
	}
	token := value[len(prefix) : len(value)-len(w.suffix)]
	switch {
	case w.signer != nil:
		return fromSignature(value)
	case !w.basic:
		return token, nil
	}
	pair, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", ErrMissing
	}
	_, password, _ := strings.Cut(string(pair), ":") // the user name is the client's own affair
	if password == "" {
		return "", ErrMissing
	}
	return password, nil
}

// startsWith tells whether value has this prefix, whatever the letter case.
func startsWith(value, prefix string) bool {
	return len(value) >= len(prefix) && text.EqualFold(value[:len(prefix)], prefix)
}

// fromSignature takes the token out of a signature. Its algorithm has one
// spelling, other than a scheme of HTTP.
func fromSignature(value string) (string, error) {
	parameters, ok := strings.CutPrefix(value, sigv4.Prefix)
	token, is := sigv4.Token(parameters)
	if !ok || !is {
		return "", ErrMissing
	}
	return token, nil
}

// Drops tells whether a field of the agent stays behind whatever a grant says:
// the place of the credential, and every other that authenticates.
func (w *Swap) Drops(name string) bool {
	if w.signer != nil && sigv4.IsOwn(name) {
		return true
	}
	switch len(name) {
	case len(w.header):
		if text.EqualFold(name, w.header) {
			return true
		}
	case len("Cookie"), len(authorization), len("Proxy-Authorization"):
	default:
		return false
	}
	return text.EqualFold(name, "Cookie") || text.EqualFold(name, authorization) || text.EqualFold(name, "Proxy-Authorization")
}

// AppendQuery appends the credential to a request target, where it goes there.
// hasQuery tells whether the target has a query already.
func (w *Swap) AppendQuery(target []byte, hasQuery bool) []byte {
	if w.query == "" {
		return target
	}
	separator := byte('?')
	if hasQuery {
		separator = '&'
	}
	target = append(append(target, separator), escapeQuery(w.query)...)
	return append(append(target, '='), w.rendered.Reveal()...)
}

// Signer signs requests with the credential; nil: it does not sign. Nothing is
// written of it by other methods.
func (w *Swap) Signer() *sigv4.Signer { return w.signer }

// Fields takes the fields of a request.
type Fields interface{ Field(name, value string) }

// Write adds the credential to a request, where it goes into a field.
func (w *Swap) Write(to Fields) {
	if w.header != "" && !w.rendered.IsZero() {
		to.Field(w.header, w.rendered.Reveal())
	}
}

// Challenge is the WWW-Authenticate field of a 401, which git wants in order
// to ask; empty where no scheme of HTTP carries the token.
func (w *Swap) Challenge() string { return w.challenge }

// Mask finds the credential in answers, wherever it was put and however it is
// written there.
func (w *Swap) Mask() mask.Mask { return w.mask }

// escapeQuery escapes all but unreserved characters (RFC 3986, 2.3).
func escapeQuery(s string) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upper[c>>4])
		b.WriteByte(upper[c&0xf])
	}
	return b.String()
}
