package region

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/value"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// maxListed bounds how many texts a set has that is spelled as a list of them.
const maxListed = 512

// CanonicalPaths spells paths with their where: by the languages of their
// parts, so that neither the names of captures nor the spelling of matchers
// matter. Where s is exceeded, the texts mean nothing.
func (s *Space) CanonicalPaths(templates []string, where map[string]scope.Matcher, p *scope.Profile) []string {
	bound := newWhere(where)
	out := make([]string, 0, len(templates))
	for _, template := range templates {
		a, ok := s.newRoute(template, bound, p, Exchange)
		if !ok {
			s.Exceed()
			continue
		}
		out = append(out, s.canonicalPath(a))
	}
	return out
}

func (s *Space) canonicalPath(a *route) string {
	var out strings.Builder
	for i := range a.parts {
		part := &a.parts[i]
		if len(part.Literals) > 0 {
			fmt.Fprintf(&out, "/%q", slices.Compact(slices.Sorted(slices.Values(part.Literals))))
			continue
		}
		j := s.capture(a, part)
		fmt.Fprintf(&out, "/%d %s", part.Width, s.canonicalText(j, j.Fold || part.Fold))
	}
	fmt.Fprintf(&out, " %t", a.slash)
	return out.String()
}

// CanonicalParam spells a name of the query with its matcher.
func (s *Space) CanonicalParam(name string, m *scope.Matcher) string {
	return s.canonicalPresence(name, m, s.Matcher(m, value.Spell(m), value.Query, false))
}

// CanonicalHeader spells a header with its matcher.
func (s *Space) CanonicalHeader(name string, m *scope.Matcher) string {
	return s.canonicalPresence(name, m, s.Matcher(m, value.Spell(m), value.Header, false))
}

// CanonicalBody spells what a grant says of a body: its size, and one text for
// each field or part.
func (s *Space) CanonicalBody(b *scope.Body) []string {
	if b == nil {
		return nil
	}
	out := []string{fmt.Sprintf("%s %d %t", b.Media, b.MaxBytes, b.UnlistedAllow)}
	for _, path := range slices.Sorted(maps.Keys(b.Fields)) {
		m := b.Fields[path]
		if b.Media == scope.JSON {
			out = append(out, s.canonicalField(path, &m))
		} else {
			out = append(out, s.canonicalPresence(path, &m, s.Matcher(&m, value.Spell(&m), value.Form, false)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Parts)) {
		part := b.Parts[name]
		text := fmt.Sprintf("%q %t %q %d", name, part.Required, slices.Sorted(slices.Values(part.Media)), part.MaxBytes)
		if m := part.Value; m != nil {
			text += " value " + s.canonicalPresence("", m, s.Matcher(m, value.Spell(m), value.Part, false))
		}
		if m := part.Filename; m != nil {
			text += " filename " + s.canonicalPresence("", m, s.Matcher(m, value.Spell(m), value.Filename, false))
		}
		out = append(out, text)
	}
	return out
}

func (s *Space) canonicalField(path string, m *scope.Matcher) string {
	kinds, bounded := s.Kinds(m)
	if m.Forbidden {
		return fmt.Sprintf("%q forbidden", path)
	}
	if !bounded {
		return fmt.Sprintf("%q %t %s", path, m.Required, kinds)
	}
	return s.canonicalPresence(path, m, s.Matcher(m, value.Spell(m), value.JSON, false)) + " " + kinds
}

func (s *Space) canonicalPresence(name string, m *scope.Matcher, j value.Judged) string {
	if m.Forbidden {
		return fmt.Sprintf("%q forbidden", name)
	}
	return fmt.Sprintf("%q %t %t %s", name, m.Required, m.Repeated, s.canonicalText(j, j.Fold))
}

// written is what a text is spelled from.
type written struct {
	set         *lang.Set
	least, most int
	fold        bool
}

// canonicalText spells what a matcher lets pass: as a list where that is
// short, else as an automaton and bounds of length.
func (s *Space) canonicalText(j value.Judged, fold bool) string {
	key := written{j.Set, j.Least, j.Most, fold}
	return value.Once(s.Space, s.spelled, key, func() string { return s.spell(key) })
}

func (s *Space) spell(of written) string {
	set := of.set
	if of.fold {
		set = s.NoUpper(set) // it is given lower case alone
	}
	list, finite := set.List(maxListed)
	if !finite {
		return fmt.Sprintf("%t %d %d %s", of.fold, of.least, of.most, hex.EncodeToString(s.Canonical(set)))
	}
	var texts []string
	folds := false
	for _, w := range list {
		if len(w) < of.least || of.most >= 0 && len(w) > of.most {
			continue
		}
		texts = append(texts, w.String())
		folds = folds || of.fold && strings.ContainsAny(w.String(), "abcdefghijklmnopqrstuvwxyz")
	}
	return fmt.Sprintf("%t %q", folds, texts)
}

// LetsAllPass reports whether m, of a capture of so many segments, lets every
// text pass; 0 is a tail.
func (s *Space) LetsAllPass(m *scope.Matcher, width int) bool {
	at := placeOf(width)
	j := s.Matcher(m, value.Spell(m), at, false)
	text := lang.NewText(s.Cased(j.Set, j.Fold, Ceiling), j.Least, j.Most)
	return s.WithinText(lang.NewText(value.All(at).Set, 0, -1), text, s.Within)
}

// sharedWork is what one shared language may take, in states.
const sharedWork = 1 << 20

// shared are languages that depend on what this program ships alone, which is
// its profiles and media types: they are worked out once, and no proof pays for
// them. There are a few for each profile.
var shared sync.Map // from string to *lang.Set

// share returns a shared language.
func (s *Space) share(key string, work func(w *lang.Work) *lang.Set) *lang.Set {
	if known, ok := shared.Load(key); ok {
		return known.(*lang.Set)
	}
	w := lang.NewWork(sharedWork)
	set := work(w)
	if w.Exceeded() {
		s.Exceed()
		return set
	}
	known, _ := shared.LoadOrStore(key, set)
	return known.(*lang.Set)
}

// unreserved returns the names of a form or of parts that a profile does not
// reserve and whose brackets are not too many to be understood.
func (s *Space) unreserved(p *scope.Profile, kind string, all func() *lang.Set) *lang.Set {
	names := append(p.ReservedQuery(), "_charset_")
	slices.Sort(names)
	return s.share(kind+" but for "+strings.Join(names, "\x00"), func(w *lang.Work) *lang.Set {
		return w.Minus(all(), w.Or(w.SameNames(names...), w.DeepNames()))
	})
}
