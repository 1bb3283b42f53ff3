package corpus

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// A mutation sends a case another way that changes nothing about what it is.
// It returns false where it cannot be applied.
type mutation struct {
	name, why string
	apply     func(c *testCase, control *testCase) bool
}

var mutations = []mutation{
	{"shuffled", "header fields of different names have no order (RFC 9110, 5.3)", shuffle},
	{"cut", "bytes arrive as the network likes", cut},
	{"behind", "every request on a connection is decided on its own", behind},
}

// shuffle changes the order of the header fields of the first request, the
// same way every time.
func shuffle(c *testCase, _ *testCase) bool {
	head, body, whole := strings.Cut(c.Raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if !whole || len(lines) < 3 {
		return false
	}
	for _, line := range lines[1:] {
		if strings.ContainsAny(line, "\r\n") || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			return false // what a field is, is the question of the case
		}
	}
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(c.ID))
	rand.New(rand.NewPCG(seed.Sum64(), 0)).Shuffle(len(lines)-1, func(i, j int) {
		lines[1+i], lines[1+j] = lines[1+j], lines[1+i]
	})
	c.Raw = strings.Join(lines, "\r\n") + "\r\n\r\n" + body
	return true
}

// mostCut is how many writes a request is cut into at most.
const mostCut = 2048

func cut(c *testCase, _ *testCase) bool {
	c.piece = 1 + len(c.Grow.apply(c.Raw))/mostCut
	return true
}

// behind pipelines the request behind a good one, in one write. What is
// allowed is left out: its answer would be read for the good one's. Behind a
// WebSocket there are no requests.
func behind(c *testCase, control *testCase) bool {
	if c.Expect != "block" || control.isSocket() || strings.HasPrefix(c.Raw, "HEAD ") {
		return false
	}
	if c.isHTTP2() {
		c.after = control
	} else {
		c.Raw, c.Grow = control.Raw+c.Grow.apply(c.Raw), nil
	}
	c.Expect, c.ExpectEach = "split", []string{"allow", "block"}
	c.ClientStatus, c.ClientHas, c.UpstreamHas, c.UpstreamCount = nil, nil, nil, nil
	return true
}

// runMutated runs the cases of a scope in every other way, against one process.
// What ends a connection of HTTP/2 is left out: it ends what is beside it, too.
func (s *suite) runMutated(t *testing.T, scope string, chosen []testCase) {
	i := s.start(t, scope, &setup{})
	for _, m := range mutations {
		ran := 0
		for _, c := range chosen {
			if c.Setup != nil || c.Then != nil || c.Procedure != "" || c.Continuations > 0 || !m.apply(&c, &i.control) {
				continue
			}
			ran++
			c.ID += "-" + m.name
			if !i.process.alive() {
				t.Fatalf("%s: the process is gone", c.ID)
			}
			t.Run(c.ID, func(t *testing.T) {
				if !i.try(t, &c) {
					t.Errorf("%s: %s", c.Title, m.why)
				}
			})
		}
		t.Logf("%s: %d of %d cases", m.name, ran, len(chosen))
	}
}

// write sends bytes in pieces of a length, or at once.
func write(conn net.Conn, text []byte, piece int) {
	if piece == 0 {
		piece = len(text)
	}
	for len(text) > 0 {
		n := min(piece, len(text))
		// The proxy may refuse before it has read all, and reset.
		if _, err := conn.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// drip sends the head, then a byte of the body each time, until the proxy has
// had enough.
func drip(conn net.Conn, text []byte, every time.Duration) {
	head := bytes.Index(text, []byte("\r\n\r\n")) + 4
	write(conn, text[:head], 0)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for _, b := range text[head:] {
		<-tick.C
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
	}
}

func (c *testCase) isSocket() bool { return strings.Contains(c.Raw, "\r\nUpgrade: websocket\r\n") }
