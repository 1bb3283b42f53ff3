package audit

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

const hex = "0123456789abcdef"

// plain are the bytes that stand in a JSON text as they are. Besides what
// RFC 8259 wants escaped, those are left out that HTML would read.
var plain = func() (p [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0x7f
	}
	return p
}()

// AppendString appends s as a JSON string. Bytes that are no UTF-8 become the
// replacement character, so that the line stays readable whatever was sent.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if !plain[c] {
				dst = append(dst, s[start:i]...)
				dst = appendEscape(dst, c)
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		// U+2028 and U+2029 are line ends to some readers.
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

func (r *Record) appendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"version":`...), Version, 10)
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, r.Time.UTC())
	dst = append(dst, '"')
	dst = appendMember(dst, `,"event":`, string(r.Event))
	dst = appendMember(dst, `,"id":`, r.ID)
	dst = appendMember(dst, `,"traceId":`, r.Trace)
	dst = appendMember(dst, `,"spanId":`, r.Span)
	dst = appendMember(dst, `,"jti":`, r.Token)
	dst = appendMember(dst, `,"credential":`, r.Credential)
	dst = appendMember(dst, `,"endpoint":`, r.Endpoint)
	dst = appendGrants(dst, r.Grants)
	dst = appendMember(dst, `,"verdict":`, verdict(r.Verdict))
	dst = appendMember(dst, `,"reason":`, string(r.Reason))
	dst = appendMember(dst, `,"method":`, r.Method)
	dst = appendMember(dst, `,"path":`, r.Path)
	dst = appendMember(dst, `,"pod":`, r.Pod)
	if r.Traffic != nil {
		dst = strconv.AppendInt(append(dst, `,"bytesOut":`...), r.Traffic.Out, 10)
		dst = strconv.AppendInt(append(dst, `,"bytesIn":`...), r.Traffic.In, 10)
	}
	return append(dst, '}')
}

func appendMember[T string | []byte](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	return AppendString(append(dst, name...), value)
}

func appendGrants(dst []byte, grants []string) []byte {
	if len(grants) == 0 {
		return dst
	}
	dst = append(dst, `,"grants":[`...)
	for i, name := range grants {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, name)
	}
	return append(dst, ']')
}

func verdict(v scope.Verdict) string {
	if v == scope.Allow {
		return "Allow"
	}
	return "Deny"
}

// appendTime appends t by RFC 3339, always with six digits behind the second.
func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, n, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= len(dst)-width; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}
