package sigv4

import (
	"regexp"
	"strings"
	"testing"
)

// header is what AWS documents as the value of Authorization ("Authenticating
// requests: using the Authorization header").
var header = regexp.MustCompile("^ *Credential=([^/,]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, *SignedHeaders=[a-z0-9!#$%&'*+.^_`|~-]+(;[a-z0-9!#$%&'*+.^_`|~-]+)*, *Signature=[0-9a-f]{64}$")

// FuzzToken: a token is taken of what has the documented form and of nothing
// else, and it is the access key id that another reader finds, with its region
// and service.
func FuzzToken(f *testing.F) {
	f.Add(good)
	f.Add(strings.ReplaceAll(good, ", ", ","))
	f.Add(strings.Replace(good, "tok.en-_", "a=b", 1))
	f.Add(strings.Replace(good, "/s3/", "//", 1))
	f.Add(good + ", Signature=" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, parameters string) {
		c, ok := read(parameters)
		token, again := Token(parameters)
		m := header.FindStringSubmatch(parameters)
		if ok != (m != nil) || ok != again {
			t.Fatalf("%q: read %v, %v, and has the form: %v", parameters, ok, again, m != nil)
		}
		if ok && (token != m[1] || c.token != m[1] || c.region != m[3] || c.service != m[4]) {
			t.Errorf("%q: %q, %+v, and another reader finds %q", parameters, token, c, m)
		}
		if !ok && token != "" {
			t.Errorf("%q: %q of what cannot be read", parameters, token)
		}
	})
}
