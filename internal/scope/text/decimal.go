package text

import (
	"cmp"
	"strings"
)

// A Decimal is a number in plain notation, of any size. The zero Decimal is
// not one; [ParseDecimal] makes them.
type Decimal struct {
	whole, fraction string // fraction without zeros at its end
	negative        bool
}

// The bounds of 64 bits.
var (
	leastInteger    = Decimal{whole: "9223372036854775808", negative: true}
	greatestInteger = Decimal{whole: "9223372036854775807"}
)

// ParseDecimal reads digits without a leading zero, perhaps after `-` and
// perhaps with a fraction: the plain notation of RFC 8259. Exponents, `+` and
// a negative zero are refused, since they are other spellings of a number
// that has one.
func ParseDecimal(s string) (Decimal, bool) {
	var d Decimal
	s, d.negative = strings.CutPrefix(s, "-")
	whole, fraction, fractional := strings.Cut(s, ".")
	if !isDigits(whole) || len(whole) > 1 && whole[0] == '0' || fractional && !isDigits(fraction) {
		return Decimal{}, false
	}
	d.whole, d.fraction = whole, strings.TrimRight(fraction, "0")
	if d.negative && d.whole == "0" && d.fraction == "" {
		return Decimal{}, false
	}
	return d, true
}

// ParseInteger reads a [Decimal] without a fraction, within 64 bits.
func ParseInteger(s string) (Decimal, bool) {
	d, ok := ParseDecimal(s)
	switch {
	case !ok || strings.IndexByte(s, '.') >= 0:
		return Decimal{}, false
	case len(d.whole) < len(greatestInteger.whole):
		return d, true
	}
	return d, d.Compare(leastInteger) >= 0 && d.Compare(greatestInteger) <= 0
}

// ParseSmall is [ParseInteger] for up to 18 digits, which are most: it is not ok
// for any other text.
func ParseSmall(s string) (n int64, ok bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 18 || digits[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := 0; i < len(digits); i++ {
		if !isDigit(digits[i]) {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n, true
}

// Compare returns -1, 0 or 1 for d less than, equal to or greater than e. It
// compares digits, so nothing is rounded.
func (d Decimal) Compare(e Decimal) int {
	if d.negative != e.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	size := cmp.Or(
		cmp.Compare(len(d.whole), len(e.whole)),
		strings.Compare(d.whole, e.whole),
		strings.Compare(d.fraction, e.fraction),
	)
	if d.negative {
		return -size
	}
	return size
}

// String returns the one canonical spelling: no zeros at a fraction's end.
func (d Decimal) String() string {
	s := d.whole
	if d.fraction != "" {
		s += "." + d.fraction
	}
	if d.negative {
		s = "-" + s
	}
	return s
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
