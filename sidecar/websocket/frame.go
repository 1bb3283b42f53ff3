package websocket

import (
	"encoding/binary"
	"errors"
	"io"
)

// opcode says what a frame is (RFC 6455, 5.2).
type opcode uint8

const (
	continuation opcode = 0
	text         opcode = 1
	binaryData   opcode = 2
	closing      opcode = 8
	ping         opcode = 9
	pong         opcode = 10
)

func (o opcode) control() bool { return o&8 != 0 }

const (
	maxControl = 125
	maskBytes  = 4
)

// A Code says why a WebSocket was closed (RFC 6455, 7.4.1).
type Code uint16

// The codes that are sent here.
const (
	Normal        Code = 1000
	GoingAway     Code = 1001
	ProtocolError Code = 1002
	Unsupported   Code = 1003
	NotUTF8       Code = 1007
	Refused       Code = 1008
	TooBig        Code = 1009
)

// An Error is a frame or message that is not passed on.
type Error struct {
	Code Code
	Msg  string
}

// Error returns what is wrong.
func (e *Error) Error() string { return e.Msg }

var (
	errReserved = &Error{ProtocolError, "a frame has reserved bits, and no extension was agreed on"}
	errOpcode   = &Error{ProtocolError, "a frame has an unknown opcode"}
	errMask     = &Error{ProtocolError, "frames of a client are masked, those of a server are not"}
	errLength   = &Error{ProtocolError, "the length of a frame is not written in the fewest bytes"}
	errControl  = &Error{ProtocolError, "a control frame is fragmented or longer than 125 bytes"}
	errOrder    = &Error{ProtocolError, "a fragment continues nothing, or another message begins within one"}
	errClose    = &Error{ProtocolError, "a close frame has no valid code"}
	errText     = &Error{NotUTF8, "text is not UTF-8"}
	errTooBig   = &Error{TooBig, "the message is larger than is allowed"}
)

// header is that of one frame.
type header struct {
	final  bool
	opcode opcode
	masked bool
	mask   [maskBytes]byte
	length int64
}

// readHeader reads the header of a frame whose mask is as it must be.
func readHeader(r io.Reader, masked bool) (header, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return header{}, err
	}
	h := header{final: b[0]&0x80 != 0, opcode: opcode(b[0] & 0xf), masked: b[1]&0x80 != 0, length: int64(b[1] & 0x7f)}
	if err := h.check(b[0]&0x70 != 0, masked); err != nil {
		return h, err
	}
	if err := h.readLength(r); err != nil {
		return h, unexpected(err)
	}
	if masked {
		if _, err := io.ReadFull(r, h.mask[:]); err != nil {
			return h, unexpected(err)
		}
	}
	return h, nil
}

// check refuses what the first two bytes may not say.
func (h *header) check(reserved, masked bool) error {
	switch {
	case reserved:
		return errReserved
	case h.opcode > binaryData && h.opcode < closing || h.opcode > pong:
		return errOpcode
	case h.masked != masked:
		return errMask
	case h.opcode.control() && (!h.final || h.length > maxControl):
		return errControl
	}
	return nil
}

// readLength reads a length that does not fit into the first two bytes.
func (h *header) readLength(r io.Reader) error {
	var b [8]byte
	switch h.length {
	case 126:
		if _, err := io.ReadFull(r, b[:2]); err != nil {
			return err
		}
		h.length = int64(binary.BigEndian.Uint16(b[:2]))
		if h.length < 126 {
			return errLength
		}
	case 127:
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(b[:])
		if n>>63 != 0 || n < 1<<16 {
			return errLength
		}
		h.length = int64(n)
	}
	return nil
}

// unexpected tells an end within a frame from one between two.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader appends the header of a frame.
func appendHeader(dst []byte, h *header) []byte {
	first, masked := byte(h.opcode), byte(0)
	if h.final {
		first |= 0x80
	}
	if h.masked {
		masked = 0x80
	}
	switch {
	case h.length < 126:
		dst = append(dst, first, masked|byte(h.length))
	case h.length < 1<<16:
		dst = append(dst, first, masked|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.length))
	default:
		dst = append(dst, first, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.length))
	}
	if h.masked {
		dst = append(dst, h.mask[:]...)
	}
	return dst
}

// apply masks p, whose first byte is the one at offset of its frame, or takes
// the mask away (RFC 6455, 5.3).
func (h *header) apply(p []byte, offset int64) {
	if !h.masked {
		return
	}
	for i := range p {
		p[i] ^= h.mask[(offset+int64(i))%maskBytes]
	}
}
