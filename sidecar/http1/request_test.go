package http1

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const testLimit = 1 << 10

// request is a request as it was read, body and all.
type request struct {
	RequestHead
	Body string
}

// readRequests reads requests until one cannot be read.
func readRequests(src io.Reader, limit int) (all []request, err error) {
	r := NewReader(src, limit)
	var h RequestHead
	for {
		if err = r.ReadRequest(&h); err != nil {
			return all, err
		}
		var body []byte
		if body, err = io.ReadAll(r.Body()); err != nil {
			return append(all, request{h, string(body)}), err
		}
		all = append(all, request{h, string(body)})
		h = RequestHead{} // so that the next read does not use its memory again
	}
}

// exported compares heads by what they say, not by where it lies.
var exported = cmpopts.IgnoreUnexported(RequestHead{}, ResponseHead{})

// fieldList makes fields of names and values in turn.
func fieldList(pairs ...string) (fs []Field) {
	for pair := range slices.Chunk(pairs, 2) {
		fs = append(fs, Field{Name: pair[0], Value: pair[1]})
	}
	return fs
}

// goodRequests are read, with nothing behind them.
var goodRequests = map[string]struct {
	why  string
	raw  string
	want []request
}{
	"plain": {
		"method, target, host and fields as they came, white space around values aside",
		"GET /a/b?c=%20 HTTP/1.1\r\nHost: x.example:80\r\nX-A:  b c\t\r\nx-a:\r\nx-utf: \xc3\xa9\r\n\r\n",
		[]request{{RequestHead: RequestHead{
			Method: "GET", Target: "/a/b?c=%20", Host: "x.example:80",
			Fields: fieldList("X-A", "b c", "x-a", "", "x-utf", "\xc3\xa9"),
		}}},
	},
	"fields of this hop": {
		"none of them can reach the upstream by being copied",
		"GET / HTTP/1.1\r\nHOST: x\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\n" +
			"Trailer: X\r\nProxy-Connection: close\r\nContent-Length: 0\r\nAccept: */*\r\n\r\n",
		[]request{{RequestHead: RequestHead{
			Method: "GET", Target: "/", Host: "x", Framing: Framing{Kind: Sized},
			Fields: fieldList("Accept", "*/*"),
		}}},
	},
	"sized, then another": {
		"a body ends where its length says",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /GET / HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
		[]request{
			{RequestHead{Method: "POST", Target: "/", Host: "x", Framing: Framing{Sized, 5}}, "GET /"},
			{RequestHead{Method: "GET", Target: "/", Host: "y", Close: true}, ""},
		},
	},
	"chunked with trailers, then another": {
		"trailers are dropped, leading zeros and either letter case read",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: cHunked\r\n\r\n" +
			"000a\r\n0123456789\r\nB\r\nabcdefghijk\r\n00\r\nX-T: v\r\nHost: z\r\n\r\nGET * HTTP/1.1\r\nHost: y\r\n\r\n",
		[]request{
			{RequestHead{Method: "POST", Target: "/", Host: "x", Framing: Framing{Kind: Chunked}}, "0123456789abcdefghijk"},
			{RequestHead{Method: "GET", Target: "*", Host: "y"}, ""},
		},
	},
	"upgrade": {
		"asked for by both fields",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, UPGRADE\r\nUpgrade: WebSocket\r\n\r\n",
		[]request{{RequestHead: RequestHead{Method: "GET", Target: "/", Host: "x", Upgrade: "WebSocket"}}},
	},
	"expectation": {
		"with a body",
		"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\na",
		[]request{{RequestHead{
			Method: "PUT", Target: "/", Host: "x", Framing: Framing{Sized, 1}, ExpectContinue: true,
		}, "a"}},
	},
	"expectation without a body": {
		"there is nothing to continue with",
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
		[]request{{RequestHead: RequestHead{Method: "GET", Target: "/", Host: "x"}}},
	},
	"tunnel": {
		"the target is judged elsewhere",
		"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
		[]request{{RequestHead: RequestHead{Method: "CONNECT", Target: "[::1]:443", Host: "[::1]:443"}}},
	},
	"tunnel of HTTP/1.0": {
		"Python before 3.12 sends no Host",
		"CONNECT x:443 HTTP/1.0\r\n\r\nCONNECT x:443 HTTP/1.0\r\nHost: y\r\n\r\n",
		[]request{{RequestHead: RequestHead{Method: "CONNECT", Target: "x:443", Host: "x:443"}}, {RequestHead: RequestHead{Method: "CONNECT", Target: "x:443", Host: "y"}}},
	},
}

func TestReadRequest(t *testing.T) {
	for name, test := range goodRequests {
		t.Run(name, func(t *testing.T) {
			got, err := readRequests(strings.NewReader(test.raw), testLimit)
			if diff := cmp.Diff(test.want, got, exported); diff != "" || err != io.EOF {
				t.Errorf("%s: error %v, requests (-want +got)\n%s", test.why, err, diff)
			}
		})
	}
}

// refusedRequests differ from a good request in one thing each.
var refusedRequests = map[*Error][]string{
	errRequestLine: {
		"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
		"GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\r\n", // of HTTP/0.9: its client waits now
		"GET \r\n",
		"GET\r\n",
		"GET / http/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
		"GET / HTTP/01.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1,1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1\r\nHost: x\r\n\r\n",
		"GET / XTTP/1.1\r\nHost: x\r\n\r\n",
	},
	errMethod: {
		"G\"T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"G\xc9T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\xff / HTTP/1.1\r\nHost: x\r\n\r\n"[1:],
		"GET:/ / HTTP/1.1\r\n",
	},
	errTarget: {
		"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n",
	},
	errVersion: {
		"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"connect x:1 HTTP/1.0\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/0.9\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/0.9\r\n",
	},
	errEmptyStart: {
		"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	},
	errLineEnd: {
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: 3\r\n\r\n",
		"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	},
	errControl: {
		"GET / HTTP/1.1\rHost: x\r\r", // nothing follows
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 3\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c",
		"GET / HTTP/1.1\r\nHost: x\r\nA: \x0bb\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA\x1f: b\r\n\r\n",
		"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS
	},
	errFieldName: {
		"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n", // folded
		"GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA\xe9: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n \r\n\r\n",
	},
	errHost: {
		"GET / HTTP/1.1\r\nA: b\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x/\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x%41\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\n\r\n",
		"CONNECT u@x:1 HTTP/1.0\r\n\r\n",
		"CONNECT x:1 HTTP/1.0\r\nHost: x:1\r\nHost: x:1\r\n\r\n",
	},
	errConnection: {
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Tenant\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection:\r\nConnection: X-Tenant\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close,\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: clo\u017fe\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: \xe2\x84\xaaeep-alive\r\n\r\n",
	},
	errUpgrade: {
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a/\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na",
	},
	errExpect: {
		"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\na",
		"PUT / HTTP/1.1\r\nHost: x\r\nExpect:\r\nContent-Length: 1\r\n\r\na",
		"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\na",
		"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
	},
	errLength: framed("Content-Length: ", "", "-1", "+1", "0x1", "1_0", "1 0", "01", "00", "1, 1", "1,", "1.0", "1e1",
		"9223372036854775808", "1000000000000000000", "\xd9\xa1", "chunked"),
	errLengthTwice: {
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nab",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\nContent-Length: 2\r\n\r\nab",
	},
	errBothFramings: {
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nabcd",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\nContent-Length: 4\r\n\r\nabcd",
	},
	errCoding: append(framed("Transfer-Encoding: ", "", "chunked, identity", "chunked, chunked", "chunked,", ", chunked",
		"chunked;a=b", "\"chunked\"", "chunked chunked", "chun ked", "chunked, gzip", "gzip;q=1, chunked", "\xa0chunked"),
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	errCodingUnknown: framed("Transfer-Encoding: ", "gzip", "identity", "xchunked", "chunkedx", "gzip, chunked", "x"),
	errConnectBody: {
		"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nContent-Length: 1\r\n\r\na",
		"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"CONNECT x:443 HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
		"CONNECT x:443 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	},
	errHeadCut: {
		"G", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r",
	},
	errRequestLineLong: {
		"GET /" + strings.Repeat("a", testLimit) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		strings.Repeat("a", testLimit),
	},
	errHeadLong: {
		"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", testLimit) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", testLimit/6) + "\r\n",
		padded(testLimit + 1),
	},
}

func TestRefusedRequests(t *testing.T) {
	for want, raws := range refusedRequests {
		for _, raw := range raws {
			t.Run(fmt.Sprintf("%d %.80q", want.Status, raw), func(t *testing.T) {
				got, err := readRequests(strings.NewReader(raw), testLimit)
				if len(got) > 0 || !is(err, want) {
					t.Errorf("got %d requests and %v, want %v", len(got), err, want)
				}
			})
		}
	}
}

// framed returns a POST for each value of the header, with both kinds of body.
func framed(header string, values ...string) (raws []string) {
	for _, v := range values {
		raws = append(raws, "POST / HTTP/1.1\r\nHost: x\r\n"+header+v+"\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	return raws
}

// padded returns a request of n bytes without a body.
func padded(n int) string {
	const start, end = "GET / HTTP/1.1\r\nHost: x\r\nA: ", "\r\n\r\n"
	return start + strings.Repeat("a", n-len(start)-len(end)) + end
}

// is tells whether err is the refusal want, whatever read it was caused by.
func is(err error, want *Error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == want.Status && e.Msg == want.Msg
}

// same tells whether err is want: the same refusal, or the very error.
func same(err, want error) bool {
	if e := (*Error)(nil); errors.As(want, &e) {
		return is(err, e)
	}
	return err == want
}

func TestHeaderLimits(t *testing.T) {
	if got, err := readRequests(strings.NewReader(padded(testLimit)+padded(testLimit)), testLimit); len(got) != 2 || err != io.EOF {
		t.Errorf("two headers of just the limit: got %d requests and %v", len(got), err)
	}
	for n, want := range map[int]error{maxFields: io.EOF, maxFields + 1: errFieldCount} {
		raw := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", n-1) + "\r\n"
		if _, err := readRequests(strings.NewReader(raw), 1<<20); err != want {
			t.Errorf("%d fields: got %v, want %v", n, err, want)
		}
	}
	for _, limit := range []int{smallBuffer + 1, largeBuffer, largeBuffer + 1, 1 << 20} {
		if got, err := readRequests(strings.NewReader(padded(limit)), limit); len(got) != 1 || err != io.EOF {
			t.Errorf("header of %d bytes: got %d requests and %v", limit, len(got), err)
		}
	}
}

// Nothing behind a refusal may be taken for a request, nor anything before the
// end of a body.
func TestReaderStaysRefused(t *testing.T) {
	r := NewReader(strings.NewReader("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), testLimit)
	var h RequestHead
	for range 3 {
		if err := r.ReadRequest(&h); !is(err, errVersion) || h.Method != "" {
			t.Fatalf("got %v and %+v, want %v each time", err, h, errVersion)
		}
	}
	r = NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), testLimit)
	if err := r.ReadRequest(&h); err != nil {
		t.Fatal(err)
	}
	if err := r.ReadRequest(&h); err != errBodyPending {
		t.Errorf("within a body: got %v, want %v", err, errBodyPending)
	}
}

// A head is read into again and again; what was kept of it stays as it was.
func TestHeadIsReused(t *testing.T) {
	raw := "GET /one HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\nGET /two HTTP/1.1\r\nHost: y\r\nC: 3\r\n\r\n"
	r := NewReader(strings.NewReader(raw), testLimit)
	var h RequestHead
	var kept []string
	for r.ReadRequest(&h) == nil {
		kept = append(kept, strings.Clone(h.Target), strings.Clone(h.Host))
		for _, f := range h.Fields {
			kept = append(kept, f.Name+f.Value)
		}
	}
	if want := []string{"/one", "x", "A1", "B2", "/two", "y", "C3"}; !slices.Equal(kept, want) {
		t.Errorf("got %q, want %q", kept, want)
	}
	h.Release()
	if h.Method != "" || h.Target != "" || len(h.Fields) != 0 {
		t.Errorf("a released head holds %+v", h)
	}
}
