package grpc

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is an agent that writes what it likes on a connection of HTTP/2.
type raw struct {
	t *testing.T
	net.Conn
	*http2.Framer
	next uint32
	tag  string // of its calls; see good
}

func (w *world) raw() *raw { return w.rawAt(w.address) }

func (w *world) rawAt(address string) *raw {
	w.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	r := &raw{t: w.t, Conn: c, Framer: http2.NewFramer(c, c), next: 1}
	r.AllowIllegalWrites = true
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		w.t.Fatal(err)
	}
	_ = r.WriteSettings()
	return r
}

// block encodes a header list without looking at it.
func block(fields [][2]string) []byte {
	var out bytes.Buffer
	e := hpack.NewEncoder(&out)
	for _, f := range fields {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	return out.Bytes()
}

// open sends a header list as a request, and what follows it.
func (r *raw) open(fields [][2]string, data []byte, end bool) uint32 {
	id := r.next
	r.next += 2
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields), EndHeaders: true, EndStream: end && data == nil})
	if data != nil {
		_ = r.WriteData(id, end, data)
	}
	return id
}

// outcome is how a stream ended.
type outcome struct {
	fields map[string]string // of all header lists together
	body   string
	reset  bool // or the connection is gone
}

func (o outcome) status() string { return o.fields["grpc-status"] }

// refusal tells whether it ended in no answer of the upstream.
func (o outcome) refused() bool {
	return o.reset || o.fields[":status"] != "200" || o.status() != "" && o.status() != "0"
}

// await reads until a stream ends.
func (r *raw) await(id uint32) outcome {
	o := outcome{fields: map[string]string{}}
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				r.t.Error("no answer")
			}
			o.reset = true
			return o
		}
		if frame.Header().StreamID != id && frame.Header().Type != http2.FrameGoAway {
			continue
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				o.fields[field.Name] = field.Value
			}
			if f.StreamEnded() {
				return o
			}
		case *http2.DataFrame:
			o.body += string(f.Data())
			_ = r.WriteWindowUpdate(0, max(1, f.Length))
			if f.StreamEnded() {
				return o
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			o.reset = true
			return o
		}
	}
}

// good is the header list of a call that is granted.
func good() [][2]string {
	return [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/" + service + "/UnaryCall"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"authorization", "Bearer " + handle},
	}
}

// with changes a field of a header list, or adds one.
func with(fields [][2]string, name, value string) [][2]string {
	for i := range fields {
		if fields[i][0] == name {
			fields[i][1] = value
			return fields
		}
	}
	return append(fields, [2]string{name, value})
}

// without takes a field out of a header list.
func without(fields [][2]string, name string) (left [][2]string) {
	for _, f := range fields {
		if f[0] != name {
			left = append(left, f)
		}
	}
	return left
}

// nothing is an empty message.
var nothing = []byte{0, 0, 0, 0, 0}

func padding(n int) string { return strings.Repeat("~", n) }
