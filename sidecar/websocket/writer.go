package websocket

import (
	"encoding/binary"
	"io"
	"sync"
)

// A Writer writes frames to one side. It is safe for concurrent use: both
// directions answer pings and close.
type Writer struct {
	mu     sync.Mutex
	to     io.Writer
	masked bool
	buf    []byte
	closed bool
	err    error
}

// NewWriter returns a Writer to an upstream, whose frames are masked, or to an
// agent, whose are not.
func NewWriter(to io.Writer, upstream bool) *Writer { return &Writer{to: to, masked: upstream} }

// write writes a frame that is a message or a control frame by itself.
func (w *Writer) write(o opcode, data []byte) error {
	return w.frame(&header{final: true, opcode: o, length: int64(len(data))}, data)
}

// frame writes one frame; none behind a close (RFC 6455, 5.5.1).
func (w *Writer) frame(h *header, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.err != nil {
		return w.err
	}
	if h.masked = w.masked; w.masked {
		h.mask = newMask()
	}
	w.buf = appendHeader(w.buf[:0], h)
	begin := len(w.buf)
	w.buf = append(w.buf, data...)
	h.apply(w.buf[begin:], 0)
	w.closed = h.opcode == closing
	_, w.err = w.to.Write(w.buf)
	return w.err
}

// Close says that nothing follows, once.
func (w *Writer) Close(code Code) error {
	return w.write(closing, binary.BigEndian.AppendUint16(nil, uint16(code)))
}
