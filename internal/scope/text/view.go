package text

import "unsafe"

// View returns a string that shares the memory of b. It is the one place where
// memory is shared against Go's rules: such strings are into buffers which are
// written to only behind what was handed out, until what the string belongs to
// is filled anew and the validity of it all ends.
func View(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // G103: the reason stands above
}
