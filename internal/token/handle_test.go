package token

import (
	"regexp"
	"strings"
	"testing"
)

var handleForm = regexp.MustCompile(`^spt_[0-9A-Za-z]{36}$`)

func TestNewHandle(t *testing.T) {
	seen := map[string]bool{}
	characters := map[rune]bool{}
	for range 500 {
		h := NewHandle()
		if !handleForm.MatchString(h) || !ValidHandle(h) || seen[h] {
			t.Fatalf("handle has the wrong form or occurs twice: %q", h)
		}
		seen[h] = true
		for _, r := range h[4:34] {
			characters[r] = true
		}
	}
	if len(characters) != 62 {
		t.Errorf("%d characters occur, want 62", len(characters))
	}
}

// TestHandleChecksum compares the checksum with the definition of CRC-32,
// worked out bit by bit.
func TestHandleChecksum(t *testing.T) {
	random := strings.Repeat("0", 30)
	var sum uint32
	for _, c := range []byte(check(random)) {
		sum = sum*62 + uint32(strings.IndexByte(base62, c))
	}
	if want := crc32Bitwise(random); sum != want {
		t.Errorf("checksum = %#x, want %#x", sum, want)
	}
}

// crc32Bitwise is the definition of CRC-32 (ISO 3309), bit by bit.
func crc32Bitwise(s string) uint32 {
	crc := ^uint32(0)
	for _, c := range []byte(s) {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0xEDB88320*(crc&1)
		}
	}
	return ^crc
}

func TestValidHandleRefuses(t *testing.T) {
	h := NewHandle()
	for name, s := range map[string]string{
		"empty":      "",
		"prefix":     "spt_",
		"no prefix":  h[4:],
		"cased":      "SPT_" + h[4:],
		"short":      h[:len(h)-1],
		"long":       h + "0",
		"line end":   h + "\n",
		"punctuated": h[:10] + "-" + h[11:],
		"checksum":   h[:len(h)-1] + string(base62[(strings.IndexByte(base62, h[len(h)-1])+1)%62]),
		"random":     h[:4] + string(base62[(strings.IndexByte(base62, h[4])+1)%62]) + h[5:],
	} {
		if ValidHandle(s) {
			t.Errorf("%s: taken", name)
		}
	}
}
