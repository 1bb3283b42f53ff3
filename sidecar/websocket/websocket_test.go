package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// frame is one of a client, written out by hand: first byte, length, mask and
// payload.
func frame(first byte, payload string) string {
	mask := [4]byte{1, 2, 3, 4}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// plain is a frame of a server.
func plain(first byte, payload string) string {
	return string([]byte{first, byte(len(payload))}) + payload
}

// agentRun carries what an agent sends; every message passes.
func agentRun(from io.Reader) (messages []string, up, back string, err error) {
	var toUp, toBack bytes.Buffer
	a := Agent{From: from, Up: NewWriter(&toUp, true), Back: NewWriter(&toBack, false), Most: 200_000, Judge: func(m *Message) error {
		kind := "binary:"
		if m.Text {
			kind = ""
		}
		messages = append(messages, kind+string(m.Data))
		return nil
	}}
	err = a.Run()
	return messages, toUp.String(), toBack.String(), err
}

const long = 70_000

func TestAgentPasses(t *testing.T) {
	tests := map[string]struct {
		why, sent string
		want      []string
		back      string
	}{
		"text":             {"as it is", frame(0x81, "hello"), []string{"hello"}, ""},
		"empty":            {"a message of no bytes is one", frame(0x81, ""), []string{""}, ""},
		"binary":           {"it says so", frame(0x82, "\xff"), []string{"binary:\xff"}, ""},
		"two":              {"one after the other", frame(0x81, "a") + frame(0x81, "b"), []string{"a", "b"}, ""},
		"fragments":        {"judged whole", frame(0x01, "he") + frame(0x00, "l") + frame(0x80, "lo"), []string{"hello"}, ""},
		"split letter":     {"text is UTF-8 as a whole", frame(0x01, "\xc3") + frame(0x80, "\xa9"), []string{"é"}, ""},
		"126 bytes":        {"two bytes of length", frame(0x81, strings.Repeat("a", 126)), []string{strings.Repeat("a", 126)}, ""},
		"long":             {"eight bytes of length", frame(0x82, strings.Repeat("a", long)), []string{"binary:" + strings.Repeat("a", long)}, ""},
		"ping":             {"answered here, and not passed on", frame(0x89, "are you there") + frame(0x81, "a"), []string{"a"}, plain(0x8a, "are you there")},
		"ping in between":  {"control frames may stand between fragments", frame(0x01, "a") + frame(0x89, "") + frame(0x80, "b"), []string{"ab"}, plain(0x8a, "")},
		"pong":             {"nobody asked", frame(0x8a, "x") + frame(0x81, "a"), []string{"a"}, ""},
		"close":            {"the code is passed on, the text is not", frame(0x81, "a") + frame(0x88, "\x03\xe8secret"), []string{"a"}, plain(0x88, "\x03\xe8")},
		"close of nothing": {"a code is not needed", frame(0x88, "") + frame(0x81, "never"), nil, plain(0x88, "\x03\xe8")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, from := range []io.Reader{strings.NewReader(test.sent), iotest.OneByteReader(strings.NewReader(test.sent))} {
				got, up, back, err := agentRun(from)
				closed := strings.HasPrefix(name, "close")
				if !slices.Equal(got, test.want) || back != test.back || (err == nil) != closed || err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("%s: got %.60q, %.60q back, %v", test.why, got, back, err)
				}
				// What goes upstream reads as the same messages again.
				again, _, _, _ := agentRun(strings.NewReader(up))
				if !slices.Equal(again, test.want) {
					t.Errorf("upstream reads %.60q", again)
				}
				if strings.Contains(up, "secret") || strings.Contains(up, "are you there") {
					t.Error("upstream got what nobody judged")
				}
			}
		})
	}
}

func TestAgentRefuses(t *testing.T) {
	tests := map[string]struct {
		why, sent string
		code      Code
	}{
		"no mask":               {"5.1", plain(0x81, "hello"), ProtocolError},
		"reserved bit":          {"compressed, though nobody agreed to", frame(0xc1, "hello"), ProtocolError},
		"other reserved bit":    {"no extension", frame(0xa1, "hello"), ProtocolError},
		"unknown opcode":        {"5.2", frame(0x83, "x"), ProtocolError},
		"unknown control":       {"5.2", frame(0x8b, "x"), ProtocolError},
		"long ping":             {"5.5", frame(0x89, strings.Repeat("x", 126)), ProtocolError},
		"fragmented close":      {"5.5", frame(0x08, "\x03\xe8"), ProtocolError},
		"continues nothing":     {"5.4", frame(0x80, "x"), ProtocolError},
		"within another":        {"5.4", frame(0x01, "x") + frame(0x81, "y"), ProtocolError},
		"two bytes for five":    {"the fewest bytes", "\x81\xfe\x00\x05\x00\x00\x00\x00hello", ProtocolError},
		"eight bytes for 300":   {"the fewest bytes", "\x81\xff\x00\x00\x00\x00\x00\x00\x01\x2c\x00\x00\x00\x00", ProtocolError},
		"length of 64 bits":     {"the first is zero", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ProtocolError},
		"too big":               {"before it is read", "\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00", TooBig},
		"too big in fragments":  {"counted together", frame(0x02, strings.Repeat("x", 150_000)) + frame(0x80, strings.Repeat("x", 50_001)), TooBig},
		"not UTF-8":             {"8.1", frame(0x81, "\xff"), NotUTF8},
		"half a letter":         {"8.1", frame(0x81, "a\xc3"), NotUTF8},
		"close with one byte":   {"5.5.1", frame(0x88, "\x03"), ProtocolError},
		"close with 1005":       {"never sent (7.4.1)", frame(0x88, "\x03\xed"), ProtocolError},
		"close with 999":        {"not used (7.4.2)", frame(0x88, "\x03\xe7"), ProtocolError},
		"close, text not UTF-8": {"5.5.1", frame(0x88, "\x03\xe8\xff"), ProtocolError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, up, _, err := agentRun(strings.NewReader(test.sent))
			bad := (*Error)(nil)
			if !errors.As(err, &bad) || bad.Code != test.code || len(got) > 0 || up != "" {
				t.Errorf("%s: got %.60q, %v", test.why, got, err)
			}
		})
	}
}

// A WebSocket that breaks off within a message or frame is not over.
func TestAgentBreaksOff(t *testing.T) {
	whole := frame(0x01, "he") + frame(0x80, strings.Repeat("x", 300))
	for n := range len(whole) {
		got, up, _, err := agentRun(strings.NewReader(whole[:n]))
		if want := io.ErrUnexpectedEOF; n > 0 && !errors.Is(err, want) || n == 0 && !errors.Is(err, io.EOF) || len(got) > 0 || up != "" {
			t.Errorf("at %d: got %q, %v", n, got, err)
		}
	}
}

func upstreamRun(sent string, mask func(dst, data []byte, end bool) []byte) (up, back string, err error) {
	var toUp, toBack bytes.Buffer
	u := Upstream{From: iotest.HalfReader(strings.NewReader(sent)), Up: NewWriter(&toUp, true), Back: NewWriter(&toBack, false), Mask: mask}
	err = u.Run()
	return toUp.String(), toBack.String(), err
}

func same(dst, data []byte, _ bool) []byte { return append(dst, data...) }

func TestUpstream(t *testing.T) {
	tests := map[string]struct {
		why, sent, want string
		code            Code
	}{
		"text":              {"as it is", plain(0x81, "hello"), plain(0x81, "hello"), 0},
		"fragments":         {"as they come", plain(0x01, "he") + plain(0x80, "llo"), plain(0x01, "he") + plain(0x80, "llo"), 0},
		"ping":              {"answered here", plain(0x89, "x") + plain(0x81, "a"), plain(0x81, "a"), 0},
		"masked":            {"5.1", frame(0x81, "x"), "", ProtocolError},
		"reserved bit":      {"no extension", plain(0xc1, "x"), "", ProtocolError},
		"continues nothing": {"5.4", plain(0x80, "x"), "", ProtocolError},
		"close":             {"without its text", plain(0x88, "\x03\xe9why"), plain(0x88, "\x03\xe9"), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, back, err := upstreamRun(test.sent, same)
			bad := (*Error)(nil)
			if back != test.want || errors.As(err, &bad) != (test.code != 0) || bad != nil && bad.Code != test.code {
				t.Errorf("%s: got %q, %v", test.why, back, err)
			}
		})
	}
}

// What is held back within a message comes with its end.
func TestUpstreamHoldsBack(t *testing.T) {
	var held []byte
	_, back, err := upstreamRun(plain(0x01, "se")+plain(0x80, "cret"), func(dst, data []byte, end bool) []byte {
		held = append(held, data...)
		if !end {
			return dst
		}
		return append(dst, strings.Repeat("*", len(held))...)
	})
	if want := plain(0x01, "") + plain(0x80, "******"); back != want || !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v", back, err)
	}
}

// Nothing follows a close.
func TestWriterClosed(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b, false)
	if err := errors.Join(w.Close(Normal), w.Close(Refused), w.write(text, []byte("x"))); err != nil || b.String() != plain(0x88, "\x03\xe8") {
		t.Errorf("wrote %q, %v", b.String(), err)
	}
}

// The example of RFC 6455, 1.3.
func TestHandshake(t *testing.T) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	if got := Accept(key); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("got %q", got)
	}
	for key, want := range map[string]bool{key: true, "": false, "dGhl": false, key + "\n": false, "dGhlIHNhbXBsZSBub25jZR==": false, "dGhlIHNhbXBsZSBub25jZQ": false} {
		if ValidKey(key) != want {
			t.Errorf("%q: valid is not %t", key, want)
		}
	}
	for list, want := range map[string]bool{"chat": true, "a, chat": true, "a,\tchat ,b": true, "chatter": false, "": false, "a b": false} {
		if Offers(list, "chat") != want || Offers(list, "") {
			t.Errorf("%q: offers is not %t", list, want)
		}
	}
}

// TestAgentTellsWhatItHolds: more with each part of a message, nothing behind it;
// and whoever is told may end it.
func TestAgentTellsWhatItHolds(t *testing.T) {
	full := errors.New("full")
	const most = 50_000
	var held, highest int64
	messages := 0
	a := Agent{
		From: strings.NewReader(frame(0x82, strings.Repeat("x", 40_000)) + frame(0x02, strings.Repeat("x", 40_000)) + frame(0x80, strings.Repeat("x", 40_000))),
		Up:   NewWriter(io.Discard, true), Back: NewWriter(io.Discard, false), Most: 200_000,
		Judge: func(*Message) error {
			messages++
			if held < 40_000 {
				t.Errorf("%d bytes are told of", held)
			}
			return nil
		},
		Hold: func(bytes int64) error {
			held, highest = bytes, max(highest, bytes)
			if bytes > most {
				return full
			}
			return nil
		},
	}
	if err := a.Run(); !errors.Is(err, full) || messages != 1 || highest <= most {
		t.Errorf("got %v behind %d messages and %d bytes", err, messages, highest)
	}
}
