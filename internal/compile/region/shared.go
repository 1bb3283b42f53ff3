package region

import (
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

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
