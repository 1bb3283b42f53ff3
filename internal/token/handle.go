package token

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

// The parts of a handle.
const (
	handlePrefix = "spt_"
	handleRandom = 30
	handleCheck  = 6
	handleLength = len(handlePrefix) + handleRandom + handleCheck
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewHandle returns a random handle: spt_, 30 characters of base62 (178 bits)
// and 6 that hold their CRC-32, by which a secret scanner knows one without
// asking anybody.
func NewHandle() string {
	var b strings.Builder
	b.Grow(handleLength)
	b.WriteString(handlePrefix)
	for b.Len() < len(handlePrefix)+handleRandom {
		var octet [1]byte
		_, _ = rand.Read(octet[:]) // never fails: crypto/rand ends the process instead
		// What lies above the last multiple of 62 would favour some characters.
		if n := int(octet[0]); n < 4*len(base62) {
			b.WriteByte(base62[n%len(base62)])
		}
	}
	text := b.String()
	return text + check(text[len(handlePrefix):])
}

// ValidHandle reports whether s has the form and the checksum of a handle. It
// says nothing about whether any sidecar honours it.
func ValidHandle(s string) bool {
	if len(s) != handleLength || !strings.HasPrefix(s, handlePrefix) {
		return false
	}
	random := s[len(handlePrefix) : len(handlePrefix)+handleRandom]
	for i := range len(random) {
		if strings.IndexByte(base62, random[i]) < 0 {
			return false
		}
	}
	return check(random) == s[len(handlePrefix)+handleRandom:]
}

// check returns the CRC-32 (IEEE) of random in base62, with leading zeros.
func check(random string) string {
	sum := crc32.ChecksumIEEE([]byte(random))
	var digits [handleCheck]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return string(digits[:])
}
