package scope_test

import (
	"maps"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// This file judges a second time: slowly, from the text of the API's contract,
// with the standard library's readers and without a look at the code. It
// returns names alone; how a request is forwarded is held by other properties.

// The shapes of text that the contract names.
var (
	oracleTriplet      = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	oraclePart         = regexp.MustCompile(`/(\{[^}]*\}|[^/]+)`)
	oracleOID          = regexp.MustCompile("^([0-9a-f]{40}|[0-9a-f]{64})$")
	oracleDecimal      = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	oracleNegativeZero = regexp.MustCompile(`^-0(\.0+)?$`)
)

// oracle returns the sorted names of the grants that match h whole, and
// whether h can be read at all.
func oracle(p *scope.Profile, grants []scope.Grant, h *scope.Head) (names []string, readable bool) {
	raw, query, queried := strings.Cut(h.Target, "?")
	path, ok := oraclePath(raw, p)
	if !ok {
		return nil, false
	}
	var pairs [][2]string
	if queried {
		if pairs, ok = oracleQuery(query); !ok {
			return nil, false
		}
	}
	for i := range grants {
		g := &grants[i]
		if slices.Contains(g.HTTP.Methods, h.Method) && oraclePaths(p, g, path) && oracleParams(p, g, pairs) &&
			oracleHeaders(p, g, h.Fields) && (!h.HasBody || g.Body != nil) {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	return names, true
}

// oracleWord decodes what may stand in a part of a target.
func oracleWord(raw, extra string) (string, bool) {
	for _, c := range raw {
		if c >= 0x80 || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-._~!$'()*,:@%"+extra, c) {
			return "", false
		}
	}
	s, err := url.PathUnescape(raw)
	return s, err == nil && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// oraclePath returns the segments as the agent separated them; a slash in one
// was encoded. The last one is empty where the path ends in a slash.
func oraclePath(raw string, p *scope.Profile) ([]string, bool) {
	if !strings.HasPrefix(raw, "/") {
		return nil, false
	}
	parts := strings.Split(raw[1:], "/")
	for i, part := range parts {
		s, ok := oracleWord(part, "&=+")
		if !ok || strings.ContainsAny(s, `\?#;`) || oracleTriplet.MatchString(s) ||
			strings.Contains(s, "/") && !p.SlashInTail {
			return nil, false
		}
		for piece := range strings.SplitSeq(s, "/") {
			if piece == "." || piece == ".." || piece == "" && (i < len(parts)-1 || s != "") {
				return nil, false
			}
		}
		parts[i] = s
	}
	return oracleLayout(parts, p.Layouts)
}

// oracleLayout undoes another layout of the API: once, and only where no slash
// of it was encoded.
func oracleLayout(parts []string, layouts []scope.Layout) ([]string, bool) {
	flat := strings.Split(strings.Join(parts, "/"), "/")
	plain, other := oraclePlain(parts, layouts)
	if _, hidden := oraclePlain(flat, layouts); hidden && !other {
		return nil, false
	}
	_, twice := oraclePlain(strings.Split(strings.Join(plain, "/"), "/"), layouts)
	return plain, !other || !twice
}

func oraclePlain(parts []string, layouts []scope.Layout) ([]string, bool) {
	for _, l := range layouts {
		for _, m := range l.Moved {
			if there := strings.Split(m.There[1:], "/"); slices.Equal(parts, there) || slices.Equal(parts, append(there, "")) {
				return append(strings.Split(m.Plain[1:], "/"), parts[len(there):]...), true
			}
		}
		base := strings.Split(l.Base[1:], "/")
		if len(parts) >= len(base) && slices.Equal(parts[:len(base)], base) {
			return append(slices.Clone(parts[len(base):]), make([]string, 1)[:max(0, 1-len(parts)+len(base))]...), true
		}
	}
	return parts, false
}

func oracleQuery(raw string) (pairs [][2]string, ok bool) {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, found := strings.Cut(pair, "=")
		n, ok1 := oracleWord(strings.ReplaceAll(name, "+", "%20"), ";/?")
		v, ok2 := oracleWord(strings.ReplaceAll(value, "+", "%20"), ";/?=")
		if !found || n == "" || !ok1 || !ok2 {
			return nil, false
		}
		pairs = append(pairs, [2]string{n, v})
	}
	return pairs, true
}

// oracleFolded tells at which segments of a request letter case does not count:
// they are in lower case from there on.
func oracleFolded(p *scope.Profile, path []string) map[int]bool {
	folded := map[int]bool{}
	flat := strings.Split(strings.Trim(strings.Join(path, "/"), "/"), "/")
	for _, prefix := range p.FoldPaths {
		parts := strings.Split(prefix[1:], "/")
		if len(flat) < len(parts) {
			continue
		}
		fits := true
		for i, part := range parts {
			fits = fits && (part[0] == '{' || part == flat[i])
		}
		for i, part := range parts {
			if fits && part[0] == '{' {
				folded[i] = true
			}
		}
	}
	return folded
}

// oracleSure tells at which segments of a template letter case does not count:
// where it does not in any request that the template matches.
func oracleSure(p *scope.Profile, parts []string) map[int]bool {
	var flat []string
	for _, part := range parts {
		flat = append(flat, part)
		if strings.HasSuffix(part, "=*/*}") {
			flat = append(flat, "{}")
		}
	}
	sure := map[int]bool{}
	for _, prefix := range p.FoldPaths {
		want := strings.Split(prefix[1:], "/")
		fits := len(flat) >= len(want)
		for i := 0; fits && i < len(want); i++ {
			fits = want[i][0] == '{' || want[i] == flat[i]
		}
		for i := range want {
			if fits && want[i][0] == '{' {
				sure[i] = true
			}
		}
	}
	return sure
}

func oraclePaths(p *scope.Profile, g *scope.Grant, path []string) bool {
	slash := path[len(path)-1] == ""
	segments := path
	if slash {
		segments = path[:len(path)-1]
	}
	for _, template := range g.HTTP.Paths {
		if template == "/" {
			if slash && len(segments) == 0 {
				return true
			}
			continue
		}
		rest, wantSlash := strings.CutSuffix(template, "/")
		var parts []string
		for _, part := range oraclePart.FindAllStringSubmatch(rest, -1) {
			parts = append(parts, part[1])
		}
		o := oracleCase{g, oracleFolded(p, path), oracleSure(p, parts)}
		if slash == wantSlash && o.matches(parts, segments, 0) {
			return true
		}
	}
	return false
}

// oracleCase has a grant, and where letter case does not count.
type oracleCase struct {
	g            *scope.Grant
	folded, sure map[int]bool
}

// matches compares the rest of a template with the rest of a path, which is at
// segment at.
func (o *oracleCase) matches(parts, segments []string, at int) bool {
	if len(parts) == 0 {
		return len(segments) == 0
	}
	inner := strings.Trim(parts[0], "{}")
	capture := func(name string, n int) bool {
		if len(segments) < n {
			return false
		}
		tail := strings.HasSuffix(inner, "...")
		all := true
		for i := range n {
			if strings.Contains(segments[i], "/") && !tail {
				return false
			}
			all = all && o.sure[at+i] && !tail
		}
		m, bound := o.g.Where[name]
		if bound && !oracleMatch(&m, oracleSpelled(segments[:n], o.folded, at), all) {
			return false
		}
		return o.matches(parts[1:], segments[n:], at+n)
	}
	switch {
	case parts[0][0] == '{' && strings.HasSuffix(inner, "..."):
		return len(segments) > 0 && capture(strings.TrimSuffix(inner, "..."), len(segments))
	case parts[0][0] == '{' && strings.HasSuffix(inner, "=*/*"):
		return capture(strings.TrimSuffix(inner, "=*/*"), 2)
	case parts[0][0] == '{' && !strings.Contains(inner, ","):
		return capture(inner, 1)
	case len(segments) == 0:
		return false
	}
	for literal := range strings.SplitSeq(inner, ",") {
		if o.sure[at] {
			literal = asciiLower(literal)
		}
		if literal == oracleSpelled(segments[:1], o.folded, at) {
			return o.matches(parts[1:], segments[1:], at+1)
		}
	}
	return false
}

// oracleSpelled joins segments in the spelling that is forwarded.
func oracleSpelled(segments []string, folded map[int]bool, at int) string {
	flat := strings.Split(strings.Join(segments, "/"), "/")
	for i := range flat {
		if folded[at+i] {
			flat[i] = asciiLower(flat[i])
		}
	}
	return strings.Join(flat, "/")
}

func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 32
		}
		return c
	}, s)
}

func oracleParams(p *scope.Profile, g *scope.Grant, pairs [][2]string) bool {
	reserved := slices.Concat([]string{"_method", "access_token", "oauth_token", "callback"}, p.ReserveQuery)
	for name, m := range g.Query.Params {
		var values []string
		for _, pair := range pairs {
			if pair[0] == name {
				values = append(values, pair[1])
			}
		}
		if !oracleValues(&m, values, m.Repeated) {
			return false
		}
	}
	for _, pair := range pairs {
		if _, listed := g.Query.Params[pair[0]]; listed {
			continue
		}
		alike := func(name string) bool { return oracleAlike(name, pair[0]) }
		if !g.Query.UnlistedAllow || slices.ContainsFunc(reserved, alike) ||
			slices.ContainsFunc(slices.Collect(maps.Keys(g.Query.Params)), alike) {
			return false
		}
	}
	return true
}

// oracleAlike tells names that differ in letter case, or of which one is an
// index of the other. Two indices of one name are two names.
func oracleAlike(a, b string) bool {
	a, b = asciiLower(a), asciiLower(b)
	return a == b || strings.HasPrefix(a, b+"[") || strings.HasPrefix(b, a+"[")
}

func oracleHeaders(p *scope.Profile, g *scope.Grant, fields []scope.Field) bool {
	spelled := func(s string) string { return strings.ReplaceAll(asciiLower(s), "_", "-") }
	override := slices.Concat([]string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"}, p.RefuseHeaders)
	for _, f := range fields {
		for _, name := range override {
			if spelled(f.Name) == spelled(name) {
				return false
			}
		}
	}
	for name, m := range g.Headers {
		var values []string
		for _, f := range fields {
			if asciiLower(f.Name) == asciiLower(name) {
				values = append(values, f.Value)
			} else if spelled(f.Name) == spelled(name) {
				return false
			}
		}
		if !oracleValues(&m, values, false) {
			return false
		}
	}
	return true
}

func oracleValues(m *scope.Matcher, values []string, repeated bool) bool {
	switch {
	case len(values) == 0:
		return !m.Required
	case m.Forbidden, len(values) > 1 && !repeated:
		return false
	}
	return !slices.ContainsFunc(values, func(v string) bool { return !oracleMatch(m, v, false) })
}

// oracleMatch compares in lower case where anything folds, since that is the
// spelling that is forwarded.
func oracleMatch(m *scope.Matcher, v string, fold bool) bool {
	if fold || m.FoldASCII || m.Set != nil && m.Set.FoldASCII {
		v = asciiLower(v)
	}
	return oracleHolds(m, v, fold)
}

func oracleHolds(m *scope.Matcher, v string, fold bool) bool {
	spelled := func(s string) string {
		if fold || m.FoldASCII {
			return asciiLower(s)
		}
		return s
	}
	number := m.Type == scope.Number || m.Type == "" && (m.Min != nil && strings.Contains(*m.Min, ".") || m.Max != nil && strings.Contains(*m.Max, "."))
	integer := m.Type == scope.Integer || m.Type == "" && !number && (m.Min != nil || m.Max != nil)
	same := func(want string) bool {
		if number {
			a, b := oracleNumber(want, true), oracleNumber(v, true)
			return a != nil && b != nil && a.Cmp(b) == 0
		}
		return spelled(want) == v
	}
	n := oracleNumber(v, number)
	ok := m.Set == nil || oracleHolds(m.Set, v, fold)
	ok = ok && (!integer && !number || n != nil)
	ok = ok && (m.Type != scope.Boolean || v == "true" || v == "false")
	ok = ok && (m.Equals == nil || same(*m.Equals))
	ok = ok && (len(m.In) == 0 || slices.ContainsFunc(m.In, same))
	ok = ok && (m.Min == nil || n.Cmp(oracleNumber(*m.Min, true)) >= 0)
	ok = ok && (m.Max == nil || n.Cmp(oracleNumber(*m.Max, true)) <= 0)
	ok = ok && (m.MinLength == nil || len([]rune(v)) >= *m.MinLength)
	ok = ok && (m.MaxLength == nil || len([]rune(v)) <= *m.MaxLength)
	ok = ok && (m.Glob == nil || oracleGlob(spelled(*m.Glob), v))
	ok = ok && (m.Pattern == nil || regexp.MustCompile("^(?:"+*m.Pattern+")$").MatchString(v) && !strings.HasSuffix(v, "\n"))
	ok = ok && (m.Kind != scope.GitOID || oracleOID.MatchString(v))
	return ok && !slices.ContainsFunc(m.Except, func(g string) bool { return oracleGlob(spelled(g), v) })
}

func oracleNumber(s string, fraction bool) *big.Rat {
	if !oracleDecimal.MatchString(s) || oracleNegativeZero.MatchString(s) {
		return nil
	}
	r, _ := new(big.Rat).SetString(s)
	if !fraction && (strings.Contains(s, ".") || !r.Num().IsInt64()) {
		return nil
	}
	return r
}

// oracleGlob turns a glob into a regular expression, which the judge does not.
func oracleGlob(glob, v string) bool {
	for segment := range strings.SplitSeq(v, "/") { // no wildcard makes such a segment; none here has a literal one
		if segment == "" || segment == "." || segment == ".." {
			return glob == v
		}
	}
	var re strings.Builder
	for i, segment := range strings.Split(glob, "/") {
		if i > 0 {
			re.WriteString("/")
		}
		if segment == "**" {
			re.WriteString("[^/]+(/[^/]+)*")
			continue
		}
		re.WriteString(strings.ReplaceAll(regexp.QuoteMeta(segment), `\*`, "[^/]*"))
	}
	return regexp.MustCompile("^(?:" + re.String() + ")$").MatchString(v)
}
