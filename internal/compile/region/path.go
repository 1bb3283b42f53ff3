package region

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// path is the dimension of the path: the texts of paths, as a reading has them.
type path struct {
	route *route    // nil: of any path, where set is nil as well
	set   *lang.Set // nil: those of the route, not worked out yet
}

func (p path) texts(s *Space) *lang.Set {
	if p.set == nil {
		return s.pathsOf(p.route)
	}
	return p.set
}

func (p path) and(s *Space, o dim) dim { return path{set: s.And(p.texts(s), o.(path).texts(s))} }

func (p path) minus(s *Space, o dim) dim { return path{set: s.Minus(p.texts(s), o.(path).texts(s))} }

func (p path) meets(s *Space, o dim) bool {
	q := o.(path)
	if r := p.relate(s, q); r.known {
		return r.meets
	}
	return s.Meets(p.texts(s), q.texts(s))
}

func (p path) within(s *Space, o dim) bool {
	q := o.(path)
	if r := p.relate(s, q); r.known && r.meets {
		return r.within
	}
	return s.Within(p.texts(s), q.texts(s))
}

// relate compares two paths of which nothing was taken yet.
func (p path) relate(s *Space, q path) relation {
	if p.set != nil || q.set != nil {
		return relation{}
	}
	return s.relate(p.route, q.route)
}

func (p path) show(s *Space, r *Request) (found bool) {
	r.Path, found = s.Shortest(p.texts(s))
	return found
}

// route is one path template with its where.
type route struct {
	template string
	where    *where
	profile  *scope.Profile
	reading  Reading
	parsed
	sets []*lang.Set // of the parts; nil: not worked out yet
	open *[]string   // see openFolds; nil: as above
}

// where is the matchers of captures, and how they are spelled.
type where struct {
	matchers map[string]scope.Matcher
	spelled  map[string]string
}

func newWhere(matchers map[string]scope.Matcher) *where {
	w := &where{matchers, make(map[string]string, len(matchers))}
	for name, m := range matchers {
		w.spelled[name] = value.Spell(&m)
	}
	return w
}

// newRoute returns the route of a template, and whether the judge takes it.
func (s *Space) newRoute(template string, w *where, p *scope.Profile, r Reading) (_ *route, ok bool) {
	says := value.Once(s.Space, s.templates, templateKey{template, p}, func() parsed { return parseTemplate(template, p) })
	return &route{template: template, where: w, profile: p, reading: r, parsed: says}, says.ok
}

// templateKey is all that the parts of a template depend on.
type templateKey struct {
	template string
	profile  *scope.Profile // of an endpoint, which stays as it is
}

// parsed is what a template says. One that the judge refuses is not ok.
type parsed struct {
	parts     []scope.PathPart
	slash, ok bool
}

func parseTemplate(template string, p *scope.Profile) parsed {
	t, err := scope.ParsePath(template)
	if err != nil {
		return parsed{}
	}
	return parsed{t.Parts(p), t.EndsInSlash(), true}
}

// apart reports whether two templates have no path in common by their literals
// and lengths alone: most have none, and this is cheap. A nil route is that of
// any path.
func (a *route) apart(b *route) bool {
	switch {
	case a == nil || b == nil:
		return false
	case a.slash != b.slash:
		return true
	}
	x, y := walk{parts: a.parts}, walk{parts: b.parts}
	for {
		p, q := x.next(), y.next()
		switch {
		case p == nil || q == nil:
			return p != q
		case isTail(p) || isTail(q):
			return false
		case !alike(p, q):
			return true
		}
	}
}

// alike reports whether one segment may be of both parts, by their literals.
func alike(p, q *scope.PathPart) bool {
	return len(p.Literals) == 0 || len(q.Literals) == 0 ||
		slices.ContainsFunc(p.Literals, func(l string) bool { return slices.Contains(q.Literals, l) })
}

func isTail(p *scope.PathPart) bool { return len(p.Literals) == 0 && p.Width == 0 }

// walk goes over the segments of a template. A tail is taken for one.
type walk struct {
	parts []scope.PathPart
	taken int // segments of the first part
}

// next returns the part of the next segment; nil behind the last one.
func (w *walk) next() *scope.PathPart {
	if len(w.parts) == 0 {
		return nil
	}
	part := &w.parts[0]
	if w.taken++; w.taken >= max(part.Width, 1) {
		w.parts, w.taken = w.parts[1:], 0
	}
	return part
}

// anyPath is the key of the language of all paths.
const anyPath = ""

// pathsOf returns the language of a route; a nil one is that of any path.
func (s *Space) pathsOf(a *route) *lang.Set {
	return value.Once(s.Space, s.paths, a.key(), func() *lang.Set { return s.work(a) })
}

func (a *route) key() string {
	if a == nil {
		return anyPath
	}
	return fmt.Sprintf("%d %t %q %q %q", a.reading, a.profile.SlashInTail, a.profile.FoldPaths, a.template, a.where.spelled)
}

func (s *Space) work(a *route) *lang.Set {
	if a == nil {
		return lang.Targets()
	}
	if a.reading == Ceiling {
		return s.compose(a, Ceiling)
	}
	open := s.openFolds(a)
	if a.reading == Forwarded && len(open) > 0 {
		// What a capture folds may look like what the profile would have folded.
		return s.Forwarded(s.canonical(s.compose(a, Exchange), open))
	}
	return s.canonical(s.compose(a, a.reading), open)
}

// compose puts the languages of the parts behind each other.
func (s *Space) compose(a *route, r Reading) *lang.Set {
	if len(a.parts) == 0 {
		return s.Words("/")
	}
	list := []*lang.Set{s.Words("")}
	for i := range a.parts {
		if r == a.reading {
			list = append(list, s.part(a, i))
		} else {
			list = append(list, s.segments(a, &a.parts[i], r))
		}
	}
	set := s.Join(list...)
	if a.slash {
		set = s.Slash(set)
	}
	return set
}

// segments returns the language of one part.
func (s *Space) segments(a *route, part *scope.PathPart, r Reading) *lang.Set {
	if len(part.Literals) > 0 {
		return s.Words(part.Literals...)
	}
	j := s.capture(a, part)
	set := j.Set
	if j.Least > 0 || j.Most >= 0 {
		set = s.And(set, s.Repeat([]lang.Span{{Lo: 0, Hi: lang.Glue - 1}}, j.Least, j.Most))
	}
	if part.Fold && r != Ceiling {
		return s.NoUpper(set) // the profile has put it into lower case before it is judged
	}
	set = s.Cased(set, j.Fold || part.Fold, r)
	if isTail(part) && r == Exchange && a.profile.SlashInTail {
		set = s.GlueSlashes(set)
	}
	return set
}

// capture returns what a capture may be, where or not.
func (s *Space) capture(a *route, part *scope.PathPart) value.Judged {
	at := placeOf(part.Width)
	if m, bound := a.where.matchers[part.Capture]; bound {
		return s.Matcher(&m, a.where.spelled[part.Capture], at, part.Fold)
	}
	return value.All(at)
}

func placeOf(width int) value.Place {
	switch width {
	case 0:
		return value.Tail
	case 2:
		return value.Pair
	}
	return value.Segment
}

// openFolds returns the fold paths of the profile that a may match a beginning
// of, without having the folded segments as captures of its own. What a
// ceiling lets pass has been folded before.
func (s *Space) openFolds(a *route) []string {
	if a.open != nil || a.reading == Ceiling {
		return *cmp.Or(a.open, &[]string{})
	}
	a.open = &[]string{}
	for i, prefix := range a.profile.FoldPaths {
		for j, other := range a.profile.FoldPaths {
			if i != j && entangled(foldParts(prefix), foldParts(other)) {
				s.Exceed() // which of them folds what depends on their order
				a.open = nil
				return []string{prefix}
			}
		}
		if a.isOpenTo(foldParts(prefix)) {
			*a.open = append(*a.open, prefix)
		}
	}
	return *a.open
}

func foldParts(prefix string) []string { return strings.Split(strings.TrimPrefix(prefix, "/"), "/") }

func isCapture(part string) bool { return strings.HasPrefix(part, "{") }

// entangled reports whether folding by one prefix could make another one match.
func entangled(a, b []string) bool {
	mixed := false
	for i := range min(len(a), len(b)) {
		switch {
		case isCapture(a[i]) != isCapture(b[i]):
			mixed = true
		case !isCapture(a[i]) && a[i] != b[i]:
			return false
		}
	}
	return mixed
}

func (a *route) isOpenTo(prefix []string) bool {
	open := false
	at := walk{parts: a.parts}
	for _, want := range prefix {
		switch part := at.next(); {
		case part == nil:
			return false // too short to be folded
		case isTail(part):
			return true
		case isCapture(want):
			open = open || !part.Fold
		case len(part.Literals) > 0 && !slices.Contains(part.Literals, want):
			return false
		}
	}
	return open
}

// canonical leaves the paths that are in lower case where the profile puts
// them into it.
func (s *Space) canonical(set *lang.Set, open []string) *lang.Set {
	for _, prefix := range open {
		bad := value.Once(s.Space, s.paths, "not canonical "+prefix, func() *lang.Set {
			return s.Disguise(s.Pattern(notCanonical(foldParts(prefix))))
		})
		set = s.Minus(set, bad)
	}
	return set
}

// notCanonical is a pattern of the paths that a fold path would change.
func notCanonical(prefix []string) string {
	var all []string
	for i := range prefix {
		if !isCapture(prefix[i]) {
			continue
		}
		one := ""
		for j, part := range prefix {
			switch {
			case i == j:
				part = "[^/]*[A-Z][^/]*"
			case isCapture(part):
				part = "[^/]+"
			default:
				part = regexp.QuoteMeta(part)
			}
			one += "/" + part
		}
		all = append(all, one)
	}
	return "(?s)(?:" + strings.Join(all, "|") + ")(?:/.*)?"
}
