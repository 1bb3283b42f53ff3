package sigv4

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Prefix begins the value of Authorization.
const Prefix = "AWS4-HMAC-SHA256 "

// claim is what the signature of an agent says: whose it is, and what for. It is
// not verified, since the key that it is made with is none.
type claim struct{ token, region, service string }

// Token takes the token out of what stands behind [Prefix]. What is no signature
// has none.
func Token(parameters string) (token string, ok bool) {
	c, ok := read(parameters)
	return c.token, ok
}

// read wants the parameters that clients send, in the order in which they do.
func read(parameters string) (c claim, ok bool) {
	words := strings.Split(parameters, ",")
	if len(words) != 3 {
		return claim{}, false
	}
	for i, name := range [...]string{"Credential=", "SignedHeaders=", "Signature="} {
		if words[i], ok = strings.CutPrefix(strings.TrimLeft(words[i], " "), name); !ok {
			return claim{}, false
		}
	}
	if !isList(words[1]) || !isDigest(words[2]) {
		return claim{}, false
	}
	return readScope(words[0])
}

// readScope takes a credential apart: token, day, region, service.
func readScope(credential string) (c claim, ok bool) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" || !isDay(parts[1]) || !isLabel(parts[2]) || !isLabel(parts[3]) || parts[4] != "aws4_request" {
		return claim{}, false
	}
	return claim{parts[0], parts[2], parts[3]}, true
}

// isDay tells the date of a scope.
func isDay(s string) bool { return len(s) == len("20060102") && strings.Trim(s, "0123456789") == "" }

// isList tells names of header fields, in lower case.
func isList(s string) bool {
	const name = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
	for word := range strings.SplitSeq(s, ";") {
		if word == "" || strings.Trim(word, name) != "" {
			return false
		}
	}
	return true
}

// Refusal is why a request that shows its token cannot be signed.
type Refusal struct {
	Status int    // of the answer
	Detail string // what to change
}

// Refusals of signed requests.
var (
	errScope = &Refusal{403, "the request is signed for another region or service than this credential is for: set the region and the service of the client to those of its endpoint"}
	errParts = &Refusal{415, "the body is sent in signed parts or with a trailer (aws-chunked), which cannot be signed again: send it as it is, in SDKs with AWS_REQUEST_CHECKSUM_CALCULATION=when_required"}
	errSaid  = &Refusal{400, "X-Amz-Content-Sha256 must be the digest of the body in lower-case hexadecimal, or UNSIGNED-PAYLOAD"}
)

// Refuses returns why a request with these fields, whose token is good, is not
// signed; nil where it is. What the agent signed for is never what is signed for
// instead: a client that means another region means another resource.
func (s *Signer) Refuses(fields []scope.Field) *Refusal {
	c, ok := read(strings.TrimPrefix(valueOf(fields, authorization), Prefix))
	said := valueOf(fields, digestHeader)
	switch {
	case !ok || c.region != s.region || c.service != s.service:
		return errScope
	case strings.HasPrefix(said, "STREAMING-") || inParts(fields):
		return errParts
	case said != "" && said != unsigned && !isDigest(said):
		return errSaid
	}
	return nil
}

// inParts tells the coding of such a body, whatever other codings there are.
func inParts(fields []scope.Field) bool {
	for i := range fields {
		if text.EqualFold(fields[i].Name, "Content-Encoding") && strings.Contains(strings.ToLower(fields[i].Value), "aws-chunked") {
			return true
		}
	}
	return false
}

// InQuery tells whether there is something of a signature in the query of req: a
// parameter of AWS's own, or the id of the version before. A token is never taken
// from there, since who is given such a link would have it; and headers that
// stand there instead count for some services, though no grant would see one.
func InQuery(req *scope.Request) bool {
	const own, older = "X-Amz-", "AWSAccessKeyId"
	for _, q := range req.Query() {
		if len(q.Name) >= len(own) && text.EqualName(q.Name[:len(own)], own) || text.EqualFold(q.Name, older) {
			return true
		}
	}
	return false
}

// Ambiguous tells whether fields of a signature occur twice, or in a spelling
// that some servers take for them.
func Ambiguous(fields []scope.Field) bool {
	for _, name := range Own {
		found := false
		for i := range fields {
			if !text.EqualName(fields[i].Name, name) {
				continue
			}
			if found || scope.SecondSpelling(fields[i].Name, name) {
				return true
			}
			found = true
		}
	}
	return false
}

// IsOwn tells a field of a signature, which is never forwarded.
func IsOwn(name string) bool {
	for _, own := range Own {
		if text.EqualFold(name, own) {
			return true
		}
	}
	return false
}
