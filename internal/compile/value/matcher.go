package value

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// reader reads one matcher as the judge compiles it.
type reader struct {
	*Space
	m    *scope.Matcher
	fold bool // its own values are compared in lower case
	set  *lang.Set
}

func (r *reader) read(p Place, fold bool) Judged {
	out := Judged{Most: -1, Fold: r.fold}
	if n := r.m.MinLength; n != nil {
		out.Least = max(*n, 0)
	}
	if n := r.m.MaxLength; n != nil {
		out.Most = max(*n, 0)
	}
	r.typed()
	r.exact()
	r.shaped()
	r.kind()
	out.Set = r.set
	if r.m.Set != nil {
		named := r.Matcher(r.m.Set, Spell(r.m.Set), p, fold)
		out.Set = r.And(out.Set, named.Set)
		out.Least = max(out.Least, named.Least)
		if out.Most < 0 || named.Most >= 0 && named.Most < out.Most {
			out.Most = named.Most
		}
		out.Fold = out.Fold || named.Fold
	}
	return out
}

// must leaves what is also in set.
func (r *reader) must(set *lang.Set) { r.set = r.And(r.set, set) }

func (r *reader) typed() {
	switch r.m.ValueType() {
	case scope.Integer:
		r.must(r.Integers(r.bounds()))
	case scope.Number:
		r.must(r.Decimals(r.bounds()))
	case scope.Boolean:
		r.must(r.Words("true", "false"))
	case scope.String, scope.Any:
	default:
		r.set = &lang.Set{} // no text is an Object or an Array
	}
}

func (r *reader) bounds() lang.Bounds {
	return lang.Bounds{Least: r.decimal(r.m.Min), Greatest: r.decimal(r.m.Max)}
}

func (r *reader) decimal(s *string) *text.Decimal {
	if s == nil {
		return nil
	}
	d, ok := text.ParseDecimal(*s)
	if !ok {
		r.Exceed() // the judge refuses it
	}
	return &d
}

func (r *reader) exact() {
	var lists [][]string
	if r.m.Equals != nil {
		lists = append(lists, []string{*r.m.Equals})
	}
	if len(r.m.In) > 0 {
		lists = append(lists, r.m.In)
	}
	for _, list := range lists {
		if r.m.ValueType() == scope.Number {
			r.must(r.SameDecimals(list...))
			continue
		}
		spelled := make([]string, len(list))
		for i, v := range list {
			spelled[i] = r.spelling(v)
		}
		r.must(r.Words(spelled...))
	}
}

func (r *reader) spelling(v string) string {
	if r.fold {
		return text.Lower(v)
	}
	return v
}

func (r *reader) shaped() {
	if r.m.Glob != nil {
		r.must(r.Glob(r.spelling(*r.m.Glob)))
	}
	if r.m.Pattern != nil {
		r.must(r.Pattern(*r.m.Pattern))
	}
	for _, hole := range r.m.Except {
		r.set = r.Minus(r.set, r.Glob(r.spelling(hole)))
	}
}

func (r *reader) kind() {
	switch r.m.Kind {
	case "":
	case scope.Path:
		r.must(lang.Paths())
		if r.m.Under != "" {
			r.must(r.Under(strings.TrimSuffix(r.spelling(r.m.Under), "/") + "/"))
		}
	case scope.Ref:
		r.must(lang.Refs())
	case scope.GitOID:
		r.must(lang.GitOIDs())
	case scope.DateTime:
		r.must(lang.DateTimes())
	case scope.UUID:
		r.must(lang.UUIDs())
	default:
		r.Exceed() // the judge refuses it
	}
}
