package lang

import (
	"regexp"
	"sync"
	"unicode/utf8"
)

// kindWork is enough for each of the kinds, which are made once.
const kindWork = 1 << 16

// kind makes a set once.
func kind(of func(w *Work) *Set) func() *Set {
	return sync.OnceValue(func() *Set {
		w := NewWork(kindWork)
		s := of(w)
		if w.Exceeded() {
			panic("lang: a kind takes more work than it may") // a mistake in this file
		}
		return s
	})
}

// The kinds of text, each as the judge's text package has it.
var (
	// Paths are relative paths that every reader takes for the same.
	Paths = kind(func(w *Work) *Set {
		all := w.And(w.Repeat(unambiguous, 1, -1), w.Glob("**"))
		return w.Minus(all, w.Pattern(`(?s).*%[0-9A-Fa-f]{2}.*`))
	})
	// Refs are full names of git references.
	Refs = kind(func(w *Work) *Set {
		const component = `[^\x00- \x7f~^:?*[\\/]+`
		refs := w.Pattern(component + `(?:/` + component + `)+`)
		for _, not := range []string{`.*\.\..*`, `.*@\{.*`, `.*\.`, `(?:.*/)?\..*`, `.*\.lock(?:/.*)?`} {
			refs = w.Minus(refs, w.Pattern("(?s)"+not))
		}
		return refs
	})
	// GitOIDs are names of git objects.
	GitOIDs = kind(func(w *Work) *Set { return w.Pattern(`[0-9a-f]{40}|[0-9a-f]{64}`) })
	// UUIDs are in lower case, with dashes.
	UUIDs = kind(func(w *Work) *Set { return w.Pattern(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`) })
	// DateTimes are those of RFC 3339 that exist.
	DateTimes = kind(func(w *Work) *Set {
		const (
			leap = `(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29`
			day  = `[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))`
			hour = `(?:[01][0-9]|2[0-3]):[0-5][0-9]`
		)
		return w.Pattern(`(?:` + leap + `|` + day + `)T` + hour + `:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-]` + hour + `)`)
	})
	// Segments are the texts that one segment of a request's path can have.
	Segments = kind(func(w *Work) *Set {
		all := w.Minus(w.Repeat(inPath, 1, -1), w.Pattern(`(?s).*%[0-9A-Fa-f]{2}.*`))
		return w.Minus(all, w.Words(".", ".."))
	})
	// Pairs are two segments with a slash between them.
	Pairs = kind(func(w *Work) *Set { return w.Join(Segments(), Segments()) })
	// Tails are one or more segments.
	Tails = kind(func(w *Work) *Set {
		all := w.Minus(w.Repeat(inTail, 1, -1), w.Pattern(`(?s).*%[0-9A-Fa-f]{2}.*`))
		return w.And(all, w.Glob("**"))
	})
	// Targets are the paths that a request can have.
	Targets = kind(func(w *Work) *Set {
		below := w.Join(w.Words(""), Tails())
		return w.Or(w.Words("/"), w.Or(below, w.Slash(below)))
	})
	// Names are the texts that a name of a query can be.
	Names = kind(func(w *Work) *Set { return w.Repeat(printable, 1, -1) })
	// Plain is the texts without control characters: those of a query.
	Plain = kind(func(w *Work) *Set { return w.Repeat(printable, 0, -1) })
	// ASCII is the texts of printable ASCII: those of a header.
	ASCII = kind(func(w *Work) *Set { return w.Repeat([]Span{{' ', '~'}}, 0, -1) })
	// Scalars is all texts.
	Scalars = kind(func(w *Work) *Set { return w.Repeat(scalars, 0, -1) })
	// JSONStrings is the texts that a string of JSON can be: without code points
	// that are no characters.
	JSONStrings = kind(func(w *Work) *Set { return w.Repeat(characters, 0, -1) })
	// FormValues is the texts of a form: of several lines, perhaps.
	FormValues = kind(func(w *Work) *Set { return w.Repeat(lines, 0, -1) })
	// PartValues is the texts that a part of a multipart body can be.
	PartValues = kind(func(w *Work) *Set { return w.Repeat([]Span{{1, 0xd7ff}, {0xe000, utf8.MaxRune}}, 0, -1) })
	// Filenames is the texts that a name in the header of a part can be.
	Filenames = kind(func(w *Work) *Set {
		return w.Minus(w.Repeat(quotable, 1, -1), w.Pattern(`(?s).*%[0-9A-Fa-f]{2}.*`))
	})
	// NoZero is the texts without a zero byte.
	NoZero = kind(func(w *Work) *Set { return w.Repeat([]Span{{1, utf8.MaxRune}}, 0, -1) })
)

// Characters, without surrogates, which are none.
var (
	// printable are all but control characters.
	printable = []Span{{' ', '~'}, {0xa0, 0xd7ff}, {0xe000, utf8.MaxRune}}
	// unambiguous are those that a relative path may hold.
	unambiguous = []Span{{' ', '['}, {']', '~'}, {0xa0, 0xd7ff}, {0xe000, utf8.MaxRune}}
	// inPath are those that may stand in a segment of a request's path.
	inPath = []Span{{' ', '"'}, {'$', '.'}, {'0', ':'}, {'<', '>'}, {'@', '['}, {']', '~'}, {0xa0, 0xd7ff}, {0xe000, utf8.MaxRune}}
	// quotable are those that may stand between quotation marks of a header.
	quotable = []Span{{' ', '!'}, {'#', '['}, {']', '~'}, {0xa0, 0xd7ff}, {0xe000, utf8.MaxRune}}
	// lines are those and tabs and line ends.
	lines = append([]Span{{'\t', '\n'}, {'\r', '\r'}}, printable...)
	// scalars are all.
	scalars = []Span{{0, 0xd7ff}, {0xe000, utf8.MaxRune}}
	// characters are all but those that Unicode never assigns.
	characters = assigned()
	// inTail are those and the slash.
	inTail = []Span{{' ', '"'}, {'$', ':'}, {'<', '>'}, {'@', '['}, {']', '~'}, {0xa0, 0xd7ff}, {0xe000, utf8.MaxRune}}
)

// Under returns the texts that begin with prefix.
func (w *Work) Under(prefix string) *Set {
	return w.Pattern("(?s)" + regexp.QuoteMeta(prefix) + ".*")
}

func assigned() []Span {
	out := []Span{{0, 0xd7ff}, {0xe000, 0xfdcf}, {0xfdf0, 0xfffd}}
	for plane := rune(1); plane <= 16; plane++ {
		out = append(out, Span{plane << 16, plane<<16 | 0xfffd})
	}
	return out
}
