package answer

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// coded are the fields that are about a body as it was coded (RFC 9110, 8.4 and
// 14; RFC 9530).
var coded = []string{contentEncoding, "Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges"}

// DescribesCoded reports whether a field of this name is about a body whose
// coding was undone, as it was before.
func DescribesCoded(name string) bool {
	return slices.ContainsFunc(coded, func(c string) bool { return text.EqualFold(name, c) })
}

// IsETag reports whether name is ETag's.
func IsETag(name string) bool { return text.EqualFold(name, "ETag") }

// Weak returns an entity tag made weak: what was decoded is no longer byte for
// byte what the tag is of (RFC 9110, 8.8.1).
func Weak(tag string) string {
	if strings.HasPrefix(tag, `"`) {
		return "W/" + tag
	}
	return tag
}
