package http1

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// The pieces that smuggling is made of. Every two of the lines come together
// above every one of the bodies.
var (
	smugglingLines = []string{
		"", "A: b\r\n", "A: b\n", "\r\n", " \r\n", "\x00",
		"Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: 6\r\n", "Content-Length: 35\r\n",
		"Content-Length: +5\r\n", "Content-Length: 05\r\n", "Content-Length: 5,5\r\n", "Content-Length : 5\r\n",
		"Content-Length:\t5 \r\n", "Content-Length: 5\n", "Content-Length: 5\r", "Content_Length: 5\r\n", "content-length: 5\r\n",
		"Content-Length\r\n", "Content-Length: \r\n 5\r\n", "X: y\nContent-Length: 5\r\n", "X: y\rContent-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: CHUNKED\r\n", "Transfer-Encoding:chunked\r\n",
		"Transfer-Encoding:\tchunked\t\r\n", "Transfer-Encoding: \x0bchunked\r\n", "Transfer-Encoding:\x0cchunked\r\n",
		"Transfer-Encoding : chunked\r\n", "Transfer-Encoding: chunked\n", "Transfer-Encoding: chunked\r",
		"Transfer-Encoding:\r\n chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n", " Transfer-Encoding: chunked\r\n",
		"Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: identity, chunked\r\n",
		"Transfer-Encoding: identity\r\n", "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: chunked;q=1\r\n",
		"Transfer-Encoding: ,chunked\r\n", "Transfer-Encoding\x00: chunked\r\n", "Transfer_Encoding: chunked\r\n",
		"Transfer-Encoding: chun\x00ked\r\n", "Transfer-Encoding: \xffchunked\r\n", "Transfer-Encoding: chun\u212aed\r\n",
		"Connection: Content-Length\r\n", "Connection: close\r\n", "Host: y\r\n",
	}
	smugglingBodies = []string{
		"", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "05\r\nhello\r\n00\r\n\r\n", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
		"5\nhello\n0\n\n", "5\r\nhello0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\n\r\n", "0\r\n\n", "f000000000000000\r\n",
	}
)

// However the pieces are put together: what is accepted is read alike by
// net/http, and what is sent on has one reading.
func TestSmuggling(t *testing.T) {
	accepted := 0
	for _, one := range smugglingLines {
		for _, other := range smugglingLines {
			for _, body := range smugglingBodies {
				raw := []byte("POST / HTTP/1.1\r\nHost: x\r\n" + one + other + "\r\n" + body + hidden)
				requests, err := readRequests(bytes.NewReader(raw), testLimit)
				requests = whole(requests, err)
				accepted += len(requests)
				compareRequests(t, raw, requests)
				rewriteRequests(t, requests)
			}
		}
	}
	if accepted == 0 || t.Failed() {
		t.Errorf("%d requests were accepted", accepted)
	}
}

// whole is requests without one whose body broke off.
func whole(requests []request, err error) []request {
	if n := len(requests); n > 0 && err != io.EOF && !requests[n-1].Framing.Empty() {
		return requests[:n-1]
	}
	return requests
}

// The hidden request becomes one of its own only where both framings would
// have to be wrong: never beside a Transfer-Encoding or a second length.
func TestHiddenRequestStaysHidden(t *testing.T) {
	for _, coding := range smugglingLines {
		if !strings.Contains(coding, "Transfer-Encoding") {
			continue
		}
		raw := "POST / HTTP/1.1\r\nHost: x\r\n" + "Content-Length: 5\r\n" + coding + "\r\n0\r\n\r\n" + hidden
		if got, err := readRequests(strings.NewReader(raw), testLimit); len(got) > 0 {
			t.Errorf("%q: read %d requests, %v", coding, len(got), err)
		}
	}
}
