package proxy

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/test/sigv4"
)

const (
	keyID      = "AKIDCANARY0123456789"
	signingKey = "CANARY/wJalrXUtnFEMI+K7MDENG=bPxRfiCY"
	sessionKey = "CANARY-session//token+=="
)

// account is what the upstream knows of the key.
func account(service string) *sigv4.Verifier {
	return &sigv4.Verifier{
		Region: "eu-central-1", Service: service,
		AccessKeyID: keyID, SecretAccessKey: signingKey, SessionToken: sessionKey, Now: time.Now,
	}
}

// signs makes a credential whose requests are signed for a service.
func signs(service string) func(*bundle.Credential) {
	return func(c *bundle.Credential) {
		c.Endpoints[0].Inject = bundle.Inject{AWSSigV4: &bundle.SignatureInjection{Region: "eu-central-1", Service: service}}
		c.Secret = bundle.AWSKeys{AccessKeyID: secret.New(keyID), SecretAccessKey: secret.New(signingKey), SessionToken: secret.New(sessionKey)}.Secret()
		c.Limits.BodyBytes = 1 << 16
		c.Grants = []scope.Grant{
			{
				Name: "objects", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "HEAD", "PUT", "POST", "DELETE"}, Paths: []string{"/bucket/{key...}", "/bucket"}},
				Query:   scope.Query{UnlistedAllow: true},
				Headers: map[string]scope.Matcher{"X-Amz-Acl": {Equals: ptr("private")}, "X-Amz-Meta-A": {Type: scope.String}},
				Body:    &scope.Body{Media: scope.Opaque, MaxBytes: 1 << 20},
			},
			{
				Name: "tables", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}},
				Headers: map[string]scope.Matcher{"X-Amz-Target": {Equals: ptr("DynamoDB_20120810.GetItem"), Required: true}, "Content-Type": {Equals: ptr("application/x-amz-json-1.0")}},
				Body:    &scope.Body{Media: scope.JSON, MaxBytes: 1 << 16, Fields: map[string]scope.Matcher{"TableName": {Equals: ptr("notes"), Required: true}}},
			},
		}
	}
}

// verifying answers 200 where the signature is good and says what it saw; else
// 403, and why. It keeps the last request as it came.
type verifying struct {
	v  *sigv4.Verifier
	mu sync.Mutex
	of []*sigv4.Request
}

func (s *verifying) exchange(c net.Conn, r *bufio.Reader) error {
	var raw strings.Builder
	for !strings.HasSuffix(raw.String(), "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		raw.WriteString(line)
	}
	req, err := sigv4.Parse([]byte(raw.String()))
	if err != nil {
		return err
	}
	head, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(raw.String()), r)))
	if err != nil {
		return err
	}
	if req.Body, err = io.ReadAll(head.Body); err != nil {
		return err
	}
	s.mu.Lock()
	s.of = append(s.of, req)
	s.mu.Unlock()
	status, text := 200, req.Method+" "+req.Target+" "+string(req.Body)
	if err := s.v.Verify(req); err != nil {
		status, text = 403, err.Error()
	}
	if req.Method == "HEAD" {
		text = ""
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s", status, len(text), text)
	return err
}

// last is the last request that came; nil: none.
func (s *verifying) last() *sigv4.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.of) == 0 {
		return nil
	}
	return s.of[len(s.of)-1]
}

// signature is the Authorization of an agent's client.
func signature(token, scope string) string {
	return "Authorization: AWS4-HMAC-SHA256 Credential=" + token + "/" + scope + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0a", 32) + "\r\n"
}

func signedBy(method, target, service, more string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: example.com\r\nX-Amz-Date: 20200101T000000Z\r\n" +
		signature(theHandle, "20200101/eu-central-1/"+service) + more
}

func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func ofLength(body string) string {
	return "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// signer is a fixture before an upstream that verifies.
func signer(t testing.TB, service string, change ...func(*bundle.Credential)) (*fixture, *verifying) {
	t.Helper()
	up := &verifying{v: account(service)}
	return newFixture(t, up.exchange, append([]func(*bundle.Credential){signs(service)}, change...)...), up
}

// TestSigns has what is forwarded verified by another reading of AWS's text:
// method, path, query, fields and body, for S3 and for others.
func TestSigns(t *testing.T) {
	const large = "0123456789abcdef"
	chunks := "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for name, test := range map[string]struct{ why, method, target, more, want, body string }{
		"plain":          {"nothing special", "GET", "/bucket/a.txt", "\r\n", "/bucket/a.txt", ""},
		"head":           {"no body comes back", "HEAD", "/bucket/a.txt", "\r\n", "/bucket/a.txt", ""},
		"delete":         {"no body goes up", "DELETE", "/bucket/a.txt", "\r\n", "/bucket/a.txt", ""},
		"reserved":       {"one spelling, that of AWS", "GET", "/bucket/dt=2024-01-01/a+b:c@d(e)!$&'*,~", "\r\n", "/bucket/dt%3D2024-01-01/a%2Bb%3Ac%40d%28e%29%21%24%26%27%2A%2C~", ""},
		"escaped":        {"the same as if it were not", "GET", "/bucket/dt%3d2024-01-01/%61", "\r\n", "/bucket/dt%3D2024-01-01/a", ""},
		"space and more": {"encoded once, or twice", "GET", "/bucket/a%20b/%C3%A4", "\r\n", "/bucket/a%20b/%C3%A4", ""},
		"query":          {"sorted to be signed, not to be sent", "GET", "/bucket?prefix=b&list-type=2&a=/-%2B%20+x&A=1&a=&a=b", "\r\n", "/bucket?prefix=b&list-type=2&a=%2F-%2B%20%20x&A=1&a=&a=b", ""},
		"fields":         {"each is signed, as it is", "GET", "/bucket/a", "Accept: text/plain\r\naccept: */*\r\nX-Amz-Acl: private\r\nX-Amz-Meta-A: a   b\r\nUser-Agent: me/1\r\nIf-Match: \"x\"\r\n\r\n", "/bucket/a", ""},
		"put":            {"its digest is the agent's", "PUT", "/bucket/a", "X-Amz-Content-Sha256: " + digestOf(large) + "\r\n" + ofLength(large), "/bucket/a", large},
		"put, unsigned":  {"the digest is the sidecar's, or none", "PUT", "/bucket/a", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n" + ofLength(large), "/bucket/a", large},
		"put, unsaid":    {"as above", "PUT", "/bucket/a", ofLength(large), "/bucket/a", large},
		"put, chunked":   {"as above", "PUT", "/bucket/a", chunks, "/bucket/a", "hello"},
		"put, empty":     {"nothing has a digest, too", "PUT", "/bucket/a", ofLength(""), "/bucket/a", ""},
		"put, waiting":   {"it is told to go on", "PUT", "/bucket/a", "Expect: 100-continue\r\n" + ofLength(large), "/bucket/a", large},
		"JSON":           {"judged, and signed whole", "POST", "/", "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n" + ofLength(`{"TableName": "notes"}`), "/", `{"TableName": "notes"}`},
		"smuggled token": {"it is nobody's", "GET", "/bucket/a", "X-Amz-Security-Token: evil\r\n\r\n", "/bucket/a", ""},
		"unlisted":       {"what no grant lists stays behind", "GET", "/bucket/a", "X-Amz-Grant-Read: evil\r\nX_Amz_Acl2: x\r\nX-Amz-Copy-Source: /other/x\r\nDate: x\r\n\r\n", "/bucket/a", ""},
	} {
		for _, service := range []string{"s3", "execute-api"} {
			t.Run(name+" "+service, func(t *testing.T) {
				f, up := signer(t, service)
				a := f.agent()
				a.send(signedBy(test.method, test.target, service, test.more))
				if strings.Contains(test.more, "100-continue") {
					if res, err := http.ReadResponse(a.r, nil); err != nil || res.StatusCode != 100 {
						t.Fatalf("%v, %v", res, err)
					}
				}
				got := a.read(test.method)
				if got.StatusCode != 200 {
					t.Fatalf("%s: %d %s", test.why, got.StatusCode, got.body)
				}
				if r := up.last(); r.Target != test.want || string(r.Body) != test.body {
					t.Errorf("%s: upstream gets %s %q, want %s %q", test.why, r.Target, r.Body, test.want, test.body)
				}
				for _, lost := range []string{"evil", theHandle, "20200101", "Copy-Source"} {
					if strings.Contains(f.upstream.bytes(), lost) {
						t.Errorf("%s: upstream gets %s:\n%s", test.why, lost, f.upstream.bytes())
					}
				}
			})
		}
	}
}

// TestUnsignedPayload signs no digest of a body that S3 takes without, and the
// digest of any other.
func TestUnsignedPayload(t *testing.T) {
	const body = "0123456789"
	for name, test := range map[string]struct{ service, more, want string }{
		"s3, said":      {"s3", "X-Amz-Content-Sha256: " + digestOf(body) + "\r\n", digestOf(body)},
		"s3, unsaid":    {"s3", "", sigv4.UnsignedPayload},
		"other, said":   {"sqs", "X-Amz-Content-Sha256: " + digestOf(body) + "\r\n", digestOf(body)},
		"other, unsaid": {"sqs", "", digestOf(body)},
		"other, lazy":   {"sqs", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n", digestOf(body)},
	} {
		t.Run(name, func(t *testing.T) {
			f, up := signer(t, test.service)
			a := f.agent()
			a.send(signedBy("PUT", "/bucket/a", test.service, test.more+ofLength(body)))
			if got := a.read("PUT"); got.StatusCode != 200 {
				t.Fatalf("%d %s", got.StatusCode, got.body)
			}
			for _, field := range up.last().Fields {
				if field[0] == "X-Amz-Content-Sha256" && field[1] != test.want {
					t.Errorf("signed is %s, want %s", field[1], test.want)
				}
			}
		})
	}
}

// TestSignsNot refuses what cannot be signed anew, or could be read in two ways,
// before anything of it is forwarded.
func TestSignsNot(t *testing.T) {
	const end = "\r\n"
	scope := "20200101/eu-central-1/s3"
	bare := func(authorization string) string {
		return "GET /bucket/a HTTP/1.1\r\nHost: example.com\r\n" + authorization + end
	}
	for name, test := range map[string]struct {
		why, raw string
		status   int
		says     string
	}{
		"no signature":        {"nobody asks", bare(""), 401, ""},
		"other token":         {"somebody else asks", bare(signature("spt_other", scope)), 401, ""},
		"bearer":              {"the place is the signature", bare("Authorization: Bearer " + theHandle + end), 401, ""},
		"other region":        {"another region is another resource", bare(signature(theHandle, "20200101/us-east-1/s3")), 403, "another region or service"},
		"other service":       {"as above", bare(signature(theHandle, "20200101/eu-central-1/sts")), 403, "another region or service"},
		"region's case":       {"one spelling", bare(signature(theHandle, "20200101/EU-CENTRAL-1/s3")), 401, ""},
		"no scope":            {"it is no signature", bare("Authorization: AWS4-HMAC-SHA256 Credential=" + theHandle + ", SignedHeaders=host, Signature=" + strings.Repeat("0", 64) + end), 401, ""},
		"other algorithm":     {"it means something else", bare(strings.Replace(signature(theHandle, scope), "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1)), 401, ""},
		"lower-case":          {"one spelling", bare(strings.Replace(signature(theHandle, scope), "AWS4-HMAC", "aws4-hmac", 1)), 401, ""},
		"credential twice":    {"which one?", bare(strings.Replace(signature(theHandle, scope), "Credential=", "Credential=x/"+scope+"/aws4_request, Credential=", 1)), 401, ""},
		"one part more":       {"what is it?", bare(strings.TrimSuffix(signature(theHandle, scope), end) + ", Extra=1" + end), 401, ""},
		"two signatures":      {"which one?", bare(signature(theHandle, scope) + signature("spt_other", scope)), 400, "filled twice"},
		"two dates":           {"which one?", bare("X-Amz-Date: a\r\nX-AMZ-Date: b\r\n" + signature(theHandle, scope)), 400, "filled twice"},
		"two tokens":          {"which one?", bare("X-Amz-Security-Token: a\r\nX-Amz-Security-Token: b\r\n" + signature(theHandle, scope)), 400, "filled twice"},
		"two digests":         {"which one?", bare("X-Amz-Content-Sha256: a\r\nX-Amz-Content-Sha256: b\r\n" + signature(theHandle, scope)), 400, "filled twice"},
		"token, spelled":      {"some servers read _ as -", bare("X_Amz_Security_Token: a\r\n" + signature(theHandle, scope)), 400, "filled twice"},
		"date, spelled":       {"as above", bare("X-Amz_Date: a\r\n" + signature(theHandle, scope)), 400, "filled twice"},
		"in the query":        {"it could be passed on", "GET /bucket/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + theHandle + "%2F20200101%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Signature=0 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "not in the query"},
		"in both":             {"which one?", signedBy("GET", "/bucket/a?x-amz-credential=x", "s3", end), 400, "not in the query"},
		"token in the query":  {"it is nobody's", signedBy("GET", "/bucket/a?X-Amz-Security-Token=x", "s3", end), 400, "not in the query"},
		"header in the query": {"it would count as one", signedBy("PUT", "/bucket/a?X-Amz-Acl=public-read", "s3", ofLength("x")), 400, "not in the query"},
		"spelled so":          {"as above", signedBy("PUT", "/bucket/a?x_amz-acl=public-read", "s3", ofLength("x")), 400, "not in the query"},
		"the version before":  {"another identity", signedBy("GET", "/bucket/a?AWSAccessKeyId=x&Signature=y&Expires=1", "s3", end), 400, "not in the query"},
		"signed parts":        {"each part has a signature", signedBy("PUT", "/bucket/a", "s3", "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nContent-Encoding: aws-chunked\r\nX-Amz-Decoded-Content-Length: 1\r\n"+ofLength("x")), 415, "aws-chunked"},
		"trailer":             {"it is not forwarded", signedBy("PUT", "/bucket/a", "s3", "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nX-Amz-Trailer: x-amz-checksum-crc32\r\n"+ofLength("x")), 415, "aws-chunked"},
		"parts, by coding":    {"the same without the digest", signedBy("PUT", "/bucket/a", "s3", "Content-Encoding: gzip, AWS-Chunked\r\n"+ofLength("x")), 415, "aws-chunked"},
		"what digest?":        {"it says nothing", signedBy("PUT", "/bucket/a", "s3", "X-Amz-Content-Sha256: "+strings.ToUpper(digestOf("x"))+end+ofLength("x")), 400, "lower-case"},
		"other path":          {"no grant has it", signedBy("GET", "/other/a", "s3", end), 403, "no grant"},
		"other bucket hidden": {"one path", signedBy("GET", "/bucket/..%2fother/a", "s3", end), 400, ""},
		"host":                {"it is meant for another", strings.Replace(signedBy("GET", "/bucket/a", "s3", end), "Host: example.com", "Host: evil.example", 1), 400, "Host"},
		"two hosts":           {"which one?", strings.Replace(signedBy("GET", "/bucket/a", "s3", end), "Host: example.com", "Host: example.com\r\nHost: example.com", 1), 400, ""},
		"listed, other value": {"the grant says which", signedBy("GET", "/bucket/a", "s3", "X-Amz-Acl: public-read\r\n\r\n"), 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, up := signer(t, "s3")
			a := f.agent()
			a.send(test.raw)
			got := a.read("GET")
			if got.StatusCode != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%s: %d %s, want %d and %q", test.why, got.StatusCode, got.body, test.status, test.says)
			}
			if up.last() != nil {
				t.Errorf("%s: upstream gets %v", test.why, up.last())
			}
		})
	}
}

// TestDigestIsTrue refuses a body of which the agent says what is not true, where
// the body is read; S3 does so itself where it is not.
func TestDigestIsTrue(t *testing.T) {
	f, up := signer(t, "sqs")
	a := f.agent()
	a.send(signedBy("PUT", "/bucket/a", "sqs", "X-Amz-Content-Sha256: "+digestOf("other")+"\r\n"+ofLength("body")))
	if got := a.read("PUT"); got.StatusCode != 400 || up.last() != nil {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	f, _ = signer(t, "s3")
	a = f.agent()
	a.send(signedBy("PUT", "/bucket/a", "s3", "X-Amz-Content-Sha256: "+digestOf("other")+"\r\n"+ofLength("body")))
	if got := a.read("PUT"); got.StatusCode != 403 || !strings.Contains(got.body, "XAmzContentSHA256Mismatch") {
		t.Errorf("S3: %d %s", got.StatusCode, got.body)
	}
}

// TestBodyThatIsSigned is bounded by what may be read into memory, where its
// digest is signed; S3 over TLS takes all that the grant allows.
func TestBodyThatIsSigned(t *testing.T) {
	body := strings.Repeat("x", 1<<16+1)
	for _, framing := range []string{ofLength(body), fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)} {
		f, up := signer(t, "sqs")
		a := f.agent()
		a.send(signedBy("PUT", "/bucket/a", "sqs", framing))
		if got := a.read("PUT"); got.StatusCode != 413 || up.last() != nil {
			t.Errorf("sqs: %d %s", got.StatusCode, got.body)
		}
		f, up = signer(t, "s3")
		a = f.agent()
		a.send(signedBy("PUT", "/bucket/a", "s3", framing))
		if got := a.read("PUT"); got.StatusCode != 200 || len(up.last().Body) != len(body) {
			t.Errorf("s3: %d %.200s", got.StatusCode, got.body)
		}
	}
}

// TestSigningTime signs for the time at which it is sent, whatever the agent's
// clock says.
func TestSigningTime(t *testing.T) {
	f, up := signer(t, "s3")
	up.v.Now = func() time.Time { return time.Now().Add(time.Hour) }
	a := f.agent()
	a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
	if got := a.read("GET"); got.StatusCode != 403 || !strings.Contains(got.body, "RequestTimeTooSkewed") {
		t.Errorf("an upstream of another time: %d %s", got.StatusCode, got.body)
	}
}

// TestKeysAreMasked hides each part of the keys in answers.
func TestKeysAreMasked(t *testing.T) {
	text := keyID + " " + signingKey + " " + sessionKey
	f := newFixture(t, saying(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Echo: %s\r\nContent-Length: %d\r\n\r\n%s", text, len(text), text)), signs("s3"))
	a := f.agent()
	a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
	got := a.read("GET")
	for _, part := range strings.Fields(text) {
		if strings.Contains(got.body+got.Header.Get("X-Echo"), part) {
			t.Errorf("the answer holds %s: %v %s", part, got.Header, got.body)
		}
	}
	if strings.Contains(f.records.String(), "CANARY") {
		t.Error("a record holds a key")
	}
}

// TestRotatedKeys signs with the new keys from the next request on.
func TestRotatedKeys(t *testing.T) {
	f, up := signer(t, "s3")
	a := f.agent()
	ask := func() int {
		a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
		return a.read("GET").StatusCode
	}
	if got := ask(); got != 200 {
		t.Fatal(got)
	}
	// The same id with another key: what was derived of the old one is gone.
	up.v.SecretAccessKey = "another-key-of-the-same-id"
	c := document()
	signs("s3")(c)
	c.Secret = bundle.AWSKeys{AccessKeyID: secret.New(keyID), SecretAccessKey: secret.New("another-key-of-the-same-id"), SessionToken: secret.New(sessionKey)}.Secret()
	c.Upstream.Generation++
	if got := ask(); got != 403 {
		t.Errorf("the old key: %d", got)
	}
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := ask(); got != 200 {
		t.Errorf("the new key: %d", got)
	}
}

// TestKeysThatDoNotFit are not served, and what is held goes on.
func TestKeysThatDoNotFit(t *testing.T) {
	for name, s := range map[string]secret.Value{
		"a token":     secret.New(theSecret),
		"a pair":      bundle.CertificateSecret(secret.New("a"), secret.New("b")),
		"control":     bundle.AWSKeys{AccessKeyID: secret.New(keyID), SecretAccessKey: secret.New("a\r\nX-Evil: 1")}.Secret(),
		"session":     bundle.AWSKeys{AccessKeyID: secret.New(keyID), SecretAccessKey: secret.New(signingKey), SessionToken: secret.New("a\nb")}.Secret(),
		"short":       bundle.AWSKeys{AccessKeyID: secret.New(keyID), SecretAccessKey: secret.New("abc")}.Secret(),
		"no key":      bundle.AWSKeys{AccessKeyID: secret.New(keyID)}.Secret(),
		"certificate": secret.New("-----BEGIN CERTIFICATE-----"),
	} {
		f := startFixture(t, echo, Options{})
		c := document()
		signs("s3")(c)
		c.Secret = s
		if errs := f.server.Apply(state(c)); len(errs) != 1 || strings.Contains(errs[0].Detail, "CANARY") {
			t.Errorf("%s: %v", name, errs)
		}
		a := f.agent()
		a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
		if got := a.read("GET"); got.StatusCode != 503 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
}

// TestKeysAreLetGo keeps nothing of keys that were withdrawn: not in connections
// of agents that stay, and not in what was derived of them.
func TestKeysAreLetGo(t *testing.T) {
	f, _ := signer(t, "s3")
	a := f.agent()
	a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
	if got := a.read("GET"); got.StatusCode != 200 {
		t.Fatal(got.body)
	}
	f.awaitRest()
	held := weak.Make(f.server.listening()[0].view.Load().swap.Signer())
	if errs := f.server.Apply(state()); len(errs) > 0 {
		t.Fatal(errs)
	}
	if !eventually(func() bool {
		runtime.GC()
		return held.Value() == nil
	}) {
		t.Error("the signer is still there")
	}
	a.send(signedBy("GET", "/bucket/a", "s3", "\r\n"))
	if got := a.read("GET"); got.StatusCode != 403 || got.reason() != "Revoked" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
