package websocket

import (
	"crypto/sha1" //nolint:gosec // what RFC 6455 has; nothing is kept secret by it
	"encoding/base64"
	"strings"
)

// Version is the one that is spoken, as Sec-WebSocket-Version has it.
const Version = "13"

// Protocol is what Upgrade names, in lower case.
const Protocol = "websocket"

const (
	keyBytes = 16
	accepted = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// ValidKey reports whether key can be that of a handshake: 16 bytes in Base64
// (RFC 6455, 4.1).
func ValidKey(key string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && len(b) == keyBytes && !strings.ContainsAny(key, "\r\n")
}

// Accept is what a server answers to a key (RFC 6455, 4.2.2).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + accepted)) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Offers reports whether the value of Sec-WebSocket-Protocol that a client sent
// offers the one that a server chose.
func Offers(list, chosen string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if chosen != "" && strings.Trim(one, " \t") == chosen {
			return true
		}
	}
	return false
}
