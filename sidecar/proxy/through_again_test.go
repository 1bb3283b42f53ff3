package proxy

import (
	"bufio"
	"crypto/x509"
	"net"
	"net/http"
	"testing"

	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// TestThroughAfterARequest asks for tunnels on a connection that has carried
// requests: the upstream connection that was theirs is not left open behind one,
// whether it opens or not.
func TestThroughAfterARequest(t *testing.T) {
	for target, status := range map[string]int{"other.example:443": 200, "127.0.0.1:443": 502} {
		t.Run(target, func(t *testing.T) {
			p := startProxied(t, echo, tunnelling)
			plain, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			left := make(chan struct{})
			go func() {
				defer close(left)
				c, err := plain.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				for r := bufio.NewReader(c); echo(c, r) == nil; {
				}
			}()
			there := p.upstream.Addr().String()
			p.server.options.Dialer, err = dial.New(dial.Options{
				Roots:     []*x509.Certificate{p.upstream.cert},
				ConnectTo: map[string]string{"plain.example:80": plain.Addr().String(), "other.example:443": there},
			})
			if err != nil {
				t.Fatal(err)
			}
			c := document()
			c.Endpoints[0].URL, c.Endpoints[0].Plaintext = "http://plain.example", true
			p.apply(c)
			a := p.agent()
			a.send("GET http://plain.example/notes HTTP/1.1\r\nHost: plain.example\r\nAuthorization: Bearer " + theHandle + "\r\n\r\n")
			if got := a.read("GET"); got.StatusCode != 200 {
				t.Fatalf("got %d %s", got.StatusCode, got.body)
			}
			a.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
			if got, err := http.ReadResponse(a.r, &http.Request{Method: "CONNECT"}); err != nil || got.StatusCode != status {
				t.Fatalf("got %+v, %v", got, err)
			}
			if !eventually(func() bool {
				select {
				case <-left:
					return true
				default:
					return false
				}
			}) {
				t.Error("the connection of the request before is open, and nobody's")
			}
		})
	}
}
