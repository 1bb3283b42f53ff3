// Package sigv4 verifies requests that are signed with AWS Signature Version 4,
// for tests. It is written from AWS's documentation alone ("Create a signed AWS
// API request" and "Authenticating requests: using the Authorization header"
// for Amazon S3), knows no signer, and reads the bytes of a request itself: what
// a parser puts right would be verified in another form than it was sent.
package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verifier is one service in one region, with the keys of one account.
type Verifier struct {
	Region, Service                            string
	AccessKeyID, SecretAccessKey, SessionToken string
	// Now is the server's time; requests may be a quarter of an hour away.
	Now func() time.Time
	// Loose takes requests that do not sign all that a strict server wants, as
	// those of the published test vectors.
	Loose bool
}

// Request is a request as it was sent.
type Request struct {
	Method, Target string
	Fields         [][2]string // in order; values without white space around them
	Body           []byte
}

// Parse reads the bytes of one request whose body has a Content-Length, or ends
// with them.
func Parse(raw []byte) (*Request, error) {
	head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	first := strings.Split(lines[0], " ")
	if !found || len(first) != 3 {
		return nil, errors.New("this is no request")
	}
	r := &Request{Method: first[0], Target: first[1], Body: body}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("the line %q is no field", line)
		}
		r.Fields = append(r.Fields, [2]string{name, strings.Trim(value, " \t")})
	}
	return r, nil
}

// values are those of a field, letter case aside.
func (r *Request) values(name string) []string {
	var all []string
	for _, f := range r.Fields {
		if strings.ToLower(f[0]) == strings.ToLower(name) { //nolint:staticcheck // SA6005: names are ASCII, and EqualFold folds more
			all = append(all, f[1])
		}
	}
	return all
}

// one is the value of a field that occurs once.
func (r *Request) one(name string) (string, error) {
	all := r.values(name)
	if len(all) != 1 {
		return "", fmt.Errorf("%s occurs %d times", name, len(all))
	}
	return all[0], nil
}

// authorization is the field of that name, taken apart.
type authorization struct {
	id, date, region, service string
	signed                    []string
	signature                 string
}

const algorithm = "AWS4-HMAC-SHA256"

func (r *Request) authorization() (*authorization, error) {
	value, err := r.one("Authorization")
	if err != nil {
		return nil, err
	}
	value, found := strings.CutPrefix(value, algorithm+" ")
	parts := strings.Split(value, ",")
	if !found || len(parts) != 3 {
		return nil, errors.New("no signature of version 4")
	}
	var of [3]string
	for i, name := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		if of[i], found = strings.CutPrefix(strings.Trim(parts[i], " "), name); !found {
			return nil, fmt.Errorf("no %s in its place", name)
		}
	}
	scope := strings.Split(of[0], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return nil, errors.New("no id with its scope")
	}
	return &authorization{scope[0], scope[1], scope[2], scope[3], strings.Split(of[1], ";"), of[2]}, nil
}

// Verify returns why v would not take r.
func (v *Verifier) Verify(r *Request) error {
	a, err := r.authorization()
	if err != nil {
		return err
	}
	date, err := r.one("X-Amz-Date")
	if err != nil {
		return err
	}
	for _, check := range [...]func() error{
		func() error { return v.current(a, date) },
		func() error { return v.entitled(r, a) },
		func() error { return v.complete(r, a) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return v.compare(r, a, date)
}

// current wants a time near the server's, of the day that is signed for.
func (v *Verifier) current(a *authorization, date string) error {
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || !strings.HasPrefix(date, a.date) || len(a.date) != 8 {
		return fmt.Errorf("X-Amz-Date %s is no time of the scope's day %s", date, a.date)
	}
	if away := v.Now().Sub(at).Abs(); away > 15*time.Minute {
		return fmt.Errorf("RequestTimeTooSkewed: it is %s away", away)
	}
	return nil
}

// entitled wants the keys of the account, for this region and service.
func (v *Verifier) entitled(r *Request, a *authorization) error {
	if a.id != v.AccessKeyID || a.region != v.Region || a.service != v.Service {
		return fmt.Errorf("the scope is %s/%s/%s", a.id, a.region, a.service)
	}
	var want []string
	if v.SessionToken != "" {
		want = []string{v.SessionToken}
	}
	if !slices.Equal(r.values("X-Amz-Security-Token"), want) {
		return errors.New("InvalidToken")
	}
	return nil
}

// unsigned are fields that may change on the way, and need not be signed.
var unsigned = []string{"authorization", "user-agent", "connection", "content-length", "transfer-encoding"}

// complete wants all signed that could mean something to a service.
func (v *Verifier) complete(r *Request, a *authorization) error {
	if !slices.IsSorted(a.signed) || !slices.Contains(a.signed, "host") {
		return errors.New("the signed headers are not sorted, or do not have host")
	}
	if v.Loose {
		return nil
	}
	for _, f := range r.Fields {
		name := strings.ToLower(f[0])
		if !slices.Contains(unsigned, name) && !slices.Contains(a.signed, name) {
			return fmt.Errorf("%s is not signed", f[0])
		}
	}
	for _, word := range pairs(r.Target) {
		name, _, _ := strings.Cut(strings.ToLower(word), "=")
		if strings.HasPrefix(name, "x-amz-") || name == "awsaccesskeyid" {
			return errors.New("InvalidArgument: only one auth mechanism allowed")
		}
	}
	return nil
}

// compare makes the signature, and compares.
func (v *Verifier) compare(r *Request, a *authorization, date string) error {
	digest, err := v.digest(r)
	if err != nil {
		return err
	}
	canonical, err := v.canonical(r, a, digest)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/")
	text := strings.Join([]string{algorithm, date, scope, hex.EncodeToString(sum[:])}, "\n")
	if want := hex.EncodeToString(mac(v.key(a), text)); a.signature != want {
		return fmt.Errorf("SignatureDoesNotMatch: it is %s, want %s of\n%s", a.signature, want, canonical)
	}
	return nil
}

// UnsignedPayload is the digest of a body that is not signed.
const UnsignedPayload = "UNSIGNED-PAYLOAD"

// digest is what the canonical request says of the body. S3 wants it in a
// header; others compute it.
func (v *Verifier) digest(r *Request) (string, error) {
	sum := sha256.Sum256(r.Body)
	digest := hex.EncodeToString(sum[:])
	said := r.values("X-Amz-Content-Sha256")
	switch {
	case len(said) == 0 && (!v.s3() || v.Loose):
		return digest, nil
	case len(said) != 1:
		return "", fmt.Errorf("X-Amz-Content-Sha256 occurs %d times", len(said))
	case v.s3() && said[0] == UnsignedPayload, said[0] == digest:
		return said[0], nil
	}
	return "", errors.New("XAmzContentSHA256Mismatch")
}

func (v *Verifier) s3() bool { return v.Service == "s3" }

// canonical is the canonical request.
func (v *Verifier) canonical(r *Request, a *authorization, digest string) (string, error) {
	path, _, _ := strings.Cut(r.Target, "?")
	if !strings.HasPrefix(path, "/") {
		return "", errors.New("the target has no path")
	}
	if v.s3() {
		// The key of an object, encoded once.
		plain, err := decode(path)
		if err != nil {
			return "", err
		}
		path = encode(plain, true)
	} else {
		// The path as it was sent, encoded once more.
		path = encode(path, true)
	}
	query, err := canonicalQuery(pairs(r.Target))
	if err != nil {
		return "", err
	}
	var headers strings.Builder
	for _, name := range a.signed {
		values := r.values(name)
		if len(values) == 0 || name != strings.ToLower(name) {
			return "", fmt.Errorf("the signed header %s is not there", name)
		}
		for i := range values {
			values[i] = oneSpace(values[i])
		}
		headers.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	return strings.Join([]string{r.Method, path, query, headers.String(), strings.Join(a.signed, ";"), digest}, "\n"), nil
}

// pairs are those of the query of a target, as they are written.
func pairs(target string) []string {
	_, query, _ := strings.Cut(target, "?")
	return strings.FieldsFunc(query, func(c rune) bool { return c == '&' })
}

// canonicalQuery decodes each name and value, encodes them once, and sorts them.
func canonicalQuery(words []string) (string, error) {
	type pair struct{ name, value string }
	var all []pair
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		plainName, err := decode(name)
		if err != nil {
			return "", err
		}
		plainValue, err := decode(value)
		if err != nil {
			return "", err
		}
		all = append(all, pair{encode(plainName, false), encode(plainValue, false)})
	}
	slices.SortFunc(all, func(a, b pair) int {
		return 2*strings.Compare(a.name, b.name) + strings.Compare(a.value, b.value)
	})
	var sorted []string
	for _, p := range all {
		sorted = append(sorted, p.name+"="+p.value)
	}
	return strings.Join(sorted, "&"), nil
}

// oneSpace has one space for each run of them.
func oneSpace(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return strings.TrimSpace(s)
}

// encode is UriEncode of the documentation.
func encode(s string, slash bool) string {
	stay := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	if slash {
		stay += "/"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(stay, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decode undoes percent-encoding. A plus sign stands for itself.
func decode(s string) (string, error) {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("a percent sign begins no triplet")
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", errors.New("a percent sign begins no triplet")
		}
		b = append(b, c...)
		i += 2
	}
	return string(b), nil
}

// key is the one that signatures of a day, region and service are made with.
func (v *Verifier) key(a *authorization) []byte {
	key := mac([]byte("AWS4"+v.SecretAccessKey), a.date)
	for _, word := range []string{a.region, a.service, "aws4_request"} {
		key = mac(key, word)
	}
	return key
}

func mac(key []byte, text string) []byte {
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte(text))
	return sum.Sum(nil)
}

// Of reads a request that net/http has read, and gives it its body back. The
// target is the one that was sent; fields of one name are in their order.
func Of(r *http.Request) (*Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	out := &Request{Method: r.Method, Target: r.RequestURI, Body: body, Fields: [][2]string{{"Host", r.Host}}}
	if r.ContentLength > 0 {
		out.Fields = append(out.Fields, [2]string{"Content-Length", strconv.FormatInt(r.ContentLength, 10)})
	}
	for name, values := range r.Header {
		for _, value := range values {
			if name != "Content-Length" {
				out.Fields = append(out.Fields, [2]string{name, value})
			}
		}
	}
	return out, nil
}
