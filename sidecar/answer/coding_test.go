package answer_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/answer"
)

func TestCodingOf(t *testing.T) {
	field := func(name, value string) scope.Field { return scope.Field{Name: name, Value: value} }
	for name, test := range map[string]struct {
		fields []scope.Field
		want   answer.Coding
	}{
		"none":             {[]scope.Field{field("Content-Type", "text/plain")}, answer.Identity},
		"identity":         {[]scope.Field{field("Content-Encoding", "Identity")}, answer.Identity},
		"empty":            {[]scope.Field{field("Content-Encoding", "")}, answer.Identity},
		"gzip":             {[]scope.Field{field("content-encoding", "GZIP")}, answer.Gzip},
		"x-gzip":           {[]scope.Field{field("Content-Encoding", "x-gzip")}, answer.Gzip},
		"beside identity":  {[]scope.Field{field("Content-Encoding", "identity ,\tgzip,")}, answer.Gzip},
		"deflate":          {[]scope.Field{field("Content-Encoding", "deflate")}, answer.Deflate},
		"br":               {[]scope.Field{field("Content-Encoding", "br")}, answer.Unknown},
		"twice in one":     {[]scope.Field{field("Content-Encoding", "gzip, gzip")}, answer.Unknown},
		"twice in two":     {[]scope.Field{field("Content-Encoding", "gzip"), field("Content-Encoding", "deflate")}, answer.Unknown},
		"unknown in front": {[]scope.Field{field("Content-Encoding", "zstd"), field("Content-Encoding", "gzip")}, answer.Unknown},
	} {
		if got := answer.CodingOf(test.fields); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

// coded are the ways to code a text.
var coded = map[string]struct {
	coding answer.Coding
	writer func(io.Writer) io.WriteCloser
}{
	"gzip":        {answer.Gzip, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	"zlib":        {answer.Deflate, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }},
	"raw deflate": {answer.Deflate, func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 9); return z }},
}

func encode(t testing.TB, name, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := coded[name].writer(&out)
	_, err := io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(coding answer.Coding, source io.Reader) ([]byte, error) {
	d, err := answer.Decode(coding, source)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func TestDecode(t *testing.T) {
	text := strings.Repeat("notes ", 20000)
	for name, how := range coded {
		t.Run(name, func(t *testing.T) {
			body := encode(t, name, text)
			for range 3 { // memory is used again
				if got, err := decode(how.coding, iotest.HalfReader(bytes.NewReader(body))); err != nil || string(got) != text {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			for cut := range 40 {
				if _, err := decode(how.coding, bytes.NewReader(body[:cut*len(body)/40])); !errors.Is(err, answer.ErrCoding) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
			}
			if _, err := decode(how.coding, bytes.NewReader(append(body, "secret"...))); !errors.Is(err, answer.ErrCoding) {
				t.Errorf("something behind the end: %v", err)
			}
			lost := errors.New("lost")
			if _, err := decode(how.coding, io.MultiReader(bytes.NewReader(body[:8]), iotest.ErrReader(lost))); !errors.Is(err, lost) {
				t.Errorf("a source that fails: %v", err)
			}
		})
	}
	double := append(encode(t, "gzip", "a"), encode(t, "gzip", "b")...)
	if got, err := decode(answer.Gzip, bytes.NewReader(double)); err != nil || string(got) != "ab" {
		t.Errorf("two members: %q, %v", got, err)
	}
	if _, err := decode(answer.Gzip, strings.NewReader("plain text, in truth")); !errors.Is(err, answer.ErrCoding) {
		t.Errorf("plain text: %v", err)
	}
}

// A body that says little and means a lot is broken off.
func TestInflated(t *testing.T) {
	bomb := encode(t, "gzip", strings.Repeat("\x00", answer.Inflated+(1<<20)))
	if got, err := decode(answer.Gzip, bytes.NewReader(bomb)); !errors.Is(err, answer.ErrInflated) || len(got) > answer.Inflated {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// What the writer has flushed is read before more is waited for.
func TestDecodeDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "data: 1\n\n")
		_ = z.Flush()
		// Nothing follows, and it is not closed.
	}()
	d, err := answer.Decode(answer.Gzip, r)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 64)
	n, err := io.ReadAtLeast(d, got, 9)
	if err != nil || string(got[:n]) != "data: 1\n\n" {
		t.Errorf("%q, %v", got[:n], err)
	}
	_ = r.Close()
}

// FuzzDecode: whatever comes, it ends, and what ends well is what compress/gzip
// reads.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, "gzip", "text"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(answer.Gzip, bytes.NewReader(body))
		if err != nil {
			return
		}
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q and %q, %v", got, want, err)
		}
	})
}

func TestWeak(t *testing.T) {
	for tag, want := range map[string]string{`"a"`: `W/"a"`, `W/"a"`: `W/"a"`, "a": "a", "": ""} {
		if got := answer.Weak(tag); got != want {
			t.Errorf("%s became %s", tag, got)
		}
	}
}
