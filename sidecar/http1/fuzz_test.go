package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ways are the ways in which the same bytes can arrive.
var ways = map[string]func(io.Reader) io.Reader{
	"byte by byte":   iotest.OneByteReader,
	"by halves":      iotest.HalfReader,
	"with their end": iotest.DataErrReader,
	"after a start":  func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 19), r) },
}

// outcome is all that a stream of messages was read as.
type outcome[T any] struct {
	Messages []T
	Status   int
	Err      string
}

func outcomeOf[T any](messages []T, err error) outcome[T] {
	o := outcome[T]{Messages: messages, Err: err.Error()}
	if e := (*Error)(nil); errors.As(err, &e) {
		o.Status = e.Status
	}
	return o
}

// FuzzRequest holds the reader of requests to this: the same bytes are read as
// the same requests however they arrive; what is accepted is read alike by
// net/http, and, once written, by ourselves, in a spelling that does not
// change any more.
func FuzzRequest(f *testing.F) {
	for _, raw := range requestSeeds() {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		requests, err := readRequests(bytes.NewReader(raw), testLimit)
		want := outcomeOf(requests, err)
		for name, way := range ways {
			if diff := cmp.Diff(want, outcomeOf(readRequests(way(bytes.NewReader(raw)), testLimit)), exported); diff != "" {
				t.Errorf("arriving %s (-whole +got)\n%s", name, diff)
			}
		}
		requests = whole(requests, err)
		compareRequests(t, raw, requests)
		rewriteRequests(t, requests)
	})
}

// compareRequests reads raw with net/http as well.
func compareRequests(t *testing.T, raw []byte, requests []request) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for _, got := range requests {
		if _, err := url.ParseRequestURI(got.Target); err != nil || got.Method == "CONNECT" {
			return // targets are not judged here, but net/http judges them
		}
		want, err := http.ReadRequest(in)
		if err != nil && strings.Contains(err.Error(), "trailer key") {
			return // it refuses some names announced in Trailer, which we drop
		}
		if err != nil {
			t.Fatalf("net/http refuses %+v: %v", got, err)
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body of %+v: %v", got, err)
		}
		compareRequest(t, want, string(body), got)
	}
}

func compareRequest(t *testing.T, want *http.Request, body string, got request) {
	if !strings.HasPrefix(got.Target, "/") {
		got.Host = want.Host // net/http takes it from the target
	}
	theirs := []any{want.Method, want.RequestURI, want.Proto, want.Host, want.Close, canonical(want.Header), body}
	ours := []any{got.Method, got.Target, "HTTP/1.1", got.Host, got.Close, header(got.Fields), got.Body}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Fatalf("request (-net/http +ours)\n%s", diff)
	}
}

// canonical is h without the fields of this hop, and without Cache-Control,
// which net/http makes up from Pragma.
func canonical(h http.Header) http.Header {
	for name := range h {
		if whichOwn(name) != notOwn || name == "Cache-Control" {
			delete(h, name)
		}
	}
	return h
}

func header(fields []Field) http.Header {
	h := http.Header{}
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return canonical(h)
}

// rewriteRequests sends the requests on and reads them again, twice.
func rewriteRequests(t *testing.T, requests []request) {
	first := writeRequests(t, requests)
	again, err := readRequests(bytes.NewReader(first), 2*testLimit)
	if err != io.EOF {
		t.Fatalf("reading what was written: %v\n%q", err, first)
	}
	if second := writeRequests(t, again); !bytes.Equal(first, second) {
		t.Fatalf("written as\n%q\nand then as\n%q", first, second)
	}
	for i := range requests {
		requests[i].Framing, again[i].Framing = Framing{}, Framing{}
		requests[i].ExpectContinue = false // it has been met
	}
	if diff := cmp.Diff(requests, again, exported, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("written and read again (-want +got)\n%s", diff)
	}
}

func writeRequests(t *testing.T, requests []request) []byte {
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, r := range requests {
		w.Request(r.Method, []byte(r.Target), r.Host)
		for _, f := range r.Fields {
			w.Field(f.Name, f.Value)
		}
		if r.Close {
			w.ConnectionClose()
		}
		if r.Upgrade != "" {
			w.Upgrade(r.Upgrade)
		}
		w.Body(r.Framing)
		io.WriteString(w, r.Body)
		if err := w.End(); err != nil {
			t.Fatalf("writing %+v: %v", r, err)
		}
	}
	return out.Bytes()
}

// FuzzResponse holds the reader of answers to the same: an answer is read alike
// however it arrives, by net/http, and by ourselves once it is written.
func FuzzResponse(f *testing.F) {
	for _, raw := range responseSeeds {
		f.Add([]byte(raw), "GET")
		f.Add([]byte(raw), "HEAD")
	}
	f.Fuzz(func(t *testing.T, raw []byte, method string) {
		got, err := readResponse(bytes.NewReader(raw), method)
		for name, way := range ways {
			again, errAgain := readResponse(way(bytes.NewReader(raw)), method)
			if diff := cmp.Diff(got, again, exported); diff != "" || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
				t.Errorf("arriving %s: %v, whole: %v (-whole +got)\n%s", name, errAgain, err, diff)
			}
		}
		if err != nil {
			return
		}
		compareResponse(t, raw, method, got)
		rewriteResponse(t, method, got)
	})
}

// compareResponse reads raw with net/http as well.
func compareResponse(t *testing.T, raw []byte, method string, got response) {
	want := readNetHTTP(t, raw, method)
	if want == nil {
		return
	}
	body, err := io.ReadAll(want.Body)
	if err != nil {
		t.Fatalf("net/http refuses the body of %+v: %v", got, err)
	}
	if got.Status != want.StatusCode || got.Body != string(body) {
		t.Fatalf("net/http reads %d %q, we %d %q", want.StatusCode, body, got.Status, got.Body)
	}
	if want.Close && !got.Close {
		t.Fatal("net/http closes the connection, we use it again")
	}
	for name, values := range header(got.Fields) { // those that Connection names are gone
		if diff := cmp.Diff(want.Header[name], values); diff != "" {
			t.Fatalf("field %s (-net/http +ours)\n%s", name, diff)
		}
	}
}

// readNetHTTP reads the first final answer, or nil where net/http refuses only
// names announced in Trailer, which we drop.
func readNetHTTP(t *testing.T, raw []byte, method string) *http.Response {
	for in := bufio.NewReader(bytes.NewReader(raw)); ; {
		got, err := http.ReadResponse(in, &http.Request{Method: method})
		switch {
		case err != nil && strings.Contains(err.Error(), "trailer key"):
			return nil
		case err != nil:
			t.Fatalf("net/http refuses what we accept: %v", err)
		case got.StatusCode >= 200:
			return got
		}
	}
}

func rewriteResponse(t *testing.T, method string, want response) {
	var out bytes.Buffer
	w := NewWriter(&out)
	w.Response(want.Status, method)
	for _, f := range want.Fields {
		w.Field(f.Name, f.Value)
	}
	w.Body(want.Framing)
	if _, err := io.WriteString(w, want.Body); err != nil {
		t.Fatalf("writing %+v: %v", want, err)
	}
	if err := w.End(); err != nil {
		t.Fatalf("writing %+v: %v", want, err)
	}
	r := NewReader(&out, 2*testLimit)
	var again ResponseHead
	if err := r.ReadResponse(&again, method); err != nil {
		t.Fatalf("reading what was written: %v\n%q", err, out.String())
	}
	body, err := io.ReadAll(r.Body())
	if err != nil || r.Buffered() > 0 || string(body) != want.Body || again.Status != want.Status {
		t.Fatalf("written and read again as %+v %q, %v", again, body, err)
	}
	if diff := cmp.Diff(want.Fields, again.Fields, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("fields (-want +got)\n%s", diff)
	}
}

// FuzzChunked holds the reader of chunks to this: net/http finds the same data
// and the same end wherever we find one, and nothing is read beyond the end.
func FuzzChunked(f *testing.F) {
	for _, raw := range requestSeeds() {
		if _, body, ok := strings.Cut(raw, "chunked\r\n\r\n"); ok {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		stream := slices.Concat([]byte(chunkedPost), raw, []byte(hidden))
		r := NewReader(bytes.NewReader(stream), testLimit)
		var h RequestHead
		if err := r.ReadRequest(&h); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		w.Request(h.Method, []byte(h.Target), h.Host)
		w.Body(h.Framing)
		if _, err := w.CopyBody(r.Body(), nil); err != nil {
			if err := r.ReadRequest(&h); err == nil {
				t.Fatalf("a request was read behind a refused body: %+v", h)
			}
			return
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		compareBody(t, stream, &out, r.Tunnel())
	})
}

// compareBody compares the body in written, and what is left behind it, with
// what net/http finds in stream.
func compareBody(t *testing.T, stream []byte, written, left io.Reader) {
	got, err := readRequests(written, testLimit)
	if err != io.EOF || len(got) != 1 {
		t.Fatalf("what was written is %d requests, %v", len(got), err)
	}
	in := bufio.NewReader(bytes.NewReader(stream))
	want, err := http.ReadRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(want.Body)
	if err != nil || got[0].Body != string(body) {
		t.Fatalf("net/http reads %q, %v; we %q", body, err, got[0].Body)
	}
	theirs, _ := io.ReadAll(in)
	ours, _ := io.ReadAll(left)
	if !bytes.Equal(theirs, ours) {
		t.Fatalf("net/http stops before %q, we before %q", theirs, ours)
	}
}

// requestSeeds are streams of requests, most of them hostile.
func requestSeeds() []string {
	return []string{
		"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello" + hidden,
		chunkedPost + "5\r\nhello\r\n1;x\r\n!\r\n0\r\n\r\n" + hidden,
		chunkedPost + "5\r\nhello\r\n0\r\nA: b\r\n\r\n" + hidden,
		chunkedPost + "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n" + hidden,
		chunkedPost + "0005\r\nhello\r\n000\r\n\r\n" + hidden,
		chunkedPost + "5\r\nhello\n0\r\n\r\n" + hidden,
		chunkedPost + "5\nhello\r\n0\r\n\r\n" + hidden,
		chunkedPost + "ffffffffffffffff\r\nhello\r\n0\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" + hidden,
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket/13\r\n\r\n" + hidden,
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nX: \tb c \t\r\nX:\r\nX: \xe9\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\rHost: x\r\r", "GET / HTTP/1.0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n" + hidden, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "CONNECT x:1 HTTP/1.0\r\n\r\n" + hidden,
		"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", padded(testLimit), padded(testLimit + 1),
	}
}

var responseSeeds = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: a/b\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nConnection: X, close\r\nX: 1\r\n\r\nok",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
}
