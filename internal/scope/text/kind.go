package text

import "strings"

// IsPath reports whether s is a relative path that every reader takes for the
// same: `/` between segments, none of them empty, `.` or `..`; no backslash,
// percent triplet or control character.
func IsPath(s string) bool {
	for segment := range strings.SplitSeq(s, "/") {
		if !isName(segment) {
			return false
		}
	}
	return strings.IndexByte(s, '\\') < 0 && !HasTriplet(s) && !HasControl(s)
}

// IsRef reports whether `git check-ref-format` accepts s: a full name such as
// refs/heads/main, of at least two components.
func IsRef(s string) bool {
	if !onlyRefBytes(s) || strings.Contains(s, "..") || strings.Contains(s, "@{") || strings.HasSuffix(s, ".") {
		return false
	}
	components := 0
	for component := range strings.SplitSeq(s, "/") {
		if component == "" || component[0] == '.' || strings.HasSuffix(component, ".lock") {
			return false
		}
		components++
	}
	return components > 1
}

// onlyRefBytes reports whether s has none of the bytes that git forbids in refs.
func onlyRefBytes(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c == 0x7f || strings.IndexByte("~^:?*[\\", c) >= 0 {
			return false
		}
	}
	return true
}

// IsGitOID reports whether s is an object name of git: 40 or 64 lower-case
// hexadecimal digits.
func IsGitOID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && isLowerHex(s)
}

// IsUUID reports whether s is a UUID (RFC 9562) in lower case, with dashes.
func IsUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return isLowerHex(s[:8]) && isLowerHex(s[9:13]) && isLowerHex(s[14:18]) &&
		isLowerHex(s[19:23]) && isLowerHex(s[24:])
}

func isLowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) && (s[i] < 'a' || 'f' < s[i]) {
			return false
		}
	}
	return true
}

// IsDateTime reports whether s is a date-time of RFC 3339 that exists. Of the
// liberties that it leaves we take none: T and Z are in upper case, and there
// is no leap second, since readers differ on both.
func IsDateTime(s string) bool {
	if len(s) < len("2006-01-02T15:04:05Z") || s[10] != 'T' || s[16] != ':' {
		return false
	}
	zone, ok := cutFraction(s[19:])
	return ok && isDate(s[:10]) && isClock(s[11:16]) && within(number(s[17:19]), 59) && isZone(zone)
}

// isDate reports whether s, ten bytes, is a day of the calendar.
func isDate(s string) bool {
	year, month, day := number(s[:4]), number(s[5:7]), number(s[8:])
	return s[4] == '-' && s[7] == '-' && year >= 0 && 1 <= month && month <= 12 && 1 <= day && day <= daysIn(year, month)
}

// cutFraction cuts a fraction of a second off the beginning of s. It is not ok
// where a point has no digits behind it.
func cutFraction(s string) (rest string, ok bool) {
	digits, found := strings.CutPrefix(s, ".")
	if !found {
		return s, true
	}
	n := 0
	for n < len(digits) && isDigit(digits[n]) {
		n++
	}
	return digits[n:], n > 0
}

func isZone(s string) bool {
	return s == "Z" || len(s) == len("+00:00") && (s[0] == '+' || s[0] == '-') && isClock(s[1:])
}

func isClock(s string) bool {
	return s[2] == ':' && within(number(s[:2]), 23) && within(number(s[3:]), 59)
}

func within(n, greatest int) bool { return 0 <= n && n <= greatest }

// number reads up to four digits, or returns -1.
func number(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
