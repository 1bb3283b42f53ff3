package grpc

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/mask"
)

const key = "CANARY-7Qx/3w+Zp9="

var hidden = strings.Repeat("*", len(key))

// passed passes an answer on to an agent, as it is read from body.
func passed(t testing.TB, h http.Header, status int, body io.Reader, trailer http.Header) (*httptest.ResponseRecorder, error) {
	t.Helper()
	m, err := mask.New(key)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c := newCall(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/a.B/C", nil))
	c.answer = &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Trailer: trailer, ContentLength: -1}
	err = c.Pass(&Editing{
		Field:   func(name, value string) (string, string, bool) { return name, m.String(value), name != "Set-Cookie" },
		Masking: &mask.Stream{}, Mask: m, Message: 1000,
	})
	if told := err == nil; c.told != told {
		t.Errorf("told %v, and the error is %v", c.told, err)
	}
	return w, err
}

func called(more ...string) http.Header {
	h := http.Header{"Content-Type": {"application/grpc"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func zip(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return out.String()
}

func deflated(text string) string {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return out.String()
}

func TestPass(t *testing.T) {
	gzipped, flat := called("Grpc-Encoding", "gzip"), called("Grpc-Encoding", "deflate")
	for name, test := range map[string]struct {
		why    string
		head   http.Header
		status int
		body   []byte
		want   []byte
		err    error
	}{
		"messages":         {"they pass", called(), 200, append(message(0, "hello"), message(0, "")...), append(message(0, "hello"), message(0, "")...), nil},
		"none":             {"it has trailers alone", called("Grpc-Status", "5"), 200, nil, nil, nil},
		"the key":          {"it is masked", called(), 200, message(0, "a"+key+"b"), message(0, "a"+hidden+"b"), nil},
		"in two":           {"each message is a text of its own", called(), 200, append(message(0, key[:6]), message(0, key)...), append(message(0, key[:6]), message(0, hidden)...), nil},
		"gzip":             {"it is undone", gzipped, 200, message(1, zip("a"+key)), message(0, "a"+hidden), nil},
		"deflate":          {"it is undone", flat, 200, message(1, deflated("a"+key)), message(0, "a"+hidden), nil},
		"not compressed":   {"a message may be left as it is", gzipped, 200, message(0, key), message(0, hidden), nil},
		"empty, gzip":      {"nothing is in it", gzipped, 200, message(1, zip("")), message(0, ""), nil},
		"unknown coding":   {"it cannot be searched", called("Grpc-Encoding", "snappy"), 200, message(1, "x"), nil, errCoding},
		"no coding":        {"nobody says how", called(), 200, message(1, "x"), nil, errCoding},
		"not gzip":         {"it cannot be searched", gzipped, 200, message(1, "x"), nil, errCoding},
		"behind gzip":      {"it cannot be searched", gzipped, 200, message(1, zip("a")+"b"), nil, errCoding},
		"large":            {"it would have to be read whole", gzipped, 200, message(1, strings.Repeat("x", 1001)), nil, errInflated},
		"grows":            {"it would have to be held", gzipped, 200, message(1, zip(strings.Repeat("x", 1001))), nil, errInflated},
		"flag":             {"gRPC has two", called(), 200, append(message(0, "a"), message(0x80, "b")...), message(0, "a"), errPrefix},
		"endless":          {"its length spells the beginning of the key", called(), 200, append([]byte{0}, key...), nil, errEndless},
		"nearly endless":   {"it is not whole", called(), 200, []byte{0, 0x20, 0, 0, 0, 'a'}, []byte{0, 0x20, 0, 0, 0, 'a'}, errBroken},
		"cut":              {"it is not whole", called(), 200, message(0, "hello")[:7], nil, errBroken},
		"cut prefix":       {"it is not whole", called(), 200, message(0, "hello")[:3], nil, errBroken},
		"cut, gzip":        {"it is not whole", gzipped, 200, message(1, zip("hello"))[:9], nil, errBroken},
		"no call":          {"it is another protocol's", http.Header{"Content-Type": {"text/html"}}, 200, []byte("<html>"), nil, errNoCall},
		"no media":         {"it could be anything", http.Header{}, 200, message(0, "a"), nil, errNoCall},
		"two media":        {"readers choose", http.Header{"Content-Type": {"application/grpc", "text/html"}}, 200, message(0, "a"), nil, errNoCall},
		"web":              {"it is another protocol's", http.Header{"Content-Type": {"application/grpc-web"}}, 200, message(0, "a"), nil, errNoCall},
		"an error page":    {"the status says enough", http.Header{"Content-Type": {"text/html"}}, 503, []byte(key), []byte{}, nil},
		"a redirect":       {"it is not followed", http.Header{"Location": {"/x"}}, 307, nil, []byte{}, nil},
		"content coding":   {"it cannot be searched", called("Content-Encoding", "gzip"), 200, message(0, "a"), nil, errCoding},
		"a status with it": {"some servers do that", called("Grpc-Status", "14"), 503, nil, nil, nil},
	} {
		for how, way := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader} {
			t.Run(name+" "+how, func(t *testing.T) {
				w, err := passed(t, test.head, test.status, way(bytes.NewReader(test.body)), nil)
				if !errors.Is(err, test.err) || err != nil && test.err == nil {
					t.Errorf("%s: got %v, want %v", test.why, err, test.err)
				}
				if got := w.Body.Bytes(); test.want != nil && !bytes.Equal(got, test.want) {
					t.Errorf("%s: got %q, want %q", test.why, got, test.want)
				}
				if err == nil && w.Code != test.status {
					t.Errorf("%s: got %d", test.why, w.Code)
				}
			})
		}
	}
}

// TestPassFields: what of head and trailers goes to the agent.
func TestPassFields(t *testing.T) {
	h := called("Grpc-Encoding", "gzip", "Connection", "x", "Keep-Alive", "1", "Content-Length", "6", "Set-Cookie", "a=b", "X-Echo", "Bearer "+key, "X-Multi", "a")
	h.Add("X-Multi", "b")
	trailer := http.Header{"Grpc-Status": {"0"}, "X-Echo-Bin": {"a" + key}, "Set-Cookie": {"a=b"}, "Content-Length": {"0"}}
	w, err := passed(t, h, 200, bytes.NewReader(message(0, "a")), trailer)
	if err != nil {
		t.Fatal(err)
	}
	got := w.Result()
	for name, want := range map[string]string{
		"Content-Type": "application/grpc", "X-Echo": "Bearer " + hidden, "X-Multi": "a,b",
		"Grpc-Encoding": "", "Connection": "", "Keep-Alive": "", "Content-Length": "", "Set-Cookie": "", "Date": "",
	} {
		if values := strings.Join(got.Header.Values(name), ","); values != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
	if len(got.Trailer) != 2 || got.Trailer.Get("Grpc-Status") != "0" || got.Trailer.Get("X-Echo-Bin") != "a"+hidden {
		t.Errorf("trailers %v", got.Trailer)
	}
}

// FuzzPass: what the agent gets are whole messages, with the key in none, and
// the same as the upstream's but for that.
func FuzzPass(f *testing.F) {
	f.Add(append(message(0, "hello"), message(0, key)...), false)
	f.Add(message(1, zip("hello "+key)), true)
	f.Add([]byte{0, 0, 0, 0, 9, 'a'}, false)
	f.Fuzz(func(t *testing.T, body []byte, coded bool) {
		h := called()
		if coded {
			h.Set("Grpc-Encoding", "gzip")
		}
		w, err := passed(t, h, 200, iotest.HalfReader(bytes.NewReader(body)), nil)
		got := w.Body.Bytes()
		whole, rest := wholeMessages(got, 1<<30, false)
		if err == nil && len(rest) > 0 {
			t.Errorf("%q is not whole, of %q", got, body)
		}
		for _, message := range payloads(got) {
			if bytes.Contains(message, []byte(key)) {
				t.Errorf("the key is in %q, of %q", message, got)
			}
		}
		if !coded && !bytes.Contains(body, []byte("CANARY")) && !strings.Contains(string(got), "*") && !bytes.HasPrefix(body, whole) {
			t.Errorf("%q was made of %q", whole, body)
		}
	})
}

// payloads are what messages say, the last of which may be broken off. A length is
// no part of it: its last byte may be any letter, a key's first one, too, before the
// rest of a key, which is no key.
func payloads(body []byte) (all [][]byte) {
	for len(body) > prefixBytes {
		n := min(int64(binary.BigEndian.Uint32(body[1:])), int64(len(body)-prefixBytes))
		all, body = append(all, body[prefixBytes:][:n]), body[prefixBytes+n:]
	}
	return all
}

// TestCodes: each reason has a code, and what is not known denies.
func TestCodes(t *testing.T) {
	for _, r := range scope.Reasons() {
		if code := CodeOf(r); code < 1 || code > 16 {
			t.Errorf("%s is told as %d", r, code)
		}
	}
	for r, want := range map[scope.Reason]int{
		scope.OutOfScope: 7, scope.ParameterRefused: 7, scope.BeyondCeiling: 7, scope.Unauthenticated: 7, scope.Revoked: 7, "Other": 7, "": 7,
		scope.Malformed: 3, scope.RateLimited: 8, scope.UpstreamTimeout: 4, scope.UpstreamUnreachable: 14, scope.NotReady: 14,
	} {
		if got := CodeOf(r); got != want {
			t.Errorf("%q is told as %d, want %d", r, got, want)
		}
	}
	if got := escape("a 100% ü\r\n"); got != "a 100%25 %C3%BC%0D%0A" {
		t.Errorf("escaped as %q", got)
	}
}
