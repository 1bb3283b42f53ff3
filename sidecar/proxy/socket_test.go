package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/websocket"
	socket "github.com/sallyport-dev/sallyport/sidecar/websocket"
)

const theKey = "dGhlIHNhbXBsZSBub25jZQ=="

// withSocket grants a WebSocket with messages of one type.
func withSocket(c *bundle.Credential) {
	c.Grants = append(c.Grants, scope.Grant{Name: "socket", Endpoint: "rest", WebSocket: &websocket.Spec{
		Path: "/socket", Messages: &websocket.Messages{
			Media: scope.JSON, MaxBytes: 100,
			Fields: map[string]scope.Matcher{"type": {Required: true, In: []string{"ping"}}},
		},
	}})
}

// switching opens each WebSocket with these more header fields, and sends every
// byte that comes back to its sender, unmasked where it is a small frame.
func switching(more string) exchangeFunc {
	return func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		if req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Sec-WebSocket-Extensions") != "" {
			_, err := io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
			return err
		}
		accept := socket.Accept(req.Header.Get("Sec-WebSocket-Key"))
		if _, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept, more); err != nil {
			return err
		}
		for {
			var head [6]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				return err
			}
			data := make([]byte, head[1]&0x7f)
			if _, err := io.ReadFull(r, data); err != nil {
				return err
			}
			for i := range data {
				data[i] ^= head[2+i%4]
			}
			if _, err := c.Write(append([]byte{head[0], byte(len(data))}, data...)); err != nil || head[0] == 0x88 {
				return io.EOF
			}
		}
	}
}

func opening(more string) string {
	return request("GET", "/socket") + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + theKey + "\r\n" + more + "\r\n"
}

// message is a frame of the agent with the mask 0.
func message(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// open opens a WebSocket.
func (f *fixture) open() *agent {
	f.t.Helper()
	a := f.agent()
	a.send(opening("Sec-WebSocket-Extensions: permessage-deflate\r\n"))
	res, err := http.ReadResponse(a.r, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != socket.Accept(theKey) {
		f.t.Fatalf("got %v, %v", res, err)
	}
	return a
}

// frame reads one frame of at most 125 bytes.
func (a *agent) frame() string {
	a.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(a.r, head[:]); err != nil {
		return err.Error()
	}
	data := make([]byte, head[1])
	if _, err := io.ReadFull(a.r, data); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x %s", head[0], data)
}

func TestSocket(t *testing.T) {
	f := newFixture(t, switching(""), withSocket)
	a := f.open()
	a.send(message(0x81, `{"type":"ping"}`) + message(0x89, "here") + message(0x01, `{"type":`) + message(0x80, `"ping"}`))
	got := map[string]int{}
	for range 3 {
		got[a.frame()]++
	}
	if got[`81 {"type":"ping"}`] != 2 || got["8a here"] != 1 {
		t.Errorf("got %v", got)
	}
	a.send(message(0x88, "\x03\xe8"))
	if got := a.frame(); got != "88 \x03\xe8" || !a.closed() {
		t.Errorf("got %q", got)
	}
	if records := f.records.records(t); len(records) != 1 || records[0].Grants[0] != "socket" {
		t.Errorf("recorded %+v", records)
	}
}

func TestSocketRefusesMessages(t *testing.T) {
	for name, test := range map[string]struct{ why, sent, want, reason string }{
		"type":      {"it is not listed", message(0x81, `{"type":"drop"}`), "88 \x03\xf0", "ParameterRefused"},
		"field":     {"it is not listed", message(0x81, `{"type":"ping","all":1}`), "88 \x03\xf0", "ParameterRefused"},
		"twice":     {"readers differ", message(0x81, `{"type":"ping","type":"drop"}`), "88 \x03\xf0", "Malformed"},
		"empty":     {"it holds nothing that is listed", message(0x81, ""), "88 \x03\xf0", "ParameterRefused"},
		"binary":    {"it is not read as JSON", message(0x82, `{"type":"ping"}`), "88 \x03\xf0", "ParameterRefused"},
		"fragments": {"judged whole", message(0x01, `{"type":"dr`) + message(0x80, `op"}`), "88 \x03\xf0", "ParameterRefused"},
		"large":     {"bounded", message(0x81, `{"type":"ping"`+strings.Repeat(" ", 100)+`}`), "88 \x03\xf0", "TooLarge"},
		"no mask":   {"malformed", "\x81\x01x", "88 \x03\xea", "Malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, switching(""), withSocket)
			a := f.open()
			a.send(message(0x81, `{"type":"ping"}`) + test.sent + message(0x81, `{"type":"ping"}`))
			first, second := a.frame(), a.frame()
			if first != `81 {"type":"ping"}` && first != test.want || second != test.want && first != test.want {
				t.Errorf("%s: got %q, %q", test.why, first, second)
			}
			if !eventually(func() bool { return len(f.records.records(t)) == 2 }) || f.records.records(t)[1].Reason != test.reason {
				t.Errorf("recorded %+v", f.records.records(t))
			}
			if got := f.upstream.bytes(); strings.Contains(got, "drop") {
				t.Errorf("upstream got %q", got)
			}
		})
	}
}

func TestSocketRefusesHandshakes(t *testing.T) {
	for name, test := range map[string]struct {
		why, raw string
		status   int
	}{
		"version":       {"no other is spoken", strings.Replace(opening(""), "Version: 13", "Version: 8", 1), 400},
		"no key":        {"it proves that the upstream has read it", strings.Replace(opening(""), theKey, "x", 1), 400},
		"other":         {"not WebSocket", strings.Replace(opening(""), "Upgrade: websocket", "Upgrade: h2c", 1), 400},
		"other path":    {"no grant has it", strings.Replace(opening(""), "/socket", "/notes", 1), 403},
		"no upgrade":    {"the path is that of a WebSocket", request("GET", "/socket") + "\r\n", 403},
		"query":         {"none is listed", strings.Replace(opening(""), "/socket", "/socket?x=1", 1), 403},
		"two keys":      {"readers differ", opening("Sec-WebSocket-Key: " + theKey + "\r\n"), 400},
		"another token": {"it is no token", strings.Replace(opening(""), theHandle, "x", 1), 401},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, switching(""), withSocket)
			a := f.agent()
			a.send(test.raw)
			if got := a.read("GET"); got.StatusCode != test.status || f.upstream.bytes() != "" {
				t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
			}
		})
	}
}

// An upstream that does not open the WebSocket that was asked for opens none.
func TestSocketRefusesAnswers(t *testing.T) {
	for name, more := range map[string]string{
		"extension":     "Sec-WebSocket-Extensions: permessage-deflate\r\n",
		"protocol":      "Sec-WebSocket-Protocol: chat\r\n",
		"second accept": "Sec-WebSocket-Accept: x\r\n",
	} {
		f := newFixture(t, switching(more), withSocket)
		a := f.agent()
		a.send(opening(""))
		if got := a.read("GET"); got.StatusCode != 502 || got.reason() != "AnswerRefused" {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
		}
	}
}

// A WebSocket ends with its credential, and with a change of it.
func TestSocketEnds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(f *fixture)
		want   string
	}{
		"withdrawn": {func(f *fixture) { f.server.Revoke("c1", scope.Suspended) }, "88 \x03\xf0"},
		"changed": {func(f *fixture) {
			c := document()
			c.Generation++
			withSocket(c)
			c.Grants[0].HTTP.Paths = []string{"/notes"}
			if errs := f.server.Apply(state(c)); len(errs) > 0 {
				f.t.Fatal(errs)
			}
		}, "88 \x03\xe9"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, switching(""), withSocket)
			a := f.open()
			a.send(message(0x81, `{"type":"ping"}`))
			if got := a.frame(); got != `81 {"type":"ping"}` {
				t.Fatalf("got %q", got)
			}
			test.change(f)
			if name == "changed" {
				a.send(message(0x81, `{"type":"ping"}`))
			}
			if got := a.frame(); got != test.want || !a.closed() {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A document that brings another key, token or lease and the same scope, as one
// comes every few minutes, ends no WebSocket.
func TestSocketOutlivesRenewals(t *testing.T) {
	f := newFixture(t, switching(""), withSocket)
	a := f.open()
	for range 3 {
		f.apply(withSocket, func(c *bundle.Credential) { c.LeaseEnds = time.Now().Add(2 * time.Hour) })
		a.send(message(0x81, `{"type":"ping"}`))
		if got := a.frame(); got != `81 {"type":"ping"}` {
			t.Fatalf("got %q", got)
		}
	}
	a.send(message(0x81, `{"type":"drop"}`))
	if got := a.frame(); got != "88 \x03\xf0" {
		t.Errorf("got %q: it is judged still", got)
	}
}

// A WebSocket on which nothing happens ends with the time of the exchange.
func TestSocketTime(t *testing.T) {
	f := newFixture(t, switching(""), withSocket, func(c *bundle.Credential) { c.Limits.StreamTimeout = 300 * time.Millisecond })
	if got := f.open().frame(); got != "88 \x03\xf0" {
		t.Errorf("got %q", got)
	}
}

// The key is masked in messages, also where it lies across fragments.
func TestSocketIsMasked(t *testing.T) {
	frame := func(first byte, payload string) string { return string([]byte{first, byte(len(payload))}) + payload }
	sent := frame(0x81, "Bearer "+theSecret) + frame(0x01, "Bearer "+theSecret[:7]) + frame(0x80, theSecret[7:]+"!") + frame(0x82, theSecret[:7]) + frame(0x81, theSecret[7:])
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Echo: %s\r\nSec-WebSocket-Accept: %s\r\n\r\n%s", theSecret, socket.Accept(req.Header.Get("Sec-WebSocket-Key")), sent)
		_, _ = r.ReadByte() // until the agent has seen it
		return errors.Join(err, io.EOF)
	}, withSocket)
	a := f.agent()
	a.send(opening(""))
	res, err := http.ReadResponse(a.r, nil)
	if err != nil || strings.Contains(fmt.Sprint(res.Header), theSecret) {
		t.Fatalf("got %v, %v", res, err)
	}
	stars := strings.Repeat("*", len(theSecret))
	for _, want := range []string{"81 Bearer " + stars, "1 Bearer ", "80 " + stars + "!", "82 " + theSecret[:7], "81 " + theSecret[7:]} {
		if got := a.frame(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
