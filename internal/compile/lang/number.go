package lang

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Bounds are the least and the greatest of numbers; nil is no bound.
type Bounds struct{ Least, Greatest *text.Decimal }

// Integers returns the spellings of integers of 64 bits within b.
func (w *Work) Integers(b Bounds) *Set {
	least, _ := text.ParseDecimal(strconv.Itoa(math.MinInt64))
	greatest, _ := text.ParseDecimal(strconv.Itoa(math.MaxInt64))
	if b.Least != nil && b.Least.Compare(least) > 0 {
		least = *b.Least
	}
	if b.Greatest != nil && b.Greatest.Compare(greatest) < 0 {
		greatest = *b.Greatest
	}
	return w.numbers(Bounds{&least, &greatest}, false)
}

// Decimals returns the spellings of decimals within b.
func (w *Work) Decimals(b Bounds) *Set { return w.numbers(b, true) }

// SameDecimals returns the spellings of the decimals whose canonical spellings
// are given: zeros at a fraction's end are the only other ones.
func (w *Work) SameDecimals(canonical ...string) *Set {
	var all []string
	for _, v := range canonical {
		zeros := `(?:\.0+)?`
		if strings.Contains(v, ".") {
			zeros = "0*"
		}
		all = append(all, regexp.QuoteMeta(v)+zeros)
	}
	return w.Pattern(strings.Join(all, "|"))
}

// phase is how far a decimal has been read.
type phase uint8

const (
	begun    phase = iota
	signed         // behind `-`
	zero           // behind a whole part of 0
	whole          // in another whole part
	pointed        // behind the point
	fraction       // behind a digit of the fraction
)

// number is a decimal that is being read.
type number struct {
	phase          phase
	negative       bool
	nonzero        bool
	least, highest against
}

// against compares the digits of a decimal with those of a bound.
type against struct {
	digits int // of the part that is being read; no more than matter
	order  int // of what was read, as cmp.Compare has it
}

// bound is the digits of a bound.
type bound struct {
	whole, fraction string
	negative        bool
}

func newBound(d *text.Decimal) *bound {
	if d == nil {
		return nil
	}
	s, negative := strings.CutPrefix(d.String(), "-")
	b := &bound{negative: negative}
	b.whole, b.fraction, _ = strings.Cut(s, ".")
	return b
}

// read takes a digit of the whole part, or of the fraction.
func (b *bound) read(a against, digit byte, fraction bool) against {
	if b == nil {
		return a
	}
	digits := b.whole
	if fraction {
		digits = b.fraction
	}
	if a.order == 0 && (fraction || a.digits < len(digits)) {
		other := byte('0')
		if a.digits < len(digits) {
			other = digits[a.digits]
		}
		a.order = int(digit) - int(other)
		a.order = max(-1, min(1, a.order))
	}
	a.digits = min(a.digits+1, len(digits)+1)
	if fraction && a.order != 0 {
		a.digits = 0 // no further digit matters
	}
	return a
}

// endWhole takes the end of the whole part: more digits are a greater number.
func (b *bound) endWhole(a against) against {
	switch {
	case b == nil:
		return a
	case a.digits < len(b.whole):
		a.order = -1
	case a.digits > len(b.whole):
		a.order = 1
	}
	a.digits = 0
	return a
}

// compare returns how a decimal that was read to its end stands to the bound.
func (b *bound) compare(a against, n number) int {
	if n.negative != b.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	if n.phase != fraction {
		a = b.endWhole(a)
	}
	if a.order == 0 && a.digits < len(b.fraction) {
		a.order = -1 // the bound's fraction has no zero at its end
	}
	if n.negative {
		return -a.order
	}
	return a.order
}

// numbers reads decimals.
type numbers struct {
	least, greatest *bound
	fractions       bool
}

func (w *Work) numbers(within Bounds, fractions bool) *Set {
	m := numbers{newBound(within.Least), newBound(within.Greatest), fractions}
	return explore(w, machine[number]{final: m.final, moves: m.moves})
}

func (m *numbers) final(n number) bool {
	switch {
	case n.phase != zero && n.phase != whole && n.phase != fraction:
		return false
	case n.negative && !n.nonzero:
		return false // -0 is another spelling of 0
	}
	return (m.least == nil || m.least.compare(n.least, n) >= 0) &&
		(m.greatest == nil || m.greatest.compare(n.highest, n) <= 0)
}

func (m *numbers) moves(n number, emit func(lo, hi Symbol, to number)) {
	if n.phase == begun {
		emit('-', '-', number{phase: signed, negative: true})
	}
	if m.fractions && (n.phase == zero || n.phase == whole) {
		to := n
		to.phase, to.least, to.highest = pointed, m.least.endWhole(n.least), m.greatest.endWhole(n.highest)
		emit('.', '.', to)
	}
	if n.phase == zero {
		return // no digit behind a leading zero
	}
	for digit := byte('0'); digit <= '9'; digit++ {
		emit(Symbol(digit), Symbol(digit), n.digit(digit, m.least, m.greatest))
	}
}

func (n number) digit(digit byte, least, greatest *bound) number {
	n.nonzero = n.nonzero || digit != '0'
	behind := n.phase == pointed || n.phase == fraction
	switch {
	case behind:
		n.phase = fraction
	case n.phase != whole && digit == '0':
		n.phase = zero
	default:
		n.phase = whole
	}
	n.least, n.highest = least.read(n.least, digit, behind), greatest.read(n.highest, digit, behind)
	return n
}
