package scope

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Field is one header field as it was read. Names are compared without regard
// to case.
type Field = body.Field

// Head is a request as a strict reader hands it over: one method, one target
// in origin form, all header fields in the order they came. HTTP/1.1 and
// HTTP/2 both end in it.
type Head struct {
	Method string
	Target string
	Fields []Field
	// HasBody says that the message carries a body of at least one byte, or of
	// a length not known in advance.
	HasBody bool
	// Upgrade says that another protocol is to follow on the connection.
	Upgrade bool
	// HTTP2 says that it came over HTTP/2.
	HTTP2 bool
}

// Param is one pair of a query, decoded.
type Param struct{ Name, Value string }

// A Request is the one reading of a request that is judged and forwarded.
// Only [Request.Parse] fills it; the zero Request is refused by every policy.
//
// It is meant to be used again for the next request, so that reading costs no
// memory: what its methods hand out is valid until the next Parse. It is not
// safe for concurrent use.
type Request struct {
	method   string
	path     string // decoded, `/` between segments
	segments []segment
	slash    bool // the path ends in `/`; the root is no segments and a slash
	query    []Param
	fields   []Field
	hasBody  bool
	upgrade  bool
	http2    bool
	content  body.Header // of a request with a body

	buf []byte // what path and query are views of

	// What Decide needs to allocate nothing.
	found []*route
	names []string
	above []string
	lower []byte
	onward
}

// segment is one segment of the path, as it is forwarded.
type segment struct {
	start, end int // in path
	// glued: %2F stands before it, so that only a tail may hold it.
	glued bool
}

// Parse reads h by the rules of p, of which nil is the strict one, or refuses
// with a [*Refusal] where two readers could differ: dot segments, empty
// segments, slashes hidden by encoding, anything encoded twice, malformed
// queries. It cleans nothing up, since the upstream may clean it up otherwise.
//
// Behind an error r is the zero Request. h may not change while r is in use.
func (r *Request) Parse(h *Head, p *Profile) error {
	r.reset()
	if err := r.read(h, p); err != nil {
		r.reset()
		return err
	}
	return nil
}

// Release lets go of the request, and of its memory where it was unusually large.
// The zero Request is left.
func (r *Request) Release() {
	r.reset()
	if r.large() || r.onward.request != nil && r.onward.request.large() {
		*r = Request{}
	}
}

// large tells a request that takes more memory than usual ones.
func (r *Request) large() bool {
	const bytes, parts = 2 << 10, 64
	return max(cap(r.buf), cap(r.lower), cap(r.onward.target)) > bytes ||
		max(cap(r.segments), cap(r.query), cap(r.names), cap(r.found), cap(r.onward.head.Fields)) > parts
}

func (r *Request) reset() {
	clear(r.query)
	clear(r.found)
	*r = Request{
		segments: r.segments[:0], query: r.query[:0], buf: r.buf[:0],
		found: r.found[:0], names: r.names[:0], above: r.above[:0], lower: r.lower, onward: r.onward,
	}
}

func (r *Request) read(h *Head, p *Profile) *Refusal {
	if p == nil {
		p = &Profile{}
	}
	if !only(h.Method, tokenByte) {
		return errMethod
	}
	// Nothing is longer decoded than encoded: views into buf stay good.
	r.buf = slices.Grow(r.buf, len(h.Target))
	path, query, queried := strings.Cut(h.Target, "?")
	if err := r.readPath(path, p.SlashInTail); err != nil {
		return err
	}
	if err := r.rearrange(p.Layouts); err != nil {
		return err
	}
	for _, prefix := range p.FoldPaths {
		r.fold(prefix)
	}
	r.path = text.View(r.buf)
	if queried {
		if err := r.readQuery(query); err != nil {
			return err
		}
	}
	r.method, r.fields, r.hasBody, r.upgrade, r.http2 = h.Method, h.Fields, h.HasBody, h.Upgrade, h.HTTP2
	if h.HasBody {
		for i := range h.Fields {
			r.content.Add(h.Fields[i].Name, h.Fields[i].Value)
		}
	}
	return nil
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

// fold puts the segments at the captures of prefix into lower case, if the
// path begins with it.
func (r *Request) fold(prefix string) {
	prefix = strings.TrimPrefix(prefix, "/")
	n := 0
	for part := range strings.SplitSeq(prefix, "/") {
		if n == len(r.segments) || !isFoldCapture(part) && r.segment(n) != part {
			return
		}
		n++
	}
	n = 0
	for part := range strings.SplitSeq(prefix, "/") {
		if isFoldCapture(part) {
			text.LowerBytes(r.buf[r.segments[n].start:r.segments[n].end])
		}
		n++
	}
}

// isFoldCapture tells a capture of [Profile.FoldPaths] from a literal.
func isFoldCapture(part string) bool { return strings.HasPrefix(part, "{") }

func (r *Request) segment(i int) string {
	s := r.segments[i]
	return text.View(r.buf[s.start:s.end])
}

// Method returns the method, in the letter case that it came with.
func (r *Request) Method() string { return r.method }

// Query returns the pairs of the query in the agent's order, without those
// that were taken.
func (r *Request) Query() []Param { return r.query }

// TakeQuery removes every pair of this exact name and returns the value of the
// last, and the number of pairs of this or a name that some servers take for
// it, so that more than one can be refused.
func (r *Request) TakeQuery(name string) (value string, n int) {
	kept := r.query[:0]
	for _, q := range r.query {
		if sameParam(q.Name, name) {
			n++
		}
		if q.Name != name {
			kept = append(kept, q)
			continue
		}
		value = q.Value
	}
	r.query = kept
	return value, n
}

// AppendPath appends the canonical path to dst: as it is forwarded, but for
// letter case that a grant folds. It is what records and refusals show; they
// never show a query, whose values may be private. The zero Request has none.
func (r *Request) AppendPath(dst []byte) []byte { return r.appendPath(dst, nil) }

func (r *Request) appendPath(dst []byte, folds []span) []byte {
	for i, s := range r.segments {
		fold := slices.ContainsFunc(folds, func(f span) bool { return f.holds(i) })
		dst = append(dst, '/')
		dst = appendEscaped(dst, r.path[s.start:s.end], pathByte, fold)
	}
	if r.slash {
		dst = append(dst, '/')
	}
	return dst
}
