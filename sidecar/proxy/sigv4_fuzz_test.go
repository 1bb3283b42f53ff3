package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/test/sigv4"
)

// bench is what a connection needs to judge and write a request, without one.
type bench struct {
	server   *Server
	listener *listener
	view     *view
	account  *sigv4.Verifier
}

func newBench(t testing.TB, service string) *bench {
	t.Helper()
	d, err := dial.New(dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Dialer: d, Audit: audit.NewLog(io.Discard), WithoutLeases: true})
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	l := &listener{holder: &holder{name: theName, handle: credential.HandleOf(theHandle)}, endpoint: "rest", authority: "127.0.0.1:1"}
	c := document()
	signs(service)(c)
	c.Grants[0].HTTP.Paths = append(c.Grants[0].HTTP.Paths, "/{any...}")
	verifier, err := token.NewVerifier(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.build(l, newOffer(l.holder, c, nil, verifier))
	if err != nil {
		t.Fatal(err)
	}
	l.view.Store(v)
	return &bench{s, l, v, account(service)}
}

// forward returns what goes upstream for a request, and the connection that
// judged it; nothing where it is refused.
func (b *bench) forward(raw string) (string, *conn) {
	agent, _ := net.Pipe()
	c := &conn{
		server: b.server, listener: b.listener, view: b.view, agent: agent,
		reader: http1.NewReader(strings.NewReader(raw), 1<<16), writer: http1.NewWriter(io.Discard),
	}
	c.life.Open(agent, nil, time.Now())
	if c.reader.ReadRequest(&c.head) != nil {
		return "", nil
	}
	d, why := c.judge()
	if !why.is() && d.Verdict == scope.Undecided {
		d, why = c.judgeBody(d)
	}
	if !why.is() {
		why = c.digestBody()
	}
	if why.is() || d.Verdict != scope.Allow {
		return "", nil
	}
	var out bytes.Buffer
	w := http1.NewWriter(&out)
	if c.writeHead(w, &d) != nil || c.copyBody(w) != nil {
		return "", nil // the body breaks off: the upstream does not get it whole
	}
	return out.String(), c
}

// FuzzSigned: whatever of an agent's request goes upstream verifies, by another
// reading of AWS's text, and reads again as what was judged.
func FuzzSigned(f *testing.F) {
	for _, seed := range [][3]string{
		{"GET /bucket/a", "", ""},
		{"GET /bucket/dt=1/a+b:c@d(e)!$&'*,~", "Accept: a  b\r\naccept:\tc\r\n", ""},
		{"PUT /bucket/%61%3D%c3%a4", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nX-Amz-Meta-A: a\r\n", "body"},
		{"POST /", "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n", `{"TableName": "notes"}`},
		{"GET /bucket?b=%2F&b=-&a=+&A=%20&=", "X_Amz_Date: x\r\n", ""},
		{"GET /bucket?b=%2F&b=-&a=&A=%20", "X-Amz-Date: a\r\nX-Amz-Security-Token: b\r\nuser-agent: c\r\n", ""},
		{"DELETE /bucket/a?x-amz-signature=1", "X-Amz-Security-Token: a\r\nx-amz-security-token: b\r\n", ""},
		{"GET /other/..;/a%252f?a[]=1&a[]=2", "Host: example.com\r\nIf-Match: \"\xff\"\r\nX-Amz-Acl: private\r\n", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	benches := []*bench{newBench(f, "s3"), newBench(f, "execute-api")}
	f.Fuzz(func(t *testing.T, line, fields, body string) {
		for _, b := range benches {
			raw := line + " HTTP/1.1\r\nHost: example.com\r\n" + signature(theHandle, "20200101/eu-central-1/"+b.view.swap.Signer().Service()) +
				fields + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
			sent, c := b.forward(raw)
			if c == nil {
				continue
			}
			r, err := sigv4.Parse([]byte(sent))
			if err == nil {
				err = b.account.Verify(r)
			}
			if err != nil {
				t.Fatalf("%v\n%s\nwas made of\n%s", err, sent, raw)
			}
			if diff := readAgain(c, sent); diff != "" {
				t.Fatalf("%s\n%s\nwas made of\n%s", diff, sent, raw)
			}
		}
	})
}

// readAgain tells how what was sent differs from what was judged.
func readAgain(c *conn, sent string) string {
	var head http1.RequestHead
	reader := http1.NewReader(strings.NewReader(sent), 1<<16)
	if err := reader.ReadRequest(&head); err != nil {
		return err.Error()
	}
	var r scope.Request
	if err := r.Parse(&scope.Head{Method: head.Method, Target: head.Target, Fields: head.Fields, HasBody: !head.Framing.Empty()}, nil); err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(reader.Body())
	if err != nil {
		return err.Error()
	}
	want := fmt.Sprintf("%s %s %q", c.request.Method(), c.request.AppendPath(nil), c.request.Query())
	if got := fmt.Sprintf("%s %s %q", r.Method(), r.AppendPath(nil), r.Query()); got != want {
		return "it reads as " + got + ", not " + want
	}
	if c.whole && !bytes.Equal(body, c.body) {
		return "it has another body"
	}
	for _, f := range head.Fields {
		own := slices.ContainsFunc(c.signed, func(s scope.Field) bool { return s == f })
		if !own && !c.view.swap.Drops(f.Name) {
			return "it has the field " + f.Name + ", which was not signed"
		}
	}
	return ""
}

// TestNothingOfTheSigner prints a signer's credential every way.
func TestNothingOfTheSigner(t *testing.T) {
	w, err := credential.New(bundle.Inject{AWSSigV4: &bundle.SignatureInjection{Region: "r", Service: "s"}}, document().Secret)
	if err == nil || w != nil {
		t.Fatal("a token signs")
	}
	b := newBench(t, "s3")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb+verb+verb, b.view.swap, *b.view.swap, *b.view.swap.Signer()); strings.Contains(text, "CANARY") || strings.Contains(text, "43414e415259") {
			t.Errorf("%s prints it: %s", verb, text)
		}
	}
}
