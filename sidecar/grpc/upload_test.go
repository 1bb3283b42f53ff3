package grpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// message is one with its prefix.
func message(flag byte, text string) []byte {
	out := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(text))) //nolint:gosec // G115: of a test
	return append(out, text...)
}

func uploadOf(from io.Reader, most, total int64, coded bool) *upload {
	return &upload{
		from: io.NopCloser(from), most: most, total: total, coded: coded,
		ended: func() {}, gone: func() bool { return false },
	}
}

func TestUpload(t *testing.T) {
	two := append(message(0, "hello"), message(0, "")...)
	for name, test := range map[string]struct {
		why    string
		text   []byte
		coded  bool
		passed int // bytes that are passed on
		reason scope.Reason
	}{
		"nothing":    {"a call may be empty", nil, false, 0, ""},
		"two":        {"one of them is empty", two, false, len(two), ""},
		"compressed": {"the header says how", message(1, "x"), true, 6, ""},
		"not said":   {"the header does not say how", message(1, "x"), false, 0, scope.Malformed},
		"flag":       {"there is no such one", append(bytes.Clone(two), 2, 0, 0, 0, 0), false, len(two), scope.Malformed},
		"cut":        {"the message is not whole", append(bytes.Clone(two), 0, 0, 0, 0, 2, 'a'), false, len(two) + 6, scope.Malformed},
		"cut prefix": {"there is no message", append(bytes.Clone(two), 0, 0, 0), false, len(two), scope.Malformed},
		"too large":  {"none of it is passed on", append(bytes.Clone(two), message(0, "12345678901")...), false, len(two), scope.TooLarge},
		"too many":   {"the call has a bound, too", bytes.Repeat(message(0, "1234567890"), 4), false, 45, scope.TooLarge},
	} {
		for how, way := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader, "with its end": iotest.DataErrReader} {
			t.Run(name+" "+how, func(t *testing.T) {
				u := uploadOf(way(bytes.NewReader(test.text)), 10, 50, test.coded)
				got, err := io.ReadAll(u)
				fault := u.failed.Load()
				if (fault == nil) != (test.reason == "") || fault != nil && (fault.Reason != test.reason || !errors.Is(err, fault)) || fault == nil && err != nil {
					t.Errorf("%s: got %v, %v, want %q", test.why, err, fault, test.reason)
				}
				if !bytes.Equal(got, test.text[:test.passed]) {
					t.Errorf("%s: passed on %d bytes, want %d", test.why, len(got), test.passed)
				}
			})
		}
	}
}

// TestUploadBreaks: who broke it off is told apart.
func TestUploadBreaks(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		why    string
		err    error
		change func(*upload)
		reason scope.Reason
	}{
		"length":   {"it is not what was said", broken, func(*upload) {}, scope.Malformed},
		"gone":     {"there is nobody to tell", broken, func(u *upload) { u.gone = func() bool { return true } }, ""},
		"unwanted": {"nobody reads it", broken, func(u *upload) { _ = u.Close() }, ""},
		"ended":    {"it was ended here", os.ErrDeadlineExceeded, func(*upload) {}, ""},
	} {
		for _, text := range []string{"", "\x00\x00", "\x00\x00\x00\x00\x09a"} {
			u := uploadOf(io.MultiReader(bytes.NewReader([]byte(text)), iotest.ErrReader(test.err)), 10, 50, false)
			test.change(u)
			_, err := io.ReadAll(u)
			if fault := u.failed.Load(); err == nil || (fault == nil) != (test.reason == "") || fault != nil && fault.Reason != test.reason {
				t.Errorf("%s behind %q: %s: got %v, %v", name, text, test.why, err, fault)
			}
		}
	}
}

// FuzzUpload: what is passed on is the beginning of what came, ends within no
// prefix, and is all of it only where it is whole messages within their bounds.
func FuzzUpload(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 0}, 3, false)
	f.Add([]byte{1, 0, 0, 0, 1, 'a'}, 100, true)
	f.Add([]byte{0, 0, 0, 1, 1, 'a'}, 1, true)
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff}, 1, false)
	f.Fuzz(func(t *testing.T, text []byte, size int, coded bool) {
		const most = 64
		u := uploadOf(bytes.NewReader(text), most, 1<<20, coded)
		var got []byte
		var err error
		for p := make([]byte, 1+min(max(size, 0), 200)); err == nil; {
			var n int
			n, err = u.Read(p)
			got = append(got, p[:n]...)
		}
		if !bytes.HasPrefix(text, got) {
			t.Fatalf("%q was passed on of %q", got, text)
		}
		whole, rest := wholeMessages(got, most, coded)
		if errors.Is(err, io.EOF) != (len(whole) == len(text)) {
			t.Errorf("%q ended with %v, of which %q are whole messages", text, err, whole)
		}
		if len(rest) > 0 && len(rest) < prefixBytes {
			t.Errorf("%q of a prefix was passed on", rest)
		}
	})
}

// wholeMessages cuts a text behind its last whole message.
func wholeMessages(text []byte, most int, coded bool) (whole, rest []byte) {
	at := 0
	for len(text)-at >= prefixBytes {
		length := int(binary.BigEndian.Uint32(text[at+1:]))
		if text[at] > 1 || text[at] == 1 && !coded || length > most || length > len(text)-at-prefixBytes {
			break
		}
		at += prefixBytes + length
	}
	return text[:at], text[at:]
}
