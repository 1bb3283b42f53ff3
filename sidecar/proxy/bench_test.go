package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// BenchmarkExchange is the whole path of one request on a warm connection, with
// judgement, audit record and credential, between two sockets of a plain agent
// and a plain upstream that do as little as they can.
func BenchmarkExchange(b *testing.B) {
	for _, one := range benches {
		b.Run(one.name, func(b *testing.B) {
			ask := asker(b, one.head, one.body)
			b.ReportAllocs()
			cpu.Loop(b, ask)
		})
	}
}

// benches are requests up to the fields that all of them have. An upload is read
// and judged where it is JSON, and else only bounded.
var benches = []struct{ name, head, body string }{
	{"get", "GET /notes/7 HTTP/1.1\r\n", ""},
	{"upload", "POST /notes HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 4096\r\n", benchUpload},
	{"judged upload", "POST /records HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n", benchUpload},
}

// benchUpload is 4 KiB of JSON.
var benchUpload = func() string {
	var s strings.Builder
	for s.WriteString(`{"records":[0`); s.Len() < 4000; {
		s.WriteString(`,{"id":1000,"title":"a record of some length","done":false}`)
	}
	return fmt.Sprintf("%-4096s", s.String()+"]}")
}()

// asker starts all of them and returns what asks once.
func asker(b testing.TB, head, body string) func() {
	b.Helper()
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n%s", bytes.Repeat([]byte("x"), 1024))
	up := listen(b)
	go serveAll(up, len(body), answer)
	d, err := dial.New(dial.Options{ConnectTo: map[string]string{"upstream.bench.svc:80": up.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Options{
		Dialer: d, Audit: audit.NewLog(io.Discard), Pod: "agents/pod-1", PodUID: "p1", WithoutLeases: true,
		Handles: map[string]credential.Handle{theName: credential.HandleOf(theHandle)},
	})
	l := listen(b)
	s.Listen(theName, "rest", l)
	c := document()
	c.Endpoints = []bundle.Endpoint{{Name: "rest", URL: "http://upstream.bench.svc", Plaintext: true, Inject: bundle.Inject{Bearer: &struct{}{}}}}
	c.Grants = append(c.Grants, scope.Grant{
		Name: "record", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/records"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, UnlistedAllow: true},
	})
	if errs := s.Apply(state(c)); len(errs) > 0 {
		b.Fatal(errs)
	}
	agent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { agent.Close() })
	request := []byte(head + "Host: upstream.bench.svc\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n" + body)
	got := make([]byte, 4096)
	return func() {
		if _, err := agent.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := agent.Read(got)
		if err != nil || !bytes.HasPrefix(got[:n], []byte("HTTP/1.1 200")) {
			b.Fatalf("%s, %v", got[:n], err)
		}
	}
}

func listen(b testing.TB) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// serveAll answers requests that have a body of one length.
func serveAll(l net.Listener, body int, answer []byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for buf := make([]byte, 8192); readOne(c, body, buf) == nil; {
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// readOne reads a header and a body behind it.
func readOne(c net.Conn, body int, buf []byte) error {
	for have := 0; ; {
		n, err := c.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		if end := bytes.Index(buf[:have], []byte("\r\n\r\n")); end >= 0 && have >= end+4+body {
			return nil
		}
	}
}
