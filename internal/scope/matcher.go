package scope

import (
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// matcher is a compiled [Matcher] of a text.
type matcher struct {
	set    *matcher
	checks []func(string) bool
	// values are the only ones that can pass; nil: not known.
	values map[string]struct{}
	// fold: letter case is not compared, the lower-case spelling is judged and
	// forwarded. True as well where only the set folds, since one text is
	// forwarded and all parts have to match that one.
	fold                          bool
	required, forbidden, repeated bool
}

// match reports whether s passes. It uses r for memory alone.
func (m *matcher) match(s string, r *Request) bool { return m.holds(r.spelled(s, m.fold)) }

func (m *matcher) holds(s string) bool {
	if m.set != nil && !m.set.holds(s) {
		return false
	}
	for _, check := range m.checks {
		if !check(s) {
			return false
		}
	}
	return true
}

// matcherCompiler compiles one matcher, whose field is the given one, and
// notes what is wrong with it.
type matcherCompiler struct {
	spec  *Matcher
	field string
	fold  bool
	typ   Type
	out   *matcher
	*problems
}

// compileMatcher compiles m for text. With fold, letter case is not compared,
// whatever m says.
func compileMatcher(m *Matcher, field string, fold bool, p *problems) *matcher {
	c := &matcherCompiler{spec: m, field: field, fold: fold || m.FoldASCII, typ: m.TextType(), problems: p}
	c.out = &matcher{fold: c.fold, required: m.Required, forbidden: m.Forbidden, repeated: m.Repeated}
	c.check()
	c.set(fold)
	c.typed()
	c.exact()
	c.globs()
	c.pattern()
	c.lengths()
	c.kind()
	return c.out
}

// TextType returns the type that m has or that its bounds imply.
func (m *Matcher) TextType() Type {
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
	}
	return String
}

func (c *matcherCompiler) refuse(key, value, msg string) {
	field := c.field
	if key != "" {
		field += "." + key
	}
	c.add(field, value, msg)
}

// check refuses what bounds nothing and what contradicts itself.
func (c *matcherCompiler) check() {
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
func (c *matcherCompiler) checkType() {
	m := c.spec
	if m.ranges() && c.typ != Integer && c.typ != Number {
		c.refuse("type", string(c.typ), "remove min and max, or set type to Integer or Number")
	}
	textual := m.shapes() || len(m.Except) > 0 || m.FoldASCII
	if textual && c.typ != String && c.typ != Any {
		c.refuse("type", string(c.typ), "remove glob, pattern, lengths, except, kind and fold, or set type to String: they are about text")
	}
}

// bounds reports whether m has a key that says something of the value. A hole
// alone does not: what it leaves would be everything else.
func (m *Matcher) bounds() bool {
	return m.Set != nil || m.Equals != nil || len(m.In) > 0 || m.Type != "" || m.MaxItems != nil ||
		m.shapes() || m.ranges()
}

// shapes reports whether m has a key that bounds the shape of text.
func (m *Matcher) shapes() bool {
	return m.Glob != nil || m.Pattern != nil || m.MinLength != nil || m.MaxLength != nil || m.Kind != ""
}

// ranges reports whether m has a key that bounds a number.
func (m *Matcher) ranges() bool { return m.Min != nil || m.Max != nil }

func (c *matcherCompiler) must(check func(string) bool) { c.out.checks = append(c.out.checks, check) }

func (c *matcherCompiler) set(fold bool) {
	s := c.spec.Set
	if s == nil {
		return
	}
	if s.Set != nil || s.Required || s.Forbidden || s.Repeated {
		c.refuse("set", "", "remove set, required, forbidden and repeated from the set: they belong to what names it")
		return
	}
	c.out.set = compileMatcher(s, c.field+".set", fold, c.problems)
	c.out.fold = c.out.fold || c.out.set.fold
	c.out.values = c.out.set.values
}

// typed adds the check of the type.
func (c *matcherCompiler) typed() {
	switch c.typ {
	case String, Any:
	case Integer:
		c.must(c.number(text.ParseInteger))
	case Number:
		c.must(c.number(text.ParseDecimal))
	case Boolean:
		c.must(isBoolean)
	case Object, Array:
		c.refuse("type", string(c.typ), "set another type: text of a path, query or header is neither Object nor Array")
	default:
		c.refuse("type", string(c.typ), "set type to String, Integer, Number, Boolean, Object, Array or Any")
	}
}

func isBoolean(s string) bool { return s == "true" || s == "false" }

// exact adds the checks of equals and in.
func (c *matcherCompiler) exact() {
	if want := c.spec.Equals; want != nil {
		c.must(c.oneOf("equals", []string{*want}))
	}
	if len(c.spec.In) > 0 {
		c.must(c.oneOf("in", c.spec.In))
	}
}

func (c *matcherCompiler) oneOf(key string, values []string) func(string) bool {
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		c.canonical(key, v)
		set[c.spelling(v)] = struct{}{}
	}
	one := func(s string) bool { _, ok := set[s]; return ok }
	if c.typ != Number {
		c.out.values = set
		return one
	}
	return func(s string) bool { // 1.0 is 1; zeros at a fraction's end are the only other spelling
		if strings.Contains(s, ".") {
			s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
		}
		return one(s)
	}
}

// canonical refuses values that the type does not have, and other spellings of
// those that it has.
func (c *matcherCompiler) canonical(key, v string) {
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
func (c *matcherCompiler) spelling(v string) string {
	if c.fold {
		return text.Lower(v)
	}
	return v
}

func (c *matcherCompiler) globs() {
	if c.spec.Glob != nil {
		c.must(c.glob("glob", *c.spec.Glob))
	}
	for _, except := range c.spec.Except {
		hole := c.glob("except", except)
		c.must(func(s string) bool { return !hole(s) })
	}
}

func (c *matcherCompiler) glob(key, pattern string) func(string) bool {
	g, err := text.CompileGlob(c.spelling(pattern))
	if err != nil {
		c.refuse(key, pattern, err.Error())
		return func(string) bool { return false }
	}
	return g.Match
}

func (c *matcherCompiler) pattern() {
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
func (c *matcherCompiler) number(parse func(string) (text.Decimal, bool)) func(string) bool {
	least, atLeast := c.decimal("min", c.spec.Min)
	greatest, atMost := c.decimal("max", c.spec.Max)
	if atLeast && atMost && least.Compare(greatest) > 0 {
		c.refuse("min", *c.spec.Min, "let min be at most max")
	}
	return func(s string) bool {
		d, ok := parse(s)
		return ok && (!atLeast || d.Compare(least) >= 0) && (!atMost || d.Compare(greatest) <= 0)
	}
}

func (c *matcherCompiler) decimal(key string, s *string) (text.Decimal, bool) {
	if s == nil {
		return text.Decimal{}, false
	}
	d, ok := text.ParseDecimal(*s)
	if !ok {
		c.refuse(key, *s, "write a decimal without exponent")
	}
	return d, ok
}

func (c *matcherCompiler) lengths() {
	if n := c.spec.MinLength; n != nil {
		c.must(func(s string) bool { return utf8.RuneCountInString(s) >= *n })
	}
	if n := c.spec.MaxLength; n != nil {
		c.must(func(s string) bool { return utf8.RuneCountInString(s) <= *n })
	}
}

func (c *matcherCompiler) kind() {
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

func (c *matcherCompiler) path() {
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
