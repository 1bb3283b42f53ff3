package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// hidden is what an attacker wants to be taken for a request.
const hidden = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"

const chunkedPost = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

// refusedChunks are chunked bodies with one thing wrong.
var refusedChunks = map[*Error][]string{
	errChunkSize: {
		"5;x\r\nhello\r\n0\r\n\r\n",
		"5;x\nhello\r\n0\r\n\r\n",
		"5;x=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
		"5;x\rhello",
		"5\nhello\r\n0\r\n\r\n",
		"5\rhello\r\n0\r\n\r\n",
		"5\r\r\nhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n",
		" 5\r\nhello\r\n0\r\n\r\n",
		"\t5\r\nhello\r\n0\r\n\r\n",
		"+5\r\nhello\r\n0\r\n\r\n",
		"-5\r\nhello\r\n0\r\n\r\n",
		"0x5\r\nhello\r\n0\r\n\r\n",
		"5h\r\nhello\r\n0\r\n\r\n",
		"5_0\r\nhello\r\n0\r\n\r\n",
		"\r\n5\r\nhello\r\n0\r\n\r\n",
		"\r\n\r\n",
		";\r\n\r\n",
		"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", // a digit, but not of ASCII
		"00000000000000005\r\nhello\r\n0\r\n\r\n",
		"10000000000000005\r\nhello\r\n0\r\n\r\n",
		"8000000000000000\r\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
		"0;\r\n\r\n",
		"0 \r\n\r\n",
		"0\n\r\n",
		"5\r\nhello\r\n0\n\n",
	},
	errChunkEnd: {
		"5\r\nhelloXX0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello\r0\r\n\r\n",
		"5\r\nhello0\r\n\r\n",
		"5\r\nhello \r\n0\r\n\r\n",
		"4\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello\n\r0\r\n\r\n",
	},
	errTrailer: {
		"0\r\n\n",
		"0\r\nA: b\n\r\n",
		"0\r\nA b\r\n\r\n",
		"0\r\nA : b\r\n\r\n",
		"0\r\n A: b\r\n\r\n",
		"0\r\nA: b\r\n c\r\n\r\n",
		"0\r\nA: b\x00\r\n\r\n",
		"0\r\nA: b\rc\r\n\r\n",
		"0\r\n: b\r\n\r\n",
		"0\r\n" + hidden,
	},
	errTrailerBig: {
		"0\r\nA: " + strings.Repeat("a", testLimit) + "\r\n\r\n",
		"0\r\n" + strings.Repeat("A: b\r\n", testLimit) + "\r\n",
		"0\r\n" + strings.Repeat("a", testLimit+1),
	},
	errBodyCut: {
		"", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n", "6\r\nhello\r",
	},
}

// Whatever is wrong with a chunked body, no request behind it is ever read.
func TestRefusedChunks(t *testing.T) {
	for want, bodies := range refusedChunks {
		for _, body := range bodies {
			t.Run(fmt.Sprintf("%.40q", body), func(t *testing.T) {
				raw := chunkedPost + body
				if want != errBodyCut {
					raw += hidden
				}
				got, err := readRequests(strings.NewReader(raw), testLimit)
				if len(got) != 1 || !is(err, want) {
					t.Errorf("got %d requests and %v, want the POST and %v", len(got), err, want)
				}
			})
		}
	}
}

// A trailer whose line never ends is given up at the limit.
func TestEndlessTrailer(t *testing.T) {
	src := io.MultiReader(strings.NewReader(chunkedPost+"0\r\nA: "), &forever{text: "aaaaaaaa"})
	if got, err := readRequests(src, testLimit); len(got) != 1 || !is(err, errTrailerBig) {
		t.Errorf("got %d requests and %v, want %v", len(got), err, errTrailerBig)
	}
}

func TestChunkSizes(t *testing.T) {
	big := strings.Repeat("x", 3*largeBuffer+17)
	for name, test := range map[string]struct{ why, body, want string }{
		"largest":       {"63 bits are read, though the data never comes", "7fffffffffffffff\r\nabc", "abc"},
		"sixteen zeros": {"leading zeros have one meaning", "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc"},
		"many":          {"sizes in either letter case", strings.Repeat("0A\r\n0123456789\r\n", 999) + "0\r\n\r\n", strings.Repeat("0123456789", 999)},
		"long":          {"a chunk longer than any buffer", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), big},
		"empty":         {"no chunk but the last", "0\r\n\r\n", ""},
	} {
		got, err := readRequests(strings.NewReader(chunkedPost+test.body), testLimit)
		if len(got) != 1 || got[0].Body != test.want {
			t.Errorf("%s: %s: read %d requests, %v", name, test.why, len(got), err)
		}
	}
}

func TestBodyCut(t *testing.T) {
	got, err := readRequests(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\naction=preview"), testLimit)
	if len(got) != 1 || !is(err, errBodyCut) {
		t.Errorf("got %d requests and %v, want %v", len(got), err, errBodyCut)
	}
	if errors.Is(err, io.EOF) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v passes for the end of the body", err)
	}
}

func sizedPost(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n)
}

// boundedBodies are bodies that are read up to a limit.
var boundedBodies = map[string]struct {
	why, raw string
	limit    int64
	err      error
}{
	"sized, fits":       {"the limit is inclusive", sizedPost(3) + "abc", 3, nil},
	"sized, too long":   {"refused by its statement, unread", sizedPost(4) + "abcd", 3, errBodyBig},
	"sized, claim":      {"a claim alone costs no memory", sizedPost(1<<40) + "abcd", 1 << 50, errBodyCut},
	"chunked, fits":     {"the limit counts data, not framing", chunkedPost + "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 3, nil},
	"chunked, too long": {"refused once it is", chunkedPost + "1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n", 3, errBodyBig},
	"none":              {"no body is within every limit", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, nil},
}

func TestDiscardBounds(t *testing.T) {
	for name, test := range boundedBodies {
		t.Run(name, func(t *testing.T) {
			r := NewReader(strings.NewReader(test.raw), testLimit)
			var h RequestHead
			if err := r.ReadRequest(&h); err != nil {
				t.Fatal(err)
			}
			if err := r.Body().Discard(test.limit); !same(err, test.err) {
				t.Errorf("%s: got %v, want %v", test.why, err, test.err)
			}
			if err := r.ReadRequest(&h); test.err == nil && err != io.EOF || test.err != nil && !same(err, test.err) {
				t.Errorf("%s: then %v", test.why, err)
			}
		})
	}
}

// A Body before any message, and one that has ended, is empty.
func TestBodyEnds(t *testing.T) {
	r := NewReader(iotest.ErrReader(errors.New("must not be read")), testLimit)
	if n, err := r.Body().Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("before a message: got %d, %v", n, err)
	}
	r = NewReader(strings.NewReader(chunkedPost+"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), testLimit)
	var h RequestHead
	if err := r.ReadRequest(&h); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Body().Read(nil); n != 0 || err != nil {
		t.Errorf("into nothing: got %d, %v", n, err)
	}
	if err := iotest.TestReader(r.Body(), []byte("a")); err != nil {
		t.Error(err)
	}
	if n, err := r.Body().Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("at its end: got %d, %v", n, err)
	}
}

// What has arrived is handed on before waiting for more, wherever the stream
// stops for a while.
func TestNothingIsHeldBack(t *testing.T) {
	stream := chunkedPost + "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"
	for pause := len(chunkedPost); pause < len(stream); pause++ {
		var sent bytes.Buffer
		seen := 0
		src := io.MultiReader(strings.NewReader(stream[:pause]),
			readerFunc(func([]byte) (int, error) { seen = payload(t, sent.String()); return 0, io.EOF }))
		r, w := NewReader(src, testLimit), NewWriter(&sent)
		var h RequestHead
		if err := r.ReadRequest(&h); err != nil {
			t.Fatal(err)
		}
		w.Request(h.Method, []byte(h.Target), h.Host)
		w.Body(h.Framing)
		if _, err := w.CopyBody(r.Body(), nil); !is(err, errBodyCut) {
			t.Fatalf("got %v, want %v", err, errBodyCut)
		}
		if want := payload(t, stream[:pause]); seen != want {
			t.Errorf("pause at %q: %d bytes of the body had been sent, want %d", stream[:pause], seen, want)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// payload counts the bytes of the body in the beginning of a chunked message.
func payload(t *testing.T, message string) (n int) {
	t.Helper()
	_, rest, ok := strings.Cut(message, "\r\n\r\n")
	if !ok {
		t.Fatalf("no header has been sent: %q", message)
	}
	for rest != "" {
		var size int
		line, after, ok := strings.Cut(rest, "\r\n")
		if _, err := fmt.Sscanf(line, "%x", &size); err != nil || !ok {
			return n
		}
		n += min(size, len(after))
		rest = after[min(size+2, len(after)):]
	}
	return n
}

var errSlow = fmt.Errorf("read: %w", os.ErrDeadlineExceeded)

func TestSlowMessages(t *testing.T) {
	for name, test := range map[string]struct {
		why, raw string
		want     error
	}{
		"nothing":        {"an idle connection is no slow request", "", errSlow},
		"within a line":  {"half a header", "GET / HTT", errHeadSlow},
		"within a body":  {"half a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", errBodySlow},
		"within a chunk": {"half a chunk size", chunkedPost + "5", errBodySlow},
	} {
		src := io.MultiReader(strings.NewReader(test.raw), iotest.ErrReader(errSlow))
		_, err := readRequests(src, testLimit)
		if !same(err, test.want) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %s: got %v, want %v", name, test.why, err, test.want)
		}
	}
}

// limited are bodies, a limit, and how much of them may be seen.
var limited = map[string]struct {
	why, raw string
	limit    int64
	want     string
	err      *Error
}{
	"sized, fits":           {"the limit is inclusive", "Content-Length: 5\r\n\r\nhello", 5, "hello", nil},
	"sized, too long":       {"refused before it is read", "Content-Length: 6\r\n\r\nhello!", 5, "", errBodyBig},
	"chunked, fits":         {"the last chunk is empty", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 5, "hello", nil},
	"chunked, one chunk":    {"refused by its size line", "Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n", 5, "", errBodyBig},
	"chunked, next chunk":   {"what fits was handed out", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n4\r\nllo!\r\n0\r\n\r\n", 5, "he", errBodyBig},
	"chunked, huge":         {"no overflow", "Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n7fffffffffffffff\r\nx", 5, "h", errBodyBig},
	"nothing, none allowed": {"no bytes are no bytes too many", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "", nil},
}

func TestBodyLimit(t *testing.T) {
	for name, test := range limited {
		r := NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\n"+test.raw), testLimit)
		var h RequestHead
		if err := r.ReadRequest(&h); err != nil {
			t.Fatal(err)
		}
		r.Body().Limit(test.limit)
		got, err := io.ReadAll(r.Body())
		if string(got) != test.want || (test.err == nil) != (err == nil) || test.err != nil && !is(err, test.err) {
			t.Errorf("%s: %s: got %q, %v", name, test.why, got, err)
		}
		if test.err != nil && r.ReadRequest(&h) == nil {
			t.Errorf("%s: a message was read behind a refused body", name)
		}
	}
}

// A limit may be set when a part of the body was read: it counts from there.
func TestBodyLimitLater(t *testing.T) {
	tests := map[string]struct {
		why, raw string
		limit    int64
		want     string
		err      *Error
	}{
		"sized, fits":          {"what is left", "Content-Length: 5\r\n\r\nhello", 3, "llo", nil},
		"sized, too long":      {"what is left", "Content-Length: 5\r\n\r\nhello", 2, "", errBodyBig},
		"in a chunk, fits":     {"the rest of the chunk counts", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 4, "llo!", nil},
		"in a chunk, too long": {"the rest of the chunk counts", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 2, "", errBodyBig},
		"in the next chunk":    {"it begins with what is left", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 3, "llo", errBodyBig},
	}
	for name, test := range tests {
		r := NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\n"+test.raw), testLimit)
		var h RequestHead
		if err := r.ReadRequest(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.Body(), make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		r.Body().Limit(test.limit)
		got, err := io.ReadAll(r.Body())
		if string(got) != test.want || (test.err == nil) != (err == nil) || test.err != nil && !is(err, test.err) {
			t.Errorf("%s: %s: got %q, %v", name, test.why, got, err)
		}
	}
}
