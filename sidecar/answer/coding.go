package answer

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// Coding is the content coding of an answer (RFC 9110, 8.4). The zero Coding is
// none.
type Coding uint8

// The codings that are told apart.
const (
	Identity Coding = iota
	Gzip
	Deflate
	// Unknown is any other, and more than one.
	Unknown
)

// ErrCoding is a body that is not in the coding it is said to be in.
var ErrCoding = errors.New("the body is not in its content coding")

// ErrInflated is a body that grows too much when it is decoded.
var ErrInflated = errors.New("the body grows too much when it is decoded")

// A body may grow by this factor, and by any up to this size. Deflate can reach
// 1032; what is written by machines for machines seldom reaches 50.
const (
	Inflation = 200
	Inflated  = 16 << 20
)

// CodingOf returns the coding that header fields state.
func CodingOf(fields []scope.Field) Coding {
	coding := Identity
	for i := range fields {
		f := &fields[i]
		if len(f.Name) != len(contentEncoding) || !text.EqualFold(f.Name, contentEncoding) {
			continue
		}
		for _, name := range strings.Split(f.Value, ",") {
			one := codingNamed(strings.Trim(name, " \t"))
			if one != Identity && coding != Identity {
				one = Unknown
			}
			coding = max(coding, one)
		}
	}
	return coding
}

const contentEncoding = "Content-Encoding"

func codingNamed(name string) Coding {
	switch {
	case name == "" || text.EqualFold(name, "identity"):
		return Identity
	case text.EqualFold(name, "gzip") || text.EqualFold(name, "x-gzip"):
		return Gzip
	case text.EqualFold(name, "deflate"):
		return Deflate
	}
	return Unknown
}

// Source reads a body, and calls Flush before it waits for more of it, so that
// no byte is held back by one that is still to come.
type Source struct {
	Body  *http1.Body
	Flush func() error
}

// Read reads what has arrived, or waits for it.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.Body.ReadBuffered(p)
	if n > 0 || err != nil || len(p) == 0 {
		return n, err
	}
	if err := s.Flush(); err != nil {
		return 0, err
	}
	return s.Body.Read(p)
}

// Decoder reads what a coded body means.
type Decoder struct {
	source  io.Reader
	failed  error // of source
	in, out int64
	buf     *bufio.Reader // of source, through counting
	from    io.Reader
}

// Decode returns a reader of what is behind a coding, [Gzip] or [Deflate],
// after it has read the first bytes of it. A failed read is source's error,
// [ErrCoding] or [ErrInflated]. The caller closes it.
func Decode(coding Coding, source io.Reader) (*Decoder, error) {
	d := &Decoder{source: source, buf: buffers.Get().(*bufio.Reader)}
	d.buf.Reset(counting{d})
	start := d.startDeflate
	if coding == Gzip {
		start = d.startGzip
	}
	if err := start(); err != nil {
		err = d.fault()
		d.Close()
		return nil, err
	}
	return d, nil
}

var (
	buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
	gunzips = sync.Pool{New: func() any { return &gzip.Reader{} }} // each with a window
)

func (d *Decoder) startGzip() error {
	z := gunzips.Get().(*gzip.Reader)
	d.from = z
	return z.Reset(d.buf)
}

// startDeflate takes what deflate is by the RFC, zlib's format, and what some
// servers take it for, the data without a header.
func (d *Decoder) startDeflate() error {
	start, err := d.buf.Peek(2)
	if err != nil {
		return err
	}
	if start[0]&0xf == 8 && (int(start[0])<<8|int(start[1]))%31 == 0 {
		d.from, err = zlib.NewReader(d.buf)
		return err
	}
	d.from = flate.NewReader(d.buf)
	return nil
}

// Read reads what was decoded. It returns io.EOF where the coded body has ended
// as well.
func (d *Decoder) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	d.out += int64(n)
	switch {
	case d.out > Inflated && d.out > Inflation*d.in:
		return 0, ErrInflated
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, d.fault()
	}
	if _, err := d.buf.ReadByte(); !errors.Is(err, io.EOF) {
		return n, d.fault() // something is behind the end
	}
	return n, io.EOF
}

// fault is what a decoder's error means: its source's, or that it cannot read
// what came.
func (d *Decoder) fault() error {
	if d.failed != nil {
		return d.failed
	}
	return ErrCoding
}

// counting is the source of a Decoder.
type counting struct{ d *Decoder }

func (c counting) Read(p []byte) (int, error) {
	n, err := c.d.source.Read(p)
	c.d.in += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.d.failed = err
	}
	return n, err
}

// Close gives memory back. Nothing is read afterwards.
func (d *Decoder) Close() {
	if z, ok := d.from.(*gzip.Reader); ok {
		gunzips.Put(z)
	}
	d.buf.Reset(nil)
	buffers.Put(d.buf)
	*d = Decoder{}
}
