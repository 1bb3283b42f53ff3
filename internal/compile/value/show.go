package value

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
)

// ShowDocument returns a value of d as JSON, and whether there is one.
func (s *Space) ShowDocument(d Document) (text string, found bool) {
	if text, found = s.showScalar(d); found {
		return text, true
	}
	for _, o := range d.objects {
		if text, found := s.showObject(o); found {
			return text, true
		}
	}
	for _, a := range d.arrays {
		if text, found := s.showArray(a); found {
			return text, true
		}
	}
	return "", false
}

func (s *Space) showScalar(d Document) (string, bool) {
	switch {
	case d.anything || d.null:
		return "null", true
	case d.booleans[1]:
		return "true", true
	case d.booleans[0]:
		return "false", true
	}
	if word, found := s.Show(d.strings); found {
		return quote(word), true
	}
	word, found := s.Show(d.numbers)
	return word.String(), found
}

func quote(word lang.Word) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(word.String()) // a text can always be written
	return strings.TrimSuffix(out.String(), "\n")
}

func (s *Space) hasObject(o object) bool {
	_, found := s.showObject(o)
	return found
}

// showObject returns an object with no more members than there have to be.
func (s *Space) showObject(o object) (string, bool) {
	var parts []string
	keys := slices.Sorted(maps.Keys(o.members))
	for _, key := range keys {
		m := o.members[key]
		if m.absent {
			continue
		}
		value, found := s.ShowDocument(m.value)
		if !found {
			return "", false
		}
		parts = append(parts, quote(lang.Word(key))+": "+value)
	}
	seen := map[string]bool{}
	for _, some := range o.some {
		word, found := s.Shortest(s.Minus(s.And(o.others, some), s.Words(keys...)))
		if !found {
			return "", false
		}
		if !seen[word.String()] { // one key may be in several
			parts = append(parts, quote(word)+": null")
		}
		seen[word.String()] = true
	}
	return "{" + strings.Join(parts, ", ") + "}", true
}

// maxElements bounds the arrays that are shown.
const maxElements = 1 << 16

// showArray returns an array with no more elements than there have to be.
func (s *Space) showArray(a array) (string, bool) {
	if a.most >= 0 && a.most < a.least {
		return "", false
	}
	parts, found := s.showSome(a)
	if !found {
		return "", false
	}
	if len(parts) < a.least {
		value, found := s.ShowDocument(a.each)
		if !found {
			return "", false
		}
		if a.least > maxElements {
			s.Exceed()
			return "", false
		}
		for len(parts) < a.least {
			parts = append(parts, value)
		}
	}
	return "[" + strings.Join(parts, ", ") + "]", true
}

// showSome returns the elements that have to be there: one in each of some, or
// fewer where no more may be there.
func (s *Space) showSome(a array) ([]string, bool) {
	var parts []string
	for _, some := range a.some {
		value, found := s.ShowDocument(s.AndDocument(a.each, some))
		if !found {
			return nil, false
		}
		parts = append(parts, value)
	}
	if a.most < 0 || len(parts) <= a.most {
		return parts, true
	}
	one, found := s.showAll(a)
	return []string{one}, found
}

// showAll returns an element that is in all that some element has to be in,
// where fewer may be there than there are such sets.
func (s *Space) showAll(a array) (string, bool) {
	one := a.each
	for _, some := range a.some {
		one = s.AndDocument(one, some)
	}
	text, found := s.ShowDocument(one)
	switch {
	case a.most == 0:
		return "", false
	case !found && a.most > 1:
		s.Exceed() // one for several of them would do; which is not found out
	}
	return text, found
}
