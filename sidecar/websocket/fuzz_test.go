package websocket

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// part is one frame, as RFC 6455, 5.2 has it.
type part struct {
	final   bool
	opcode  byte
	payload string
}

// parts reads frames by a reading of its own, up to the first that a receiver
// fails the connection for. rest is what no frame was read of.
func parts(t *testing.T, data string, masked bool) (all []part, rest string) {
	t.Helper()
	for len(data) >= 2 {
		first, second, at := data[0], data[1], 2
		n := uint64(second & 0x7f)
		extra := map[uint64]int{126: 2, 127: 8}[n]
		if len(data) < at+extra {
			break
		}
		if extra > 0 {
			n = binary.BigEndian.Uint64([]byte(strings.Repeat("\x00", 8-extra) + data[at:at+extra]))
			if extra == 2 && n < 126 || extra == 8 && (n < 1<<16 || n >= 1<<63) {
				break // not the fewest bytes
			}
		}
		at += extra
		opcode, control := first&0xf, first&0x8 != 0
		if first&0x70 != 0 || second&0x80 != 0 != masked || !slices.Contains([]byte{0, 1, 2, 8, 9, 10}, opcode) || control && (first&0x80 == 0 || n > 125) {
			break
		}
		var key [4]byte
		if masked {
			if len(data) < at+4 {
				break
			}
			at += copy(key[:], data[at:])
		}
		if uint64(len(data)-at) < n {
			break
		}
		payload := []byte(data[at : at+int(n)])
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		all = append(all, part{first&0x80 != 0, opcode, string(payload)})
		data = data[at+int(n):]
	}
	return all, data
}

// messages joins the fragments of data; what is not finished is the last.
func messages(all []part) (whole []string, unfinished string, ok bool) {
	kind := ""
	for _, p := range all {
		switch {
		case p.opcode >= 8:
			continue
		case (p.opcode == 0) != (kind != ""):
			return whole, kind + unfinished, false // out of order
		case p.opcode != 0:
			kind, unfinished = map[byte]string{1: "text:", 2: "binary:"}[p.opcode], ""
		}
		unfinished += p.payload
		if p.final {
			whole, kind, unfinished = append(whole, kind+unfinished), "", ""
		}
	}
	return whole, kind + unfinished, true
}

// until returns the frames before the first that ends the exchange.
func until(all []part) []part {
	for i, p := range all {
		if p.opcode == 8 {
			return all[:i]
		}
	}
	return all
}

// FuzzAgent: what goes upstream is read, by another reading too, as what was
// judged, and nothing else; however the bytes arrive.
func FuzzAgent(f *testing.F) {
	f.Add(frame(0x81, "hello") + frame(0x89, "x") + frame(0x01, "a") + frame(0x80, "b") + frame(0x88, "\x03\xe8"))
	f.Add("\x81\xfe\x00\x05\x00\x00\x00\x00hello")
	f.Add(frame(0x01, "a") + frame(0x81, "b"))
	f.Add(frame(0x82, "\xff") + frame(0x81, "\xff") + frame(0x81, "c"))
	f.Fuzz(func(t *testing.T, sent string) {
		judged, up, back, _ := agentRun(strings.NewReader(sent))
		again, _, _, _ := agentRun(strings.NewReader(up))
		if !slices.Equal(judged, again) {
			t.Errorf("judged %q, forwarded %q", judged, again)
		}
		frames, rest := parts(t, up, true)
		whole, unfinished, ok := messages(until(frames))
		if rest != "" || unfinished != "" || !ok {
			t.Errorf("%q has frames %+v, of which %q is no message, and %q is behind them", up, frames, unfinished, rest)
		}
		for i := range whole {
			whole[i] = strings.TrimPrefix(whole[i], "text:")
		}
		if !slices.Equal(judged, whole) {
			t.Errorf("judged %q, and another reader finds %q", judged, whole)
		}
		slowly, upSlowly, backSlowly, _ := agentRun(iotest.OneByteReader(strings.NewReader(sent)))
		framesSlowly, _ := parts(t, upSlowly, true) // the masks are drawn by chance
		if !slices.Equal(judged, slowly) || !slices.Equal(frames, framesSlowly) || back != backSlowly {
			t.Errorf("byte by byte: judged %q instead of %q, sent %+v instead of %+v and %q instead of %q", slowly, judged, framesSlowly, frames, backSlowly, back)
		}
	})
}

// FuzzUpstream: what an agent gets are whole frames of the messages that the
// upstream sent, and the beginning of one that was broken off; its pings are
// answered here, and nothing else goes upstream.
func FuzzUpstream(f *testing.F) {
	f.Add(plain(0x81, "hello") + plain(0x89, "x") + plain(0x01, "a") + plain(0x8a, "") + plain(0x80, "b") + plain(0x88, "\x03\xe8"))
	f.Add("\x81\x7e\x00\x7e" + strings.Repeat("a", 126))
	f.Add("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("a", 9)) // broken off: what is long is slow
	f.Add("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Add(plain(0x01, "") + plain(0x01, "b"))
	f.Fuzz(checkUpstream)
}

func TestUpstreamLong(t *testing.T) {
	checkUpstream(t, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"+strings.Repeat("a", 1<<16)+plain(0x82, "b"))
}

func checkUpstream(t *testing.T, sent string) {
	t.Helper()
	up, back, _ := upstreamRun(sent, same)
	came, _ := parts(t, sent, false)
	want, begun, _ := messages(until(came))
	frames, rest := parts(t, back, false)
	got, unfinished, ok := messages(until(frames))
	switch {
	case rest != "" || !ok:
		t.Errorf("%q is not whole frames in order: %q is left", back, rest)
	case len(got) > len(want) || !slices.Equal(got, want[:len(got)]):
		t.Errorf("sent %q, and the agent gets %q", want, got)
	case unfinished != "" && !strings.HasPrefix(slices.Concat(want, []string{begun + broken(sent, came)})[len(got)], unfinished):
		t.Errorf("sent %q and then %q, and the agent gets the beginning %q", want, begun, unfinished)
	}
	for i, p := range frames {
		if p.opcode > 8 || p.opcode == 8 && i+1 < len(frames) {
			t.Errorf("the agent gets the frame %+v", p)
		}
	}
	var pings []string
	for _, p := range until(came) {
		if p.opcode == 9 {
			pings = append(pings, p.payload)
		}
	}
	answers, left := parts(t, up, true)
	for i, p := range until(answers) {
		if p.opcode != 10 || i >= len(pings) || p.payload != pings[i] {
			t.Errorf("%+v goes upstream as an answer to %q", p, pings)
		}
	}
	if left != "" || len(answers) > len(until(answers))+1 {
		t.Errorf("%q goes upstream", up)
	}
}

// broken is what came of a frame of data that has no end.
func broken(sent string, came []part) string {
	var whole bytes.Buffer
	w := NewWriter(&whole, false)
	for _, p := range came {
		_ = w.frame(&header{final: p.final, opcode: opcode(p.opcode), length: int64(len(p.payload))}, []byte(p.payload)) // to memory
	}
	r := strings.NewReader(sent[whole.Len():])
	h, err := readHeader(r, false)
	if err != nil || h.opcode.control() {
		return ""
	}
	text, _ := io.ReadAll(r)
	if h.opcode == continuation {
		return string(text)
	}
	return map[opcode]string{1: "text:", binaryData: "binary:"}[h.opcode] + string(text)
}
