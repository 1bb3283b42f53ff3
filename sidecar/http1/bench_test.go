package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// typicalRequest is what an SDK sends, typicalResponse what an API answers.
const (
	typicalRequest = "GET /repos/acme/web/pulls?state=open&per_page=100 HTTP/1.1\r\n" +
		"Host: 127.0.0.1:41234\r\n" +
		"User-Agent: octokit.js/3.1.2 octokit-core.js/5.0.2 Node.js/20\r\n" +
		"Accept: application/vnd.github+json\r\n" +
		"Accept-Encoding: gzip, deflate\r\n" +
		"Authorization: Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJwb2QifQ.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU\r\n" +
		"X-GitHub-Api-Version: 2022-11-28\r\n" +
		"Connection: keep-alive\r\n\r\n"
	typicalResponse = "HTTP/1.1 200 OK\r\n" +
		"Date: Mon, 05 Jan 2026 09:00:00 GMT\r\n" +
		"Content-Type: application/json; charset=utf-8\r\n" +
		"Cache-Control: private, max-age=60, s-maxage=60\r\n" +
		"Vary: Accept, Authorization, Cookie, X-GitHub-OTP\r\n" +
		"ETag: W/\"0123456789abcdef0123456789abcdef\"\r\n" +
		"X-RateLimit-Limit: 5000\r\n" +
		"X-RateLimit-Remaining: 4999\r\n" +
		"X-RateLimit-Reset: 1767603600\r\n" +
		"Strict-Transport-Security: max-age=31536000; includeSubdomains; preload\r\n" +
		"X-GitHub-Request-Id: ABCD:1234:567890:123456:65A0B1C2\r\n" +
		"Content-Length: 1024\r\n\r\n"
)

// forever yields one message at a time, without end.
type forever struct{ text, rest string }

func (f *forever) Read(p []byte) (int, error) {
	if f.rest == "" {
		f.rest = f.text
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func BenchmarkReadRequest(b *testing.B) {
	r := NewReader(&forever{text: typicalRequest}, 32<<10)
	var h RequestHead
	b.SetBytes(int64(len(typicalRequest)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.ReadRequest(&h); err != nil {
			b.Fatal(err)
		}
	}
}

// The reader of the standard library, which does less checking.
func BenchmarkReadRequestNetHTTP(b *testing.B) {
	r := bufio.NewReader(&forever{text: typicalRequest})
	b.SetBytes(int64(len(typicalRequest)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http.ReadRequest(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRelay is one request and its answer, read, written and copied.
func BenchmarkRelay(b *testing.B) {
	body := strings.Repeat("0123456789abcdef", 64)
	chunks := strings.Replace(typicalResponse, "Content-Length: 1024", "Transfer-Encoding: chunked", 1) +
		"200\r\n" + body[:512] + "\r\n200\r\n" + body[512:] + "\r\n0\r\n\r\n"
	for name, answer := range map[string]string{"sized": typicalResponse + body, "chunked": chunks} {
		b.Run(name, func(b *testing.B) {
			benchmarkRelay(b, &relayed{
				fromAgent:    NewReader(&forever{text: typicalRequest}, 32<<10),
				fromUpstream: NewReader(&forever{text: answer}, 32<<10),
				toUpstream:   NewWriter(io.Discard),
				toAgent:      NewWriter(io.Discard),
			})
		})
	}
}

// BenchmarkRelaySocket is the same through sockets of the loopback interface,
// the peers' part included.
func BenchmarkRelaySocket(b *testing.B) {
	agentSide, agent := pair(b)
	upstreamSide, upstream := pair(b)
	go answerForever(upstream, typicalResponse+strings.Repeat("0123456789abcdef", 64))
	r := &relayed{
		fromAgent:    NewReader(agentSide, 32<<10),
		fromUpstream: NewReader(upstreamSide, 32<<10),
		toUpstream:   NewWriter(upstreamSide),
		toAgent:      NewWriter(agentSide),
	}
	answers := NewReader(agent, 32<<10)
	go func() {
		for r.once() == nil {
		}
	}()
	var h ResponseHead
	b.ReportAllocs()
	for b.Loop() {
		send(b, agent, typicalRequest)
		if err := answers.ReadResponse(&h, "GET"); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answers.Body()); err != nil {
			b.Fatal(err)
		}
	}
}

func answerForever(c io.ReadWriter, answer string) {
	r := NewReader(c, 32<<10)
	var h RequestHead
	for r.ReadRequest(&h) == nil {
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func benchmarkRelay(b *testing.B, r *relayed) {
	b.ReportAllocs()
	for b.Loop() {
		if err := r.once(); err != nil {
			b.Fatal(err)
		}
	}
}

// relayed is what a proxy does with one connection, judgement aside.
type relayed struct {
	fromAgent, fromUpstream *Reader
	toUpstream, toAgent     *Writer
	request                 RequestHead
	response                ResponseHead
}

func (r *relayed) once() error {
	if err := r.fromAgent.ReadRequest(&r.request); err != nil {
		return err
	}
	r.toUpstream.Request(r.request.Method, []byte(r.request.Target), "api.github.com")
	for _, f := range r.request.Fields {
		r.toUpstream.Field(f.Name, f.Value)
	}
	r.toUpstream.Body(r.request.Framing)
	if err := finish(r.toUpstream, r.fromAgent.Body()); err != nil {
		return err
	}
	if err := r.fromUpstream.ReadResponse(&r.response, r.request.Method); err != nil {
		return err
	}
	r.toAgent.Response(r.response.Status, r.request.Method)
	for _, f := range r.response.Fields {
		r.toAgent.Field(f.Name, f.Value)
	}
	r.toAgent.Body(r.response.Framing)
	return finish(r.toAgent, r.fromUpstream.Body())
}

func finish(w *Writer, body *Body) error {
	if _, err := w.CopyBody(body, nil); err != nil {
		return fmt.Errorf("copying body: %w", err)
	}
	return w.End()
}

// pair returns the two ends of a TCP connection.
func pair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func send(t testing.TB, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}
