package scope

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Layout is another arrangement of the same API, in which some installations
// of it serve it: its clients choose by the address that they are given. Both
// are read as one, the plain arrangement, which grants and records name; what
// is forwarded stands where the upstream has it. The zero Layout is none.
type Layout struct {
	// Base is the path below which stands what is below the root otherwise,
	// such as /api/v3.
	Base string `json:"base"`
	// Moved are paths that stand elsewhere in this layout.
	Moved []Move `json:"moved,omitempty"`
}

// A Move is a path of the plain arrangement and where a layout has it.
type Move struct {
	Plain string `json:"plain"` // such as /graphql
	There string `json:"there"` // such as /api/graphql
}

// errLayout refuses what one server takes for a path of the other layout and
// another does not.
var errLayout = malformed("the path names a layout of the API twice, or with an encoded slash")

// rearrange reads a path of another layout as the one it stands for: once. What
// would be one of another layout even then has no meaning that is sure.
func (r *Request) rearrange(layouts []Layout) *Refusal {
	for i := range layouts {
		if l := &layouts[i]; l.has(r.buf) {
			if r.gluedWithin(l.Base) {
				return errLayout
			}
			r.become(l)
			break
		}
	}
	for i := range layouts {
		if layouts[i].has(r.buf) {
			return errLayout
		}
	}
	return nil
}

// has tells whether path is one of this layout.
func (l *Layout) has(path []byte) bool {
	p := text.View(path)
	return l.moved(p) != nil || p == l.Base || strings.HasPrefix(p, l.Base) && p[len(l.Base)] == '/'
}

// moved returns what path, with or without a slash at its end, is in the plain
// arrangement; nil where it stands at no place of its own.
func (l *Layout) moved(path string) *Move {
	for i := range l.Moved {
		if strings.TrimSuffix(path, "/") == l.Moved[i].There {
			return &l.Moved[i]
		}
	}
	return nil
}

// gluedWithin tells whether an encoded slash stands within the first segments
// of the path, of which a layout has as many, or right behind them.
func (r *Request) gluedWithin(base string) bool {
	for i := range r.segments[:min(len(r.segments), strings.Count(base, "/")+1)] {
		if r.segments[i].glued {
			return true
		}
	}
	return false
}

// become makes the path, which is one of l, the one that it stands for.
func (r *Request) become(l *Layout) {
	if m := l.moved(text.View(r.buf)); m != nil {
		r.write(m.Plain)
		return
	}
	n := strings.Count(l.Base, "/")
	r.segments = r.segments[:copy(r.segments, r.segments[n:])]
	for i := range r.segments {
		r.segments[i].start -= len(l.Base)
		r.segments[i].end -= len(l.Base)
	}
	r.buf = r.buf[:copy(r.buf, r.buf[len(l.Base):])]
	if len(r.segments) == 0 {
		r.buf, r.slash = append(r.buf[:0], '/'), true
	}
}

// write puts a canonical path in the place of the one that was read, but for
// the slash at its end.
func (r *Request) write(path string) {
	r.buf, r.segments = append(r.buf[:0], path...), r.segments[:0]
	for at := 0; at < len(path); {
		end := len(path)
		if next := strings.IndexByte(path[at+1:], '/'); next >= 0 {
			end = at + 1 + next
		}
		r.segments = append(r.segments, segment{start: at + 1, end: end})
		at = end
	}
	if r.slash {
		r.buf = append(r.buf, '/')
	}
}

// appendBase appends the base path of an endpoint for the path of r: for a path
// that stands elsewhere in the layout that the endpoint is in, all of it, and
// then the path is not to follow.
func (r *Request) appendBase(dst []byte, basePath string, layouts []Layout) (out []byte, whole bool) {
	for i := range layouts {
		above, in := strings.CutSuffix(basePath, layouts[i].Base)
		if !in {
			continue
		}
		for _, m := range layouts[i].Moved {
			if r.path == m.Plain {
				return append(append(dst, above...), m.There...), true
			}
		}
	}
	return append(dst, basePath...), false
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
