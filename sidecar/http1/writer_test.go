package http1

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writtenMessages are calls of a Writer and what they come to.
var writtenMessages = map[string]struct {
	why   string
	write func(w *Writer)
	want  string
}{
	"request": {
		"Host first, framing last, no field that nobody asked for",
		func(w *Writer) {
			w.Request("GET", []byte("/a?b"), "x:1")
			w.Field("Accept", "*/*")
			w.Body(Framing{})
		},
		"GET /a?b HTTP/1.1\r\nHost: x:1\r\nAccept: */*\r\n\r\n",
	},
	"request with an empty body": {
		"one spelling, whether or not the agent stated a length",
		func(w *Writer) { w.Request("GET", []byte("/"), "x"); w.Body(Framing{Kind: Sized}) },
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	},
	"POST with an empty body": {
		"some servers answer 411 otherwise",
		func(w *Writer) { w.Request("POST", []byte("/"), "x"); w.Body(Framing{}) },
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	},
	"sized request": {
		"in as many writes as you like",
		func(w *Writer) {
			w.Request("PATCH", []byte("/"), "x")
			w.Body(Framing{Sized, 3})
			io.WriteString(w, "a")
			io.WriteString(w, "")
			io.WriteString(w, "bc")
		},
		"PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	},
	"upgrade": {
		"both fields",
		func(w *Writer) { w.Request("GET", []byte("/"), "x"); w.Upgrade("websocket"); w.Body(Framing{}) },
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	},
	"switching": {
		"nothing about a length",
		func(w *Writer) { w.Response(101, "GET"); w.Upgrade("websocket"); w.Body(Framing{}) },
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	},
	"chunked answer": {
		"one chunk for each write",
		func(w *Writer) {
			w.Response(200, "GET")
			w.ConnectionClose()
			w.Body(Framing{Kind: Chunked})
			io.WriteString(w, "hello, world, hello")
			io.WriteString(w, "!")
		},
		"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nhello, world, hello\r\n1\r\n!\r\n0\r\n\r\n",
	},
	"answer until close": {
		"becomes chunked, so that its end can be told from a break",
		func(w *Writer) { w.Response(200, "GET"); w.Body(Framing{Kind: UntilClose}); io.WriteString(w, "a") },
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	},
	"answer without a body": {
		"without a length the client would wait for the end of the connection",
		func(w *Writer) { w.Response(403, "GET"); w.Body(Framing{}) },
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
	},
	"status without a phrase": {
		"the space stays",
		func(w *Writer) { w.Response(299, "GET"); w.Body(Framing{}) },
		"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
	},
	"status beyond the phrases": {
		"the space stays",
		func(w *Writer) { w.Response(599, "GET"); w.Body(Framing{}) },
		"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
	},
	"answer to HEAD": {
		"states the length, and nothing follows",
		func(w *Writer) { w.Response(200, "HEAD"); w.Body(Framing{Sized, 99}) },
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
	},
	"answer to HEAD of no known length": {
		"states nothing",
		func(w *Writer) { w.Response(200, "HEAD"); w.Body(Framing{Kind: Chunked}) },
		"HTTP/1.1 200 OK\r\n\r\n",
	},
	"204 and 304": {
		"never have a body, whatever the upstream states",
		func(w *Writer) {
			w.Response(204, "GET")
			w.Body(Framing{Kind: UntilClose})
			w.End()
			w.Response(304, "GET")
			w.Body(Framing{Sized, 7})
		},
		"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
	},
	"continue": {
		"before the answer",
		func(w *Writer) {
			w.Continue()
			w.Response(200, "PUT")
			w.Body(Framing{})
		},
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	},
}

func TestWriter(t *testing.T) {
	for name, test := range writtenMessages {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			w := NewWriter(&out)
			test.write(w)
			if err := w.End(); err != nil {
				t.Fatalf("%s: %v", test.why, err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.why, diff)
			}
		})
	}
}

func plainRequest(w *Writer) { w.Request("GET", []byte("/"), "x") }

func withStart(method, target, host string) func(*Writer) {
	return func(w *Writer) { w.Request(method, []byte(target), host); w.Body(Framing{}) }
}

func withStatus(status int) func(*Writer) {
	return func(w *Writer) { w.Response(status, "GET"); w.Body(Framing{}) }
}

func withField(name, value string) func(*Writer) {
	return func(w *Writer) { plainRequest(w); w.Field("A", "b"); w.Field(name, value); w.Body(Framing{}) }
}

func withFraming(f Framing) func(*Writer) {
	return func(w *Writer) { plainRequest(w); w.Body(f) }
}

// refusedWrites are calls that come to nothing.
var refusedWrites = map[string]struct {
	write func(*Writer)
	want  error
}{
	"method empty":       {withStart("", "/", "x"), errWriteStart},
	"method with space":  {withStart("GET /x", "/", "x"), errWriteStart},
	"target empty":       {withStart("GET", "", "x"), errWriteStart},
	"target with space":  {withStart("GET", "/ HTTP/1.1", "x"), errWriteStart},
	"target with line":   {withStart("GET", "/\r\nA:b", "x"), errWriteStart},
	"target not ASCII":   {withStart("GET", "/é", "x"), errWriteStart},
	"host empty":         {withStart("GET", "/", ""), errWriteStart},
	"host with line":     {withStart("GET", "/", "x\r\nA: b"), errWriteStart},
	"host with path":     {withStart("GET", "/", "x/y"), errWriteStart},
	"status too low":     {withStatus(99), errWriteStart},
	"status too high":    {withStatus(600), errWriteStart},
	"informational":      {withStatus(103), errWriteStart},
	"negative status":    {withStatus(-200), errWriteStart},
	"name empty":         {withField("", "b"), errWriteField},
	"name with colon":    {withField("A:", "b"), errWriteField},
	"name with space":    {withField("A ", "b"), errWriteField},
	"name with line":     {withField("A\r\nB", "b"), errWriteField},
	"value with line":    {withField("A", "b\r\nC: d"), errWriteField},
	"value with CR":      {withField("A", "bbbbbbbbb\rb"), errWriteField},
	"value with LF":      {withField("A", "bbbbbbbbbbbbbbbb\n"), errWriteField},
	"value with NUL":     {withField("A", "\x00"), errWriteField},
	"value after space":  {withField("A", " b"), errWriteField},
	"value before tab":   {withField("A", "b\t"), errWriteField},
	"length":             {withField("Content-length", "1"), errWriteOwn},
	"coding":             {withField("transfer-encoding", "chunked"), errWriteOwn},
	"connection":         {withField("CONNECTION", "close"), errWriteOwn},
	"host":               {withField("host", "y"), errWriteOwn},
	"expectation":        {withField("Expect", "100-continue"), errWriteOwn},
	"te":                 {withField("TE", "trailers"), errWriteOwn},
	"trailer":            {withField("Trailer", "A"), errWriteOwn},
	"upgrade":            {withField("Upgrade", "h2c"), errWriteOwn},
	"keep-alive":         {withField("Keep-Alive", "5"), errWriteOwn},
	"proxy-connection":   {withField("Proxy-Connection", "close"), errWriteOwn},
	"upgrade to two":     {func(w *Writer) { plainRequest(w); w.Upgrade("a, b"); w.Body(Framing{}) }, errWriteField},
	"until close":        {withFraming(Framing{Kind: UntilClose}), errWriteFraming},
	"negative length":    {withFraming(Framing{Sized, -1}), errWriteFraming},
	"unknown framing":    {withFraming(Framing{Kind: 9}), errWriteFraming},
	"field too early":    {func(w *Writer) { w.Field("A", "b") }, errWriteOrder},
	"field too late":     {func(w *Writer) { plainRequest(w); w.Body(Framing{}); w.Field("A", "b") }, errWriteOrder},
	"body too early":     {func(w *Writer) { plainRequest(w); io.WriteString(w, "x") }, errWriteOrder},
	"flush too early":    {func(w *Writer) { plainRequest(w); w.Flush() }, errWriteOrder},
	"two first lines":    {func(w *Writer) { plainRequest(w); plainRequest(w) }, errWriteOrder},
	"no first line":      {func(w *Writer) { w.Body(Framing{}) }, errWriteOrder},
	"no end of header":   {plainRequest, errWriteOrder},
	"continue too late":  {func(w *Writer) { plainRequest(w); w.Continue() }, errWriteOrder},
	"body unannounced":   {func(w *Writer) { plainRequest(w); w.Body(Framing{}); io.WriteString(w, "x") }, errWriteLength},
	"body too long":      {func(w *Writer) { plainRequest(w); w.Body(Framing{Sized, 3}); io.WriteString(w, "abcd") }, errWriteLength},
	"body flushed":       {func(w *Writer) { plainRequest(w); w.Body(Framing{Sized, 3}); io.WriteString(w, "abcd"); w.Flush() }, errWriteLength},
	"body too short":     {func(w *Writer) { plainRequest(w); w.Body(Framing{Sized, 3}); io.WriteString(w, "ab") }, errWriteLength},
	"body behind HEAD":   {func(w *Writer) { w.Response(200, "HEAD"); w.Body(Framing{Sized, 1}); io.WriteString(w, "x") }, errWriteLength},
	"body behind chunks": {func(w *Writer) { w.Response(304, "GET"); w.Body(Framing{Kind: Chunked}); io.WriteString(w, "x") }, errWriteLength},
}

// A caller's mistake, or a value that comes from an attacker past all checks,
// must not become a second message: not one byte is sent.
func TestWriterRefuses(t *testing.T) {
	for name, test := range refusedWrites {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			w := NewWriter(&out)
			test.write(w)
			for range 2 {
				if err := w.End(); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				w.Request("GET", []byte("/next"), "x") // an error sticks
				w.Body(Framing{})
			}
			if out.Len() > 0 {
				t.Errorf("sent %q", out.String())
			}
		})
	}
}

// A message leaves in as few writes as it can: header and first bytes of the
// body together, and the end of the body with its last bytes.
func TestWrites(t *testing.T) {
	long := strings.Repeat("x", 10*largeBuffer)
	for name, test := range map[string]struct {
		why, body string
		framing   Framing
		most      int
	}{
		"no body":       {"one write", "", Framing{}, 1},
		"short, sized":  {"one write", "abc", Framing{Sized, 3}, 1},
		"short, chunks": {"one write", "abc", Framing{Kind: Chunked}, 1},
		"long, sized":   {"one for each buffer", long, Framing{Sized, int64(len(long))}, 11},
		"long, chunks":  {"one for each buffer", long, Framing{Kind: Chunked}, 11},
	} {
		t.Run(name, func(t *testing.T) {
			var out countingWriter
			w := NewWriter(&out)
			w.Request("POST", []byte("/"), "x")
			w.Body(test.framing)
			io.WriteString(w, test.body)
			if err := w.End(); err != nil {
				t.Fatal(err)
			}
			if out.writes > test.most {
				t.Errorf("%s: took %d writes", test.why, out.writes)
			}
			if got, err := readRequests(&out, testLimit); len(got) != 1 || got[0].Body != test.body || err != io.EOF {
				t.Errorf("read back as %d requests, %v", len(got), err)
			}
		})
	}
}

type countingWriter struct {
	bytes.Buffer
	writes int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	return w.Buffer.Write(p)
}

// A header longer than any buffer, then a body in pieces of every size: what
// comes out of the framing is what went in.
func TestWriterSizes(t *testing.T) {
	for _, header := range []int{0, 100, smallBuffer - 100, smallBuffer, largeBuffer - 600, largeBuffer, 3 * largeBuffer} {
		for _, piece := range []int{1, 15, 16, 255, 256, 4095, 4096, largeBuffer - 13, largeBuffer, 0x10000} {
			for _, kind := range []Kind{Sized, Chunked} {
				var out bytes.Buffer
				w := NewWriter(&out)
				body := strings.Repeat("0123456789abcdef", (3*piece+20)/16)
				f := Framing{Kind: kind}
				if kind == Sized {
					f.Length = int64(len(body))
				}
				w.Request("POST", []byte("/"), "x")
				w.Field("A", strings.Repeat("a", header))
				w.Body(f)
				for rest := body; rest != ""; rest = rest[min(piece, len(rest)):] {
					io.WriteString(w, rest[:min(piece, len(rest))])
				}
				if err := w.End(); err != nil {
					t.Fatal(err)
				}
				if got, err := readRequests(&out, 1<<20); len(got) != 1 || got[0].Body != body || err != io.EOF {
					t.Errorf("header %d, piece %d, kind %d: read back as %d requests, %v", header, piece, kind, len(got), err)
				}
			}
		}
	}
}

func TestFailedWrites(t *testing.T) {
	broken := errors.New("broken pipe")
	w := NewWriter(writerFunc(func([]byte) (int, error) { return 0, broken }))
	w.Response(200, "GET")
	w.Body(Framing{Kind: Chunked})
	r := NewReader(strings.NewReader(chunkedPost+"1\r\na\r\n"), testLimit)
	var h RequestHead
	if err := r.ReadRequest(&h); err != nil {
		t.Fatal(err)
	}
	_, err := w.CopyBody(r.Body(), nil)
	if e := (*Error)(nil); !errors.Is(err, broken) || errors.As(err, &e) {
		t.Errorf("got %v, want %v, and no fault of the reader", err, broken)
	}
	if err := w.End(); !errors.Is(err, broken) {
		t.Errorf("then got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
