package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// quiet is an upstream that begins an answer, and says nothing more until it is
// told to, or hears that nobody listens any more.
type quiet struct{ more, over chan bool }

func (s *quiet) answer(c net.Conn, r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	media := "text/event-stream; charset=utf-8"
	if req.URL.Path == "/notes/plain" {
		media = "text/plain"
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: "+media+"\r\n\r\n"); err != nil {
		return err
	}
	left := make(chan bool)
	go func() {
		_, _ = r.ReadByte() // nothing is sent behind the request
		close(left)
	}()
	select {
	case <-left:
		s.over <- true
		return io.EOF
	case <-s.more:
	}
	_, err = io.WriteString(c, "data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n")
	return errors.Join(err, io.EOF)
}

// An agent that leaves a stream of events gives its place free, though nothing
// comes on it. One that stays keeps its own; so does one that has merely closed
// its side, of an answer that is no such stream.
func TestSilentStreams(t *testing.T) {
	for name, raw := range map[string]string{
		"MCP":  request("GET", "/mcp") + v25 + "\r\n\r\n",
		"HTTP": request("GET", "/notes/events") + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			up := &quiet{more: make(chan bool), over: make(chan bool, 3)}
			f := newFixture(t, up.answer, withMCP)
			inFlight := f.server.holders[theName].inFlight.Load
			begin := func(raw string) (*agent, io.Reader) {
				a := f.agent()
				a.send(raw)
				res, err := http.ReadResponse(a.r, nil)
				if err != nil || res.StatusCode != 200 {
					t.Fatalf("got %v, %v", res, err)
				}
				return a, res.Body
			}
			_, stays := begin(raw)
			closes, whole := begin(request("GET", "/notes/plain") + "\r\n")
			leaves, _ := begin(raw)
			if err := closes.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_ = leaves.Close()
			if !eventually(func() bool { return inFlight() < 3 }) || inFlight() != 2 {
				t.Fatalf("%d answers are under way", inFlight())
			}
			if !eventually(func() bool { return len(up.over) == 1 }) {
				t.Fatal("the upstream has not heard of it")
			}
			up.more <- true
			up.more <- true
			for _, body := range []io.Reader{stays, whole} {
				if text, err := io.ReadAll(body); err != nil || !strings.Contains(string(text), `"method":"a"`) {
					t.Errorf("got %q, %v", text, err)
				}
			}
			if strings.Contains(f.records.String(), `"outcome"`) {
				t.Error("it is told as a failure that somebody has left")
			}
		})
	}
}

// An agent that leaves before an MCP server has said anything is not waited
// for, and the server hears of it.
func TestMCPAgentLeaves(t *testing.T) {
	asked, over := make(chan bool, 1), make(chan bool, 1)
	f := newFixture(t, func(_ net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, req.Body)
		asked <- true
		_, _ = r.ReadByte() // nothing is sent behind the request
		over <- true
		return errors.Join(err, io.EOF)
	}, withMCP)
	a := f.agent()
	a.send(tell(findCall, v25))
	<-asked
	_ = a.Close()
	if !eventually(func() bool { return len(over) == 1 }) {
		t.Fatal("the upstream has not heard of it")
	}
	if !eventually(func() bool { return f.server.holders[theName].inFlight.Load() == 0 }) {
		t.Error("its place is not free")
	}
	if strings.Contains(f.records.String(), `"outcome"`) {
		t.Error("it is told as a failure that somebody has left")
	}
}
