package websocket

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"unicode/utf8"
)

// A Message is a message of an agent, whole.
type Message struct {
	Text bool // else binary
	Data []byte
}

// Agent carries the messages of an agent to an upstream. It is for one
// goroutine, but that its two writers are shared with those of [Upstream].
type Agent struct {
	From io.Reader // the agent's bytes
	Up   *Writer   // to the upstream
	Back *Writer   // to the agent
	// Most bounds a message, in bytes.
	Most int64
	// Judge decides about a message, which it may not keep. An [*Error] says
	// how the WebSocket is closed.
	Judge func(*Message) error
	// Hold is told how many bytes a message takes while it is read, and of 0
	// behind it. Its error ends the WebSocket. Nil: nobody is told.
	Hold func(bytes int64) error

	data []byte
}

// Run carries messages until the agent closes the WebSocket, which is nil, or
// something else ends it.
func (a *Agent) Run() error {
	for {
		m, err := a.next()
		if err != nil {
			return err
		}
		if m == nil {
			return nil
		}
		if err := a.Judge(m); err != nil {
			return err
		}
		o := binaryData
		if m.Text {
			o = text
		}
		if err := a.Up.write(o, m.Data); err != nil {
			return err
		}
		if err := a.letGo(); err != nil {
			return err
		}
	}
}

// next reads a message, and answers what stands between its fragments. It is
// nil where the agent has closed.
func (a *Agent) next() (*Message, error) {
	a.data = a.data[:0]
	kind := continuation
	for {
		h, err := readHeader(a.From, true)
		if err != nil {
			return nil, within(kind, err)
		}
		if h.opcode.control() {
			if closed, err := a.control(&h); closed || err != nil {
				return nil, err
			}
			continue
		}
		if (h.opcode == continuation) != (kind != continuation) {
			return nil, errOrder
		}
		if kind == continuation {
			kind = h.opcode
		}
		if err := a.read(&h); err != nil {
			return nil, err
		}
		if h.final {
			return a.message(kind)
		}
	}
}

// letGo forgets the message before, and its memory if that was long.
func (a *Agent) letGo() error {
	const kept = 64 << 10
	if cap(a.data) > kept {
		a.data = nil
	}
	return a.hold(0)
}

func (a *Agent) hold(bytes int) error {
	if a.Hold == nil {
		return nil
	}
	return a.Hold(int64(bytes))
}

func (a *Agent) message(kind opcode) (*Message, error) {
	if kind == text && !utf8.Valid(a.data) {
		return nil, errText
	}
	return &Message{Text: kind == text, Data: a.data}, nil
}

// within tells an end within a message from one between two.
func within(kind opcode, err error) error {
	if kind != continuation {
		return unexpected(err)
	}
	return err
}

// read adds the payload of a frame. Memory follows the bytes that come, not the
// length that is claimed.
func (a *Agent) read(h *header) error {
	if h.length > a.Most-int64(len(a.data)) {
		return errTooBig
	}
	const step = 16 << 10
	for offset := int64(0); offset < h.length; {
		n := int(min(step, h.length-offset))
		if err := a.hold(len(a.data) + n); err != nil {
			return err
		}
		a.data = slices.Grow(a.data, n)
		part := a.data[len(a.data) : len(a.data)+n]
		if _, err := io.ReadFull(a.From, part); err != nil {
			return unexpected(err)
		}
		h.apply(part, offset)
		a.data = a.data[:len(a.data)+n]
		offset += int64(n)
	}
	return nil
}

// control answers a control frame of the agent; closed, where it was a close.
func (a *Agent) control(h *header) (closed bool, err error) {
	var memory [maxControl]byte
	payload := memory[:h.length]
	if _, err := io.ReadFull(a.From, payload); err != nil {
		return false, unexpected(err)
	}
	h.apply(payload, 0)
	switch h.opcode {
	case ping:
		return false, a.Back.write(pong, payload)
	case closing:
		code, err := closeCode(payload)
		if err != nil {
			return false, err
		}
		return true, errors.Join(a.Up.Close(code), a.Back.Close(code))
	}
	return false, nil // a pong that nobody waits for
}

// closeCode reads a close frame, of which the text is left behind.
func closeCode(payload []byte) (Code, error) {
	if len(payload) == 0 {
		return Normal, nil
	}
	if len(payload) == 1 || !utf8.Valid(payload[2:]) {
		return 0, errClose
	}
	code := Code(binary.BigEndian.Uint16(payload))
	known := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
	if !known {
		return 0, errClose
	}
	return code, nil
}

// newMask is one that nobody can foresee (RFC 6455, 10.3).
func newMask() (mask [maskBytes]byte) {
	_, _ = rand.Read(mask[:]) // never fails
	return mask
}
