package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// BenchmarkExchange is the whole path of one request on a warm connection, with
// judgement, audit record and credential, between two sockets of a plain agent
// and a plain upstream that do as little as they can.
func BenchmarkExchange(b *testing.B) {
	ask := asker(b)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// asker starts all of them and returns what asks once.
func asker(b testing.TB) func() {
	b.Helper()
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n%s", bytes.Repeat([]byte("x"), 1024))
	up := listen(b)
	go serveAll(up, answer)
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
	if errs := s.Apply(state(c)); len(errs) > 0 {
		b.Fatal(errs)
	}
	agent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { agent.Close() })
	request := []byte("GET /notes/7 HTTP/1.1\r\nHost: upstream.bench.svc\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n")
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

func serveAll(l net.Listener, answer []byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for buf := make([]byte, 4096); ; {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}
