package manifest

import (
	"strconv"
	"strings"
)

// cutKey removes a key from the front of a path, written as key, .key or
// [key], and tells whether it was there.
func cutKey(path, key string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, "["+key+"]"); ok {
		return strings.TrimPrefix(rest, "."), true
	}
	rest, ok = strings.CutPrefix(strings.TrimPrefix(path, "."), key)
	if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return "", false
	}
	return strings.TrimPrefix(rest, "."), true
}

// cutIndex removes an index from the front of a path, written as [0] or, as
// some validators do, as 0.
func cutIndex(path string, i int) (rest string, ok bool) {
	return cutKey(path, strconv.Itoa(i))
}

// oneLine joins the lines of an error of somebody else.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
