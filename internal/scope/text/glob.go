package text

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Errors of [CompileGlob].
var (
	errGlobEmpty = errors.New("a glob is not empty")
	errGlobStars = errors.New("** stands alone between slashes: write * for a part of a segment")
	errGlobUTF8  = errors.New("not UTF-8")
)

// A Glob is a compiled glob: `*` is any run of characters but `/`, perhaps
// none; `**` is a whole segment of the pattern and means one or more
// segments; nothing else is special. It matches whole texts. No segment in
// which a wildcard stands may come out empty, `.` or `..`.
//
// The zero Glob matches nothing. A Glob is safe for concurrent use.
type Glob struct{ segments []globSegment }

// globSegment is one segment of a pattern.
type globSegment struct {
	// parts are the literals around the stars; one part has no star.
	parts []string
	// many stands for `**`.
	many bool
}

// CompileGlob compiles a pattern. It refuses the empty one, and `**` beside
// other characters, which some tools read as a recursive wildcard.
func CompileGlob(pattern string) (*Glob, error) {
	switch {
	case pattern == "":
		return nil, errGlobEmpty
	case !utf8.ValidString(pattern):
		return nil, errGlobUTF8
	}
	g := &Glob{}
	for segment := range strings.SplitSeq(pattern, "/") {
		if segment == "**" {
			g.segments = append(g.segments, globSegment{many: true})
			continue
		}
		if strings.Contains(segment, "**") {
			return nil, errGlobStars
		}
		g.segments = append(g.segments, globSegment{parts: strings.Split(segment, "*")})
	}
	return g, nil
}

// Match reports whether the whole of s matches.
//
// Each `**` takes as few segments as it can. When what follows does not match,
// only the last `**` gives way: a segment that it takes more could not have
// been put to better use by an earlier one, since all of them take the same
// segments. So there is no recursion and no exponential case.
func (g *Glob) Match(s string) bool {
	next := 0             // the pattern's segment to match
	last, resume := -1, 0 // the last `**`, and where in s it would go on
	for at := 0; at <= len(s); {
		segment, after := segmentAt(s, at)
		switch {
		case next < len(g.segments) && g.segments[next].match(segment):
			if g.segments[next].many {
				last, resume = next, after
			}
			next, at = next+1, after
		case last >= 0:
			segment, after = segmentAt(s, resume)
			if !isName(segment) {
				return false
			}
			next, at, resume = last+1, after, after
		default:
			return false
		}
	}
	return next == len(g.segments)
}

// segmentAt returns the segment of s that begins at i, and where the next one
// does: beyond the length of s if there is none.
func segmentAt(s string, i int) (segment string, next int) {
	if i > len(s) {
		return "", i
	}
	if n := strings.IndexByte(s[i:], '/'); n >= 0 {
		return s[i : i+n], i + n + 1
	}
	return s[i:], len(s) + 1
}

func (g *globSegment) match(s string) bool {
	if g.many {
		return isName(s)
	}
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(g.parts) == 1 {
		return s == first
	}
	if !isName(s) || len(s) < len(first)+len(last) ||
		!strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range g.parts[1 : len(g.parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// isName reports whether s can be the name of something in a tree: not empty,
// `.` or `..`.
func isName(s string) bool { return s != "" && s != "." && s != ".." }
