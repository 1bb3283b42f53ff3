package http1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// response is an answer as it was read, body and all.
type response struct {
	ResponseHead
	Body string
}

func readResponse(src io.Reader, method string) (response, error) {
	r := NewReader(src, testLimit)
	var got response
	if err := r.ReadResponse(&got.ResponseHead, method); err != nil {
		return got, err
	}
	body, err := io.ReadAll(r.Body())
	got.Body = string(body)
	return got, err
}

func sized(n int64) Framing { return Framing{Sized, n} }

// goodResponses are read; a second answer behind one is left alone.
var goodResponses = map[string]struct {
	why, method, raw string
	want             response
}{
	"sized": {
		"the usual answer; its reason phrase is nobody's business", "GET",
		"HTTP/1.1 200 \xe9 free\ttext\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 smuggled\r\n\r\n",
		response{ResponseHead{Status: 200, Fields: fieldList("Content-Type", "a/b"), Framing: sized(2)}, "ok"},
	},
	"no reason phrase": {
		"nor is its absence", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 200, Framing: sized(0)}},
	},
	"chunked": {
		"taken out of its chunks", "GET", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nT: x\r\n\r\n",
		response{ResponseHead{Status: 404, Framing: Framing{Kind: Chunked}}, "a"},
	},
	"until close": {
		"no statement of length", "GET", "HTTP/1.1 200 OK\r\n\r\nto the end",
		response{ResponseHead{Status: 200, Framing: Framing{Kind: UntilClose}, Close: true}, "to the end"},
	},
	"HTTP/1.0": {
		"read, but not for a second answer", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		response{ResponseHead{Status: 200, Framing: sized(2), Close: true}, "ok"},
	},
	"to HEAD": {
		"states a length and has no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 200, Framing: sized(99)}},
	},
	"chunked to HEAD": {
		"has no body either", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 200, Framing: Framing{Kind: Chunked}}},
	},
	"204": {
		"never has one", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 204, Framing: sized(0)}},
	},
	"204 with a body": {
		"what follows is not to be read as an answer", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
		response{ResponseHead: ResponseHead{Status: 204, Close: true}},
	},
	"304": {
		"may state the length of what it does not send", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\nETag: \"x\"\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 304, Framing: sized(3), Fields: fieldList("ETag", `"x"`)}},
	},
	"304 with chunks": {
		"what follows is not to be read as an answer", "GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 304, Close: true}},
	},
	"informational": {
		"dropped", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 200, Framing: sized(0), Fields: fieldList("A", "b")}},
	},
	"fields of this hop": {
		"those that Connection names are among them, whatever their case and place", "GET",
		"HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: x-hop , close\r\nUpgrade: h2\r\nKeep-Alive: 5\r\nHost: z\r\nx-hOP: 2\r\n" +
			"A: b\r\nContent-Length: 0\r\nCONNECTION: X-Other\r\nX-Other: 3\r\nX-Hopper: 4\r\n\r\n",
		response{ResponseHead: ResponseHead{Status: 200, Framing: sized(0), Close: true, Fields: fieldList("A", "b", "X-Hopper", "4")}},
	},
}

func TestReadResponse(t *testing.T) {
	for name, test := range goodResponses {
		t.Run(name, func(t *testing.T) {
			got, err := readResponse(strings.NewReader(test.raw), test.method)
			if diff := cmp.Diff(test.want, got, exported); diff != "" || err != nil {
				t.Errorf("%s: error %v, answer (-want +got)\n%s", test.why, err, diff)
			}
		})
	}
}

// refusedResponses differ from a good answer in one thing each.
var refusedResponses = map[*Error][]string{
	errStatusLine: {
		"HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n", "HTTP/1.1 2\xd9\xa1 x\r\n\r\n",
		"HTTP/1.1\t200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
		"http/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "200 OK\r\n\r\n", "hello\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
	},
	errEmptyStart:   {"\r\nHTTP/1.1 200 OK\r\n\r\n"},
	errLineEnd:      {"HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
	errControl:      {"HTTP/1.1 200 OK\x00\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n"},
	errFieldName:    {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n"},
	errLengthTwice:  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 50\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	errLength:       {"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"},
	errBothFramings: {"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
	errCoding: {
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	},
	errCodingUnknown:  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
	errConnectionName: {"HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n"},
	errInformational: {
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 104 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 199 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 100 x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	},
	errHeadLong: {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n", 100), "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", testLimit) + "\r\n\r\n"},
	errHeadCut:  {"H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 x\r\n\r\n"},
	errBodyCut: {
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
	},
	errChunkSize: {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n"},
}

func TestRefusedResponses(t *testing.T) {
	for want, raws := range refusedResponses {
		for _, raw := range raws {
			t.Run(fmt.Sprintf("%.60q", raw), func(t *testing.T) {
				_, err := readResponse(strings.NewReader(raw), "GET")
				if !is(err, want.ofAnswer()) || want.ofAnswer().Status != 502 {
					t.Errorf("got %v, want %v with 502", err, want)
				}
			})
		}
	}
}

// upgradeAnswers answer a request for an upgrade; want 0 is a refusal.
var upgradeAnswers = map[string]struct {
	why, raw string
	want     int
	protocol string
}{
	"switched":     {"", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\n", 101, "websocket"},
	"refused":      {"an ordinary answer", "HTTP/1.1 426 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n", 426, ""},
	"no protocol":  {"to what?", "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n", 0, ""},
	"two":          {"to which?", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", 0, ""},
	"unconnected":  {"for whom?", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", 0, ""},
	"with a body":  {"where does it end?", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\nContent-Length: 2\r\n\r\nab", 0, ""},
	"after others": {"hints come first", "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a/1\r\n\r\n", 101, "a/1"},
}

func TestReadUpgrade(t *testing.T) {
	for name, test := range upgradeAnswers {
		t.Run(name, func(t *testing.T) {
			r := NewReader(strings.NewReader(test.raw+"frames"), testLimit)
			var h ResponseHead
			err := r.ReadUpgrade(&h)
			switch {
			case test.want == 0:
				if !is(err, errInformational.ofAnswer()) {
					t.Errorf("%s got %v, %+v", test.why, err, h)
				}
			case err != nil || h.Status != test.want || h.Upgrade != test.protocol:
				t.Errorf("%s got %v, %+v", test.why, err, h)
			case h.Status == 101:
				checkTunnel(t, r, "frames")
			}
		})
	}
}

func checkTunnel(t *testing.T, r *Reader, want string) {
	t.Helper()
	if got, err := io.ReadAll(r.Tunnel()); string(got) != want || err != nil {
		t.Errorf("tunnel: %q, %v", got, err)
	}
	var h ResponseHead
	if err := r.ReadUpgrade(&h); err != errTunnel || r.Reusable() {
		t.Errorf("a tunnel was taken for messages: %v", err)
	}
}

// The agent is told whose fault it was.
func TestStatusOfAnswers(t *testing.T) {
	for e, want := range map[*Error]int{errHeadSlow: 504, errBodySlow: 504, errHeadLong: 502, errLengthTwice: 502, errCodingUnknown: 502, errBodyBig: 502} {
		if got := e.ofAnswer().Status; got != want {
			t.Errorf("%v: got %d, want %d", e, got, want)
		}
	}
}

// Only where nothing of an answer has come may the request be sent once more.
func TestFailedResponses(t *testing.T) {
	reset := os.NewSyscallError("read", syscall.ECONNRESET)
	for name, test := range map[string]struct {
		why, raw string
		cause    error
		want     error
	}{
		"closed while idle": {"nobody has seen the request", "", io.EOF, io.EOF},
		"reset while idle":  {"nobody has seen the request", "", reset, reset},
		"reset":             {"somebody has", "HTTP", reset, errHeadCut.ofAnswer()},
		"too slow":          {"504", "HTTP", os.ErrDeadlineExceeded, errHeadSlow.ofAnswer()},
		"body too slow":     {"504", "HTTP/1.1 200 OK\r\n\r\n", os.ErrDeadlineExceeded, errBodySlow.ofAnswer()},
		"body reset":        {"a reset is not the end", "HTTP/1.1 200 OK\r\n\r\nabc", reset, errBodyCut.ofAnswer()},
	} {
		_, err := readResponse(io.MultiReader(strings.NewReader(test.raw), iotest.ErrReader(test.cause)), "GET")
		if !same(err, test.want) || test.cause != io.EOF && !errors.Is(err, test.cause) {
			t.Errorf("%s: %s: got %v, want %v", name, test.why, err, test.want)
		}
	}
}
