package scope_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// This file judges bodies a second time: slowly, from the text of the API's
// contract, with the standard library's readers and without a look at the
// code.

// lower is for texts in ASCII, which those of these tests are.
var lower = strings.ToLower

// bodyOracle returns the sorted names of those grants whose body lets this one
// pass. Method, path, query and headers but the Content-Type are not looked at.
func bodyOracle(grants []scope.Grant, contentType string, body []byte) []string {
	var names []string
	for i := range grants {
		if bodyOraclePasses(grants[i].Body, contentType, body) {
			names = append(names, grants[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

func bodyOraclePasses(b *scope.Body, contentType string, body []byte) bool {
	switch {
	case b == nil:
		return len(body) == 0
	case int64(len(body)) > b.MaxBytes:
		return false
	case b.Media == scope.Opaque:
		return true
	case b.Media == scope.JSON:
		if len(body) == 0 {
			return !newDocumentOracle(b).asks("")
		}
		v, ok := oracleJSON(body)
		return contentType == "application/json" && ok && newDocumentOracle(b).value(v, "")
	case b.Media == scope.Form:
		return (len(body) == 0 || contentType == "application/x-www-form-urlencoded") && oracleForm(b, body)
	}
	return false
}

// oracleJSON reads a text and refuses what I-JSON does not allow.
func oracleJSON(text []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || !utf8.Valid(text) {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return v, !oracleKeyTwice(text)
}

// oracleKeyTwice looks for a key that occurs twice in an object, by what
// stands between the braces.
func oracleKeyTwice(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []map[string]bool // nil: an array
	key := true
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		in := len(open) > 0 && open[len(open)-1] != nil
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				open, key = append(open, map[string]bool{}), true
				continue
			case '[':
				open = append(open, nil)
				continue
			}
			open = open[:len(open)-1]
			key = true
			continue
		case string:
			if in && key {
				if open[len(open)-1][t] {
					return true
				}
				open[len(open)-1][t] = true
				key = false
				continue
			}
		}
		key = true
	}
}

// documentOracle has what is listed, by paths of steps, each behind a slash:
// =name or [].
type documentOracle struct {
	listed   map[string]scope.Matcher
	unlisted bool
}

func newDocumentOracle(b *scope.Body) *documentOracle {
	o := &documentOracle{map[string]scope.Matcher{}, b.UnlistedAllow}
	for path, m := range b.Fields {
		steps := ""
		for part := range strings.SplitSeq(strings.ReplaceAll(path, `\.`, "\x00"), ".") {
			name, _, _ := strings.Cut(part, "[")
			if name != "" {
				steps += "/=" + strings.ReplaceAll(name, "\x00", ".")
			}
			steps += strings.Repeat("/[]", strings.Count(part, "[]"))
		}
		o.listed[steps] = m
	}
	return o
}

// next returns the steps that are listed right below a path, or lead there.
func (o *documentOracle) next(path string) (names []string, item bool) {
	for p := range o.listed {
		rest, below := strings.CutPrefix(p, path+"/")
		if !below {
			continue
		}
		step, _, _ := strings.Cut(rest, "/")
		if step == "[]" {
			item = true
		} else if name := step[1:]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, item
}

// asks tells whether something must be there: what is listed as required, and
// the objects on the way to it.
func (o *documentOracle) asks(path string) bool {
	names, _ := o.next(path)
	return o.listed[path].Required || slices.ContainsFunc(names, func(n string) bool { return o.asks(path + "/=" + n) })
}

func (o *documentOracle) value(v any, path string) bool {
	m, listed := o.listed[path]
	names, item := o.next(path)
	below := len(names) > 0 || item
	switch {
	case path == "" && !below && o.unlisted:
		return true
	case listed && m.Forbidden:
		return false
	case listed && bodyOracleScalar(&m, nil) && !below: // what null passes, everything does
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		takes := bodyOracleTakes(&m, scope.Object)
		if !listed {
			takes = len(names) > 0 || path == "" && !item
		}
		return takes && o.members(v, path, names)
	case []any:
		takes := bodyOracleTakes(&m, scope.Array)
		if !listed {
			takes = item
		}
		most := bodyOracleMaxItems(&m)
		return takes && (most < 0 || len(v) <= most) && !slices.ContainsFunc(v, func(e any) bool { return !item || !o.value(e, path+"/[]") })
	}
	return listed && bodyOracleScalar(&m, v)
}

func (o *documentOracle) members(v map[string]any, path string, names []string) bool {
	for key, member := range v {
		switch {
		case slices.Contains(names, key):
			if !o.value(member, path+"/="+key) {
				return false
			}
		case !o.unlisted || len(names) == 0:
			return false
		case slices.ContainsFunc(names, func(n string) bool { return lower(n) == lower(key) }):
			return false
		}
	}
	return !slices.ContainsFunc(names, func(n string) bool { _, there := v[n]; return !there && o.asks(path+"/="+n) })
}

func bodyOracleType(m *scope.Matcher) scope.Type {
	switch {
	case m.Type != "":
		return m.Type
	case m.MaxItems != nil:
		return scope.Array
	case m.Min != nil && strings.Contains(*m.Min, ".") || m.Max != nil && strings.Contains(*m.Max, "."):
		return scope.Number
	case m.Min != nil || m.Max != nil:
		return scope.Integer
	case m.Set != nil:
		return bodyOracleType(m.Set)
	}
	return scope.String
}

// bodyOracleBounded tells whether something must hold of a text.
func bodyOracleBounded(m *scope.Matcher) bool {
	typed := bodyOracleType(m)
	return m.Equals != nil || m.In != nil || m.Glob != nil || m.MaxLength != nil || m.Except != nil || m.Min != nil || m.Max != nil ||
		typed == scope.Integer || typed == scope.Number || typed == scope.Boolean || m.Set != nil && bodyOracleBounded(m.Set)
}

func bodyOracleTakes(m *scope.Matcher, t scope.Type) bool {
	typed := bodyOracleType(m)
	return (typed == t || typed == scope.Any) && !bodyOracleBounded(m) && (m.Set == nil || bodyOracleTakes(m.Set, t))
}

func bodyOracleMaxItems(m *scope.Matcher) int {
	most := -1
	for ; m != nil; m = m.Set {
		if m.MaxItems != nil && (most < 0 || *m.MaxItems < most) {
			most = *m.MaxItems
		}
	}
	return most
}

// bodyOracleScalar holds a value of a document to a matcher.
func bodyOracleScalar(m *scope.Matcher, v any) bool {
	typed := bodyOracleType(m)
	if m.Set != nil && !bodyOracleScalar(m.Set, v) {
		return false
	}
	fold := m.FoldASCII || m.Set != nil && m.Set.FoldASCII
	switch v := v.(type) {
	case nil:
		return typed == scope.Any && !bodyOracleBounded(m)
	case bool:
		return (typed == scope.Boolean || typed == scope.Any) && bodyOracleText(m, map[bool]string{true: "true", false: "false"}[v], fold)
	case string:
		return (typed == scope.String || typed == scope.Any) && bodyOracleText(m, v, fold)
	case json.Number:
		s := v.String()
		if typed == scope.Any {
			canonical := regexp.MustCompile(`^(-?[1-9][0-9]*|0|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])$`).MatchString(s)
			return !bodyOracleBounded(m) || canonical && bodyOracleText(m, s, fold)
		}
		return (typed == scope.Integer || typed == scope.Number) && bodyOracleText(m, s, fold)
	}
	return false
}

var (
	oraclePlainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	oraclePlainNumber  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

// bodyOracleText holds a text to the keys of a matcher, but for its set.
func bodyOracleText(m *scope.Matcher, s string, fold bool) bool {
	typed := bodyOracleType(m)
	rat, _ := new(big.Rat).SetString(s)
	switch typed {
	case scope.Integer:
		n, ok := new(big.Int).SetString(s, 10)
		if !ok || !oraclePlainInteger.MatchString(s) || !n.IsInt64() {
			return false
		}
	case scope.Number:
		if !oraclePlainNumber.MatchString(s) || strings.HasPrefix(s, "-") && rat.Sign() == 0 {
			return false
		}
	case scope.Boolean:
		if s != "true" && s != "false" {
			return false
		}
	}
	if fold {
		s = strings.ToLower(s) // the texts of these tests are ASCII
	}
	glob := func(glob string) bool {
		if m.FoldASCII {
			glob = strings.ToLower(glob)
		}
		return bodyOracleGlob(glob, s)
	}
	equal := func(want string) bool {
		if typed == scope.Number {
			w, _ := new(big.Rat).SetString(want)
			return w.Cmp(rat) == 0
		}
		if m.FoldASCII {
			want = strings.ToLower(want)
		}
		return want == s
	}
	bound := func(text *string, side int) bool {
		if text == nil {
			return true
		}
		b, _ := new(big.Rat).SetString(*text)
		return rat != nil && rat.Cmp(b)*side >= 0
	}
	return (m.Equals == nil || equal(*m.Equals)) && (m.In == nil || slices.ContainsFunc(m.In, equal)) &&
		(m.Glob == nil || glob(*m.Glob)) && bound(m.Min, 1) && bound(m.Max, -1) &&
		(m.MaxLength == nil || utf8.RuneCountInString(s) <= *m.MaxLength) &&
		!slices.ContainsFunc(m.Except, glob)
}

// bodyOracleGlob knows a star within one segment, which these tests have.
func bodyOracleGlob(glob, s string) bool {
	return regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, "[^/]*")+"$").MatchString(s) && (s != "" && s != "." && s != ".." || !strings.Contains(glob, "*"))
}

var oracleFormPair = regexp.MustCompile(`^([A-Za-z0-9._~!$'()*,:@/?+-]|%[0-9A-Fa-f]{2})+=([A-Za-z0-9._~!$'()*,:@/?+=-]|%[0-9A-Fa-f]{2})*$`)

func oracleForm(b *scope.Body, body []byte) bool {
	values := url.Values{}
	if len(body) > 0 {
		for pair := range strings.SplitSeq(string(body), "&") {
			if !oracleFormPair.MatchString(pair) {
				return false
			}
		}
		var err error
		if values, err = url.ParseQuery(string(body)); err != nil {
			return false
		}
	}
	for name, all := range values {
		for _, s := range append(all, name) {
			if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) || !utf8.ValidString(s) {
				return false
			}
		}
	}
	for name, m := range b.Fields {
		got := values[name]
		if len(got) > 0 && m.Forbidden || len(got) == 0 && m.Required || len(got) > 1 && !m.Repeated {
			return false
		}
		for _, s := range got {
			for one := &m; one != nil; one = one.Set {
				if !bodyOracleText(one, s, m.FoldASCII || m.Set != nil && m.Set.FoldASCII) {
					return false
				}
			}
		}
	}
	for name := range values {
		if _, listed := b.Fields[name]; listed {
			continue
		}
		base, _, _ := strings.Cut(strings.ToLower(name), "[")
		if !b.UnlistedAllow || slices.Contains([]string{"_method", "access_token"}, strings.ToLower(name)) {
			return false
		}
		for listed := range b.Fields {
			array, _, _ := strings.Cut(lower(listed), "[")
			if lower(listed) == base || lower(listed) == lower(name) || array == lower(name) || array == base && strings.HasSuffix(listed, "[]") {
				return false
			}
		}
	}
	return true
}
