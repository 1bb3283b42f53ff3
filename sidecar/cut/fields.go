package cut

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// IsJSON reports whether an answer with these header fields has a JSON text in
// UTF-8. Whether it has a content coding is not looked at.
func IsJSON(fields []scope.Field) bool {
	types := 0
	for _, f := range fields {
		if !text.EqualFold(f.Name, "Content-Type") {
			continue
		}
		t, err := media.Parse(f.Value)
		if err != nil || !t.IsJSON(true) || !t.IsUTF8() {
			return false
		}
		types++
	}
	return types == 1
}

// whole are the fields that are about a body as it was before the cut.
var whole = []string{"Content-Range", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges", "Content-Encoding"}

// Describes reports whether a field of this name is about the whole of a body
// that was cut.
func Describes(name string) bool {
	return slices.ContainsFunc(whole, func(w string) bool { return text.EqualFold(name, w) })
}

// DescribesAny reports whether a field of this name is about a body that is
// not there any more.
func DescribesAny(name string) bool {
	return Describes(name) || text.EqualFold(name, "Content-Type")
}
