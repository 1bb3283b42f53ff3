package websocket

import (
	"errors"
	"io"
)

// Upstream carries the frames of an upstream to an agent.
type Upstream struct {
	From io.Reader // the upstream's bytes
	Up   *Writer   // to the upstream
	Back *Writer   // to the agent
	// Mask covers secrets in what is passed, by bytes of the same number. It is
	// told where a message ends, and may hold bytes back until then.
	Mask func(dst, data []byte, end bool) []byte

	data, masked []byte
}

// Run carries frames until the upstream closes the WebSocket, which is nil, or
// something else ends it.
func (u *Upstream) Run() error {
	inside := false
	for {
		h, err := readHeader(u.From, false)
		if err != nil {
			return err
		}
		if h.opcode.control() {
			if closed, err := u.control(&h); closed || err != nil {
				return err
			}
			continue
		}
		if (h.opcode == continuation) != inside {
			return errOrder
		}
		if err := u.pass(&h); err != nil {
			return err
		}
		inside = !h.final
	}
}

// piece is how much of a frame is passed on at once.
const piece = 16 << 10

// pass hands a frame on, as one frame or, where it is long, as several.
func (u *Upstream) pass(h *header) error {
	if cap(u.data) == 0 {
		u.data = make([]byte, piece)
	}
	o := h.opcode
	for left := h.length; ; {
		part := u.data[:min(piece, left)]
		if _, err := io.ReadFull(u.From, part); err != nil {
			return unexpected(err)
		}
		left -= int64(len(part))
		end := left == 0 && h.final
		u.masked = u.Mask(u.masked[:0], part, end)
		if err := u.Back.frame(&header{final: end, opcode: o, length: int64(len(u.masked))}, u.masked); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		o = continuation
	}
}

// control answers a control frame of the upstream; closed, where it was a
// close.
func (u *Upstream) control(h *header) (closed bool, err error) {
	var memory [maxControl]byte
	payload := memory[:h.length]
	if _, err := io.ReadFull(u.From, payload); err != nil {
		return false, unexpected(err)
	}
	switch h.opcode {
	case ping:
		return false, u.Up.write(pong, payload)
	case closing:
		code, err := closeCode(payload)
		if err != nil {
			return false, err
		}
		return true, errors.Join(u.Back.Close(code), u.Up.Close(code))
	}
	return false, nil // a pong that nobody waits for
}
