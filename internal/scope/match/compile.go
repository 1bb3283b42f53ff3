package match

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// compiler compiles one matcher, whose field is the given one, and reports
// what is wrong with it.
type compiler struct {
	spec   *Matcher
	field  string
	fold   bool
	typ    Type
	out    *Text
	report Report
}

// CompileText compiles m for text. With fold, letter case is not compared,
// whatever m says.
func CompileText(m *Matcher, field string, fold bool, report Report) *Text {
	c := newCompiler(m, field, fold, report)
	own := m.Set == nil || m.Type != "" || m.MaxItems != nil // or the set is complained about
	if own && (c.typ == Object || c.typ == Array) {
		c.refuse("type", string(c.typ), "set another type: text of a path, query, header or form is neither Object nor Array")
	}
	c.all(func(set *Matcher, field string) *Text { return CompileText(set, field, fold, report) })
	return c.out
}

// CompileValue compiles m for a place of a document.
func CompileValue(m *Matcher, field string, report Report) *Value {
	c := newCompiler(m, field, false, report)
	out := &Value{kinds: kindsOfType[c.typ], MaxItems: -1}
	if m.MaxItems != nil {
		out.MaxItems = *m.MaxItems
	}
	c.all(func(set *Matcher, field string) *Text {
		inner := CompileValue(set, field, report)
		out.kinds &= inner.kinds
		if inner.MaxItems >= 0 && (out.MaxItems < 0 || inner.MaxItems < out.MaxItems) {
			out.MaxItems = inner.MaxItems
		}
		return &inner.Text
	})
	out.Text = *c.out
	if !out.Text.Unbounded() {
		out.kinds &^= kindsOf(json.Array, json.Object) // they have no text that could match
	}
	if out.kinds == 0 {
		c.refuse("type", string(c.typ), "set the type that the set has: no value has both")
	}
	return out
}

// kindsOfType are the kinds of JSON values that a type has.
var kindsOfType = map[Type]kinds{
	String:  kindsOf(json.String),
	Integer: kindsOf(json.Number),
	Number:  kindsOf(json.Number),
	Boolean: kindsOf(json.Boolean),
	Object:  kindsOf(json.Object),
	Array:   kindsOf(json.Array),
	Any:     kindsOf(json.Null, json.Boolean, json.Number, json.String, json.Array, json.Object),
}

func newCompiler(m *Matcher, field string, fold bool, report Report) *compiler {
	c := &compiler{spec: m, field: field, fold: fold || m.FoldASCII, typ: m.ValueType(), report: report}
	c.out = &Text{Fold: c.fold, Required: m.Required, Forbidden: m.Forbidden, Repeated: m.Repeated}
	return c
}

// all compiles every key; the set's matcher by compileSet.
func (c *compiler) all(compileSet func(set *Matcher, field string) *Text) {
	c.check()
	c.set(compileSet)
	c.typed()
	c.exact()
	c.globs()
	c.pattern()
	c.lengths()
	c.kind()
}

// ValueType returns the type that m has, that its bounds imply, or that its
// set has.
func (m *Matcher) ValueType() Type {
	fractional := func(s *string) bool { return s != nil && strings.Contains(*s, ".") }
	switch {
	case m.Type != "":
		return m.Type
	case m.MaxItems != nil:
		return Array
	case fractional(m.Min) || fractional(m.Max):
		return Number
	case m.Min != nil || m.Max != nil:
		return Integer
	case m.Set != nil:
		return m.Set.ValueType()
	}
	return String
}

func (c *compiler) refuse(key, value, msg string) {
	field := c.field
	if key != "" {
		field += "." + key
	}
	c.report(field, value, msg)
}

// check refuses what bounds nothing and what contradicts itself.
func (c *compiler) check() {
	m := c.spec
	switch {
	case m.Forbidden && m.Required:
		c.refuse("forbidden", "", "remove required or forbidden: nothing can be both")
	case !m.Forbidden && !m.bounds():
		c.refuse("", "", "bound the value: any text is type: String")
	}
	if m.Under != "" && m.Kind != Path {
		c.refuse("under", m.Under, "set kind: Path with it")
	}
	c.checkType()
}

// checkType refuses keys that say nothing of values of the type.
func (c *compiler) checkType() {
	m := c.spec
	for _, rule := range []struct {
		given bool
		types []Type
		msg   string
	}{
		{m.ranges(), []Type{Integer, Number}, "remove min and max, or set type to Integer or Number"},
		{m.shapes() || len(m.Except) > 0 || m.FoldASCII, []Type{String, Any}, "remove glob, pattern, lengths, except, kind and fold, or set type to String: they are about text"},
		{m.exact(), []Type{String, Integer, Number, Boolean, Any}, "remove equals and in, or set another type: no text is an Object or Array"},
		{m.MaxItems != nil, []Type{Array}, "remove maxItems, or set type to Array"},
	} {
		if rule.given && !slices.Contains(rule.types, c.typ) {
			c.refuse("type", string(c.typ), rule.msg)
		}
	}
}

// bounds reports whether m has a key that says something of the value. A hole
// alone does not: what it leaves would be everything else.
func (m *Matcher) bounds() bool {
	return m.Set != nil || m.exact() || m.Type != "" || m.MaxItems != nil || m.shapes() || m.ranges()
}

// exact reports whether m has a key that lists values.
func (m *Matcher) exact() bool { return m.Equals != nil || len(m.In) > 0 }

// shapes reports whether m has a key that bounds the shape of text.
func (m *Matcher) shapes() bool {
	return m.Glob != nil || m.Pattern != nil || m.MinLength != nil || m.MaxLength != nil || m.Kind != ""
}

// ranges reports whether m has a key that bounds a number.
func (m *Matcher) ranges() bool { return m.Min != nil || m.Max != nil }

func (c *compiler) must(check func(string) bool) { c.out.checks = append(c.out.checks, check) }

func (c *compiler) set(compileSet func(set *Matcher, field string) *Text) {
	s := c.spec.Set
	if s == nil {
		return
	}
	if s.Set != nil || s.Required || s.Forbidden || s.Repeated {
		c.refuse("set", "", "remove set, required, forbidden and repeated from the set: they belong to what names it")
		return
	}
	c.out.set = compileSet(s, c.field+".set")
	c.out.Fold = c.out.Fold || c.out.set.Fold
	c.out.Values = c.out.set.Values
}

// typed adds the check of the type.
func (c *compiler) typed() {
	switch c.typ {
	case String, Any, Object, Array:
	case Integer:
		c.must(c.number(text.ParseInteger))
	case Number:
		c.must(c.number(text.ParseDecimal))
	case Boolean:
		c.must(isBoolean)
	default:
		c.refuse("type", string(c.typ), "set type to String, Integer, Number, Boolean, Object, Array or Any")
	}
}

func isBoolean(s string) bool { return s == "true" || s == "false" }

// exact adds the checks of equals and in.
func (c *compiler) exact() {
	if want := c.spec.Equals; want != nil {
		c.must(c.oneOf("equals", []string{*want}))
	}
	if len(c.spec.In) > 0 {
		c.must(c.oneOf("in", c.spec.In))
	}
}

func (c *compiler) oneOf(key string, values []string) func(string) bool {
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		c.canonical(key, v)
		set[c.spelling(v)] = struct{}{}
	}
	one := among(set)
	if c.typ != Number {
		c.out.Values = set
		return one
	}
	return func(s string) bool { // 1.0 is 1; zeros at a fraction's end are the only other spelling
		if strings.Contains(s, ".") {
			s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
		}
		return one(s)
	}
}

// among returns the check for values, few of which are looked at one by one.
func among(set map[string]struct{}) func(string) bool {
	const few = 4
	if len(set) > few {
		return func(s string) bool { _, ok := set[s]; return ok }
	}
	list := slices.Collect(maps.Keys(set))
	return func(s string) bool { return slices.Contains(list, s) }
}

// canonical refuses values that the type does not have, and other spellings of
// those that it has.
func (c *compiler) canonical(key, v string) {
	d, ok := text.ParseDecimal(v)
	switch c.typ {
	case Integer:
		_, ok = text.ParseInteger(v)
	case Number:
		ok = ok && d.String() == v
	case Boolean:
		ok = isBoolean(v)
	default:
		ok = true
	}
	if !ok {
		c.refuse(key, v, "write the one canonical spelling of a value of type "+string(c.typ))
	}
}

// spelling returns v as it is compared.
func (c *compiler) spelling(v string) string {
	if c.fold {
		return text.Lower(v)
	}
	return v
}

func (c *compiler) globs() {
	if c.spec.Glob != nil {
		c.must(c.glob("glob", *c.spec.Glob))
	}
	for _, except := range c.spec.Except {
		hole := c.glob("except", except)
		c.must(func(s string) bool { return !hole(s) })
	}
}

func (c *compiler) glob(key, pattern string) func(string) bool {
	g, err := text.CompileGlob(c.spelling(pattern))
	if err != nil {
		c.refuse(key, pattern, err.Error())
		return func(string) bool { return false }
	}
	return g.Match
}

func (c *compiler) pattern() {
	if c.spec.Pattern == nil {
		return
	}
	re, err := text.CompilePattern(*c.spec.Pattern, c.fold)
	if err != nil {
		c.refuse("pattern", *c.spec.Pattern, err.Error())
		return
	}
	c.must(re.MatchString)
}

// number returns the check of a numeric type and its bounds.
func (c *compiler) number(parse func(string) (text.Decimal, bool)) func(string) bool {
	least, atLeast := c.decimal("min", c.spec.Min)
	greatest, atMost := c.decimal("max", c.spec.Max)
	if atLeast && atMost && least.Compare(greatest) > 0 {
		c.refuse("min", *c.spec.Min, "let min be at most max")
	}
	return c.small(func(s string) bool {
		d, ok := parse(s)
		return ok && (!atLeast || d.Compare(least) >= 0) && (!atMost || d.Compare(greatest) <= 0)
	})
}

// small puts a quicker check for small integers before one for all numbers.
func (c *compiler) small(check func(string) bool) func(string) bool {
	from, fromSmall := smallBound(c.spec.Min, math.MinInt64)
	to, toSmall := smallBound(c.spec.Max, math.MaxInt64)
	if !fromSmall || !toSmall {
		return check
	}
	return func(s string) bool {
		if n, ok := text.ParseSmall(s); ok {
			return from <= n && n <= to
		}
		return check(s)
	}
}

// smallBound returns a bound that can be compared as a machine's number, the
// given one where there is none.
func smallBound(bound *string, none int64) (n int64, ok bool) {
	if bound == nil {
		return none, true
	}
	return text.ParseSmall(*bound)
}

func (c *compiler) decimal(key string, s *string) (text.Decimal, bool) {
	if s == nil {
		return text.Decimal{}, false
	}
	d, ok := text.ParseDecimal(*s)
	if !ok {
		c.refuse(key, *s, "write a decimal without exponent")
	}
	return d, ok
}

func (c *compiler) lengths() {
	if n := c.spec.MinLength; n != nil {
		c.must(func(s string) bool { return utf8.RuneCountInString(s) >= *n })
	}
	if n := c.spec.MaxLength; n != nil {
		c.must(func(s string) bool { return utf8.RuneCountInString(s) <= *n })
	}
}

func (c *compiler) kind() {
	switch c.spec.Kind {
	case "":
	case Path:
		c.path()
	case Ref:
		c.must(text.IsRef)
	case GitOID:
		c.must(text.IsGitOID)
	case DateTime:
		c.must(text.IsDateTime)
	case UUID:
		c.must(text.IsUUID)
	default:
		c.refuse("kind", string(c.spec.Kind), "set kind to Path, Ref, GitOID, DateTime or UUID")
	}
}

func (c *compiler) path() {
	c.must(text.IsPath)
	if c.spec.Under == "" {
		return
	}
	folder := strings.TrimSuffix(c.spelling(c.spec.Under), "/")
	if !text.IsPath(folder) {
		c.refuse("under", c.spec.Under, "name a folder relative to the root, such as docs/")
	}
	c.must(func(s string) bool { return strings.HasPrefix(s, folder+"/") })
}
