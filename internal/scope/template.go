package scope

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A PathTemplate is a path with captures: `/literal`, `{name}` for one
// segment, `{name=*/*}` for two, `{name...}` for one or more at the end,
// `{a,b,c}` for one of several literals. The zero PathTemplate is of no path.
type PathTemplate struct {
	parts []part
	slash bool // as of a Request
}

// part is one piece of a template: literals or a capture.
type part struct {
	literals []string // sorted; more than one: alternates
	capture  string   // if there are no literals
	width    int      // segments of a capture; 0: all that are left
}

// ParsePath reads a path template. The error tells what to write instead.
func ParsePath(template string) (PathTemplate, error) {
	rest, ok := strings.CutPrefix(template, "/")
	if !ok {
		return PathTemplate{}, fmt.Errorf("begin the path with a slash")
	}
	t := PathTemplate{}
	for rest != "" {
		piece, after, more := cutPiece(rest)
		p, err := parsePart(piece)
		if err != nil {
			return PathTemplate{}, err
		}
		if err := t.add(p); err != nil {
			return PathTemplate{}, err
		}
		t.slash, rest = more && after == "", after
		if more && strings.HasPrefix(after, "/") {
			return PathTemplate{}, fmt.Errorf("remove the empty segment: no request with one is ever allowed")
		}
	}
	t.slash = t.slash || len(t.parts) == 0
	return t, nil
}

// cutPiece cuts s at the first slash outside braces.
func cutPiece(s string) (piece, after string, found bool) {
	from := 0
	if s[0] == '{' {
		from = max(0, strings.IndexByte(s, '}'))
	}
	i := strings.IndexByte(s[from:], '/')
	if i < 0 {
		return s, "", false
	}
	return s[:from+i], s[from+i+1:], true
}

func (t *PathTemplate) add(p part) error {
	if n := len(t.parts); n > 0 && t.parts[n-1].isTail() {
		return fmt.Errorf("put {%s...} last: it takes all segments that are left", t.parts[n-1].capture)
	}
	if p.capture != "" && t.has(p.capture) {
		return fmt.Errorf("name the captures differently: %s occurs twice", p.capture)
	}
	t.parts = append(t.parts, p)
	return nil
}

func (p *part) isTail() bool { return len(p.literals) == 0 && p.width == 0 }

func (t *PathTemplate) has(capture string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.capture == capture })
}

// Captures returns the names of the captures, in their order.
func (t PathTemplate) Captures() []string {
	var names []string
	for _, p := range t.parts {
		if p.capture != "" {
			names = append(names, p.capture)
		}
	}
	return names
}

// HasLiteral reports whether a literal stands in the path. The root counts as
// one: it is a single path.
func (t PathTemplate) HasLiteral() bool {
	return len(t.parts) == 0 && t.slash ||
		slices.ContainsFunc(t.parts, func(p part) bool { return len(p.literals) > 0 })
}

func parsePart(s string) (part, error) {
	inner, braced := strings.CutPrefix(s, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if braced != closed || strings.ContainsAny(inner, "{}") {
		return part{}, fmt.Errorf("let braces hold a whole segment in %q: bound a part of one by where: {%s}", s, "name: {glob: ...}")
	}
	if !braced {
		return part{literals: []string{s}}, checkLiteral(s)
	}
	if strings.Contains(inner, ",") {
		return parseAlternates(inner)
	}
	name, width := inner, 1
	if before, ok := strings.CutSuffix(inner, "..."); ok {
		name, width = before, 0
	} else if before, ok := strings.CutSuffix(inner, "=*/*"); ok {
		name, width = before, 2
	}
	if !isCaptureName(name) {
		return part{}, fmt.Errorf("write {name}, {name=*/*}, {name...} or {a,b} instead of %q; a name is letters, digits and _", s)
	}
	return part{capture: name, width: width}, nil
}

func parseAlternates(list string) (part, error) {
	literals := strings.Split(list, ",")
	for _, l := range literals {
		if err := checkLiteral(l); err != nil {
			return part{}, err
		}
	}
	slices.Sort(literals)
	if len(slices.Compact(slices.Clone(literals))) != len(literals) {
		return part{}, fmt.Errorf("name each literal of {%s} once", list)
	}
	return part{literals: literals}, nil
}

// checkLiteral refuses literals that no request could match, and a star, by
// which an author means a wildcard.
func checkLiteral(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Errorf("remove the segment %q: no request with one is ever allowed", s)
	case s == "*" || s == "**":
		return fmt.Errorf("write {name} or {name...} instead of %q", s)
	case strings.ContainsAny(s, `/\?#;`):
		return fmt.Errorf("remove the slash, backslash, ?, # or ; from %q: no request with one is ever allowed", s)
	case text.HasTriplet(s):
		return fmt.Errorf("write %q decoded", s)
	case checkText(s) != nil:
		return fmt.Errorf("write %q in UTF-8 without control characters", s)
	}
	return nil
}

func isCaptureName(s string) bool {
	for i := 0; i < len(s); i++ {
		letter := 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z' || s[i] == '_'
		if !letter && (i == 0 || s[i] < '0' || '9' < s[i]) {
			return false
		}
	}
	return s != ""
}

// A PathPart is one piece of a template, as it is compared under a profile.
type PathPart struct {
	Literals []string // one of them; none: a capture
	Capture  string
	Width    int  // of a capture, in segments; 0: all that are left, at least one
	Fold     bool // the whole of the capture is compared without letter case
}

// Parts returns the pieces of t under a profile, in their order, for those who
// have to prove what t matches.
func (t PathTemplate) Parts(p *Profile) []PathPart {
	var out []PathPart
	folded := t.folded(p.FoldPaths)
	for piece, at := range t.spans {
		one := PathPart{Literals: piece.literals, Capture: piece.capture, Width: piece.width, Fold: at.in(folded)}
		if one.Fold && len(piece.literals) > 0 {
			one.Literals = lowered(piece.literals)
		}
		out = append(out, one)
	}
	return out
}

// EndsInSlash reports whether t matches only paths that end in a slash; the
// root does.
func (t PathTemplate) EndsInSlash() bool { return t.slash }

// span is a range of segments. The last one of a tail is not known before the
// request is.
type span struct{ from, to int }

// toEnd is the end of a tail.
const toEnd = -1

func (s span) holds(i int) bool { return s.from <= i && (i < s.to || s.to == toEnd) }

// in reports whether all segments are among those of a set.
func (s span) in(set map[int]bool) bool {
	for i := s.from; i < s.to; i++ {
		if !set[i] {
			return false
		}
	}
	return s.to != toEnd
}

// spans calls yield for each part with the segments that it stands for.
func (t *PathTemplate) spans(yield func(p *part, at span) bool) {
	at := 0
	for i := range t.parts {
		p := &t.parts[i]
		to := at + p.width
		switch {
		case len(p.literals) > 0:
			to = at + 1
		case p.width == 0:
			to = toEnd
		}
		if !yield(p, span{at, to}) {
			return
		}
		at = to
	}
}

// least returns the number of segments that a request has at least.
func (t *PathTemplate) least() int {
	n := 0
	for p, at := range t.spans {
		n = at.to
		if p.isTail() {
			n = at.from + 1
		}
	}
	return n
}

// folded returns which segments the profile's fold paths compare without
// letter case in every request that t matches. A segment that some of them
// have folded and others not is not among them: there t matches the lower-case
// spelling alone, which never matches more.
func (t *PathTemplate) folded(foldPaths []string) map[int]bool {
	folded := map[int]bool{}
	for _, prefix := range foldPaths {
		parts := strings.Split(strings.TrimPrefix(prefix, "/"), "/")
		if len(parts) > t.least() || !t.begins(parts) {
			continue
		}
		for i, p := range parts {
			if isFoldCapture(p) {
				folded[i] = true
			}
		}
	}
	return folded
}

// foldsNames reports whether the profile folds paths from their beginning on,
// whatever stands there, such as /{owner}/{repo}.
func (p *Profile) foldsNames() bool {
	return slices.ContainsFunc(p.FoldPaths, func(prefix string) bool {
		first, _, _ := strings.Cut(strings.TrimPrefix(prefix, "/"), "/")
		return isFoldCapture(first)
	})
}

// checkFoldPaths refuses what could not be compared segment by segment.
func checkFoldPaths(prefixes []string) []error {
	var errs []error
	for _, prefix := range prefixes {
		t, err := ParsePath(prefix)
		odd := func(p part) bool { return len(p.literals) != 1 && p.width != 1 }
		if err != nil || t.slash || slices.ContainsFunc(t.parts, odd) {
			errs = append(errs, &SpecError{"profile.foldPaths", prefix, "write literals and captures of one segment, such as /repos/{owner}/{repo}"})
		}
	}
	return errs
}

// begins reports whether the literals of a fold path stand in t.
func (t *PathTemplate) begins(parts []string) bool {
	for i, want := range parts {
		if !isFoldCapture(want) && !t.isLiteral(i, want) {
			return false
		}
	}
	return true
}

func (t *PathTemplate) isLiteral(i int, want string) bool {
	for p, at := range t.spans {
		if at.holds(i) {
			return len(p.literals) == 1 && p.literals[0] == want
		}
	}
	return false
}

// checkLayouts refuses what could not be told from the plain arrangement.
func checkLayouts(layouts []Layout) []error {
	var errs []error
	for _, l := range layouts {
		paths := []string{l.Base}
		for _, m := range l.Moved {
			paths = append(paths, m.Plain, m.There)
		}
		for _, path := range paths {
			t, err := ParsePath(path)
			if err != nil || t.slash || !t.isPlain() {
				errs = append(errs, &SpecError{"profile.layouts", path, "write literals alone, such as /api/v3"})
			}
		}
	}
	return errs
}

// isPlain tells whether t matches one path alone, that is written as it is.
func (t *PathTemplate) isPlain() bool {
	for i := range t.parts {
		if len(t.parts[i].literals) != 1 || !only(t.parts[i].literals[0], unreserved) {
			return false
		}
	}
	return true
}

// Misplaced says what to write in place of a path that is written in another
// layout than the plain one: no request ever matches it. Empty: it is not.
func (p *Profile) Misplaced(path string) string {
	t, err := ParsePath(path)
	if err != nil {
		return "" // it is complained about as such
	}
	return t.misplaced(p.Layouts)
}

func (t *PathTemplate) misplaced(layouts []Layout) string {
	for i := range layouts {
		for _, m := range layouts[i].Moved {
			if parts := segmentsOf(m.There); t.least() == len(parts) && t.begins(parts) {
				return "write " + m.Plain + ": requests to either are judged as that"
			}
		}
		if parts := segmentsOf(layouts[i].Base); t.least() >= len(parts) && t.begins(parts) {
			return "write the path without " + layouts[i].Base + ": requests to either are judged as that"
		}
	}
	return ""
}

func segmentsOf(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }
