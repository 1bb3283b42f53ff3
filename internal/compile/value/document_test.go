package value

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

func ptr[T any](v T) *T { return &v }

// judge is what runs beside the agent, for one set of fields.
type judge struct{ policy *scope.Policy }

func newJudge(fields map[string]scope.Matcher, unlisted bool) (judge, error) {
	p, err := scope.Compile(scope.Profile{}, []scope.Grant{{
		Name: "g", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, Fields: fields, UnlistedAllow: unlisted},
	}}, nil)
	return judge{p}, err
}

func (j judge) takes(text string) bool {
	h := scope.Head{Method: "POST", Target: "/", HasBody: true, Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}}
	var r scope.Request
	return r.Parse(&h, nil) == nil && j.policy.Decide(&r).Verdict == scope.Undecided &&
		j.policy.DecideBody(&r, scope.Content{Data: []byte(text), Whole: true}).Verdict == scope.Allow
}

type spec struct {
	fields   map[string]scope.Matcher
	unlisted bool
}

func (s spec) String() string {
	text, _ := json.Marshal(s.fields)
	return fmt.Sprintf("%s unlisted: %t", text, s.unlisted)
}

// random makes fields that the judge takes.
func random(r *rand.Rand) (spec, judge) {
	paths := []string{"a", "a", "b", "a.b", "a.c", "b[]", "b[].x", "a[]", "[]", "[].x", "a.b.c", "c", "c[][]"}
	for {
		s := spec{map[string]scope.Matcher{}, r.IntN(3) == 0}
		for range r.IntN(4) {
			s.fields[paths[r.IntN(len(paths))]] = matcher(r)
		}
		if j, err := newJudge(s.fields, s.unlisted); err == nil {
			return s, j
		}
	}
}

func matcher(r *rand.Rand) scope.Matcher {
	var m scope.Matcher
	switch r.IntN(9) {
	case 0:
		m.Equals = ptr([]string{"x", "1", "true", "X"}[r.IntN(4)])
	case 1:
		m.In = []string{"x", "y", "1"}[:1+r.IntN(3)]
	case 2:
		m.Min, m.Max = ptr(fmt.Sprint(r.IntN(3))), ptr(fmt.Sprint(3+r.IntN(3)))
	case 3:
		m.Type = []scope.Type{scope.String, scope.Integer, scope.Number, scope.Boolean, scope.Object, scope.Array, scope.Any, scope.Any}[r.IntN(8)]
	case 4:
		m.MaxItems = ptr(r.IntN(3))
	case 5:
		m.Glob = ptr([]string{"*", "x*", "**"}[r.IntN(3)])
	case 6:
		m.Type, m.In = scope.Any, []string{"1", "true", "x"}
	case 7:
		m.MaxLength = ptr(r.IntN(3))
	default:
		set := matcher(r)
		if set.Set == nil && !set.Required && !set.Forbidden {
			m.Set = &set
		}
	}
	if m.ValueType() == scope.String && r.IntN(4) == 0 {
		m.FoldASCII = true
	}
	switch r.IntN(6) {
	case 0:
		m.Required = true
	case 1:
		m.Forbidden = true
	}
	return m
}

// documents are texts of a small world, and every one of them at some places.
var documents = func() []string {
	leaves := []string{`null`, `true`, `false`, `1`, `1.0`, `2`, `5`, `1e3`, `"x"`, `"X"`, `"xy"`, `"1"`, `""`, `"x\u0000"`, `{}`, `[]`, `[1]`, `["x","y"]`, `[[1]]`, `[{}]`, `[{"x": "x"}]`, `{"b": "x"}`, `{"b": {"c": 1}}`, `{"c": 1, "d": 2}`}
	out := append([]string{}, leaves...)
	for _, key := range []string{"a", "b", "c", "A", "z", "\u212a"} {
		for _, l := range leaves {
			out = append(out, fmt.Sprintf(`{%q: %s}`, key, l), fmt.Sprintf(`{"a": "x", %q: %s}`, key+"0", l), fmt.Sprintf(`[{"x": 1}, {%q: %s}]`, "x", l))
		}
	}
	for i, l := range leaves {
		out = append(out, fmt.Sprintf(`{"a": %s, "b": %s, "c": %s}`, l, leaves[(i*7+3)%len(leaves)], leaves[(i*5+1)%len(leaves)]))
	}
	return out
}()

// TestDocumentsAgainstTheJudge holds what fields have in common, and what they
// have not, to what the judge says of a small world, and asks the judge of every
// document that is shown.
func TestDocumentsAgainstTheJudge(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		a, ja := random(r)
		b, jb := random(r)
		if r.IntN(3) == 0 {
			b = spec{a.fields, !a.unlisted}
			var err error
			if jb, err = newJudge(b.fields, b.unlisted); err != nil {
				t.Fatal(err)
			}
		}
		s := NewSpace(lang.NewWork(1 << 20))
		da, _ := s.Fields(a.fields, a.unlisted)
		db, _ := s.Fields(b.fields, b.unlisted)
		both, onlyA := s.AndDocument(da, db), s.MinusDocument(da, db)
		again := s.AndDocument(onlyA, db)
		twice := s.MinusDocument(s.MinusDocument(Anything(), da), db)
		if s.Exceeded() {
			counts["unknown"]++
			continue
		}
		var inA, inB []bool // of the small world
		for _, text := range documents {
			inA, inB = append(inA, ja.takes(text)), append(inB, jb.takes(text))
		}
		for what, set := range map[string]struct {
			d    Document
			want func(a, b bool) bool
		}{
			"a":                        {da, func(a, _ bool) bool { return a }},
			"a and b":                  {both, func(a, b bool) bool { return a && b }},
			"a minus b":                {onlyA, func(a, b bool) bool { return a && !b }},
			"a minus b, and b":         {again, func(bool, bool) bool { return false }},
			"all but a, and all but b": {twice, func(a, b bool) bool { return !a && !b }},
		} {
			text, found := s.ShowDocument(set.d)
			if found && !set.want(ja.takes(text), jb.takes(text)) {
				t.Fatalf("seed %d: %s is not in %s\na %v\nb %v", seed, text, what, a, b)
			}
			counts[what+fmt.Sprintf(" %t", found)]++
			for i, other := range documents {
				if !found && set.want(inA[i], inB[i]) {
					t.Fatalf("seed %d: nothing is in %s, but %s is\na %v\nb %v", seed, what, other, a, b)
				}
			}
		}
	}
	t.Log(counts)
	if counts["unknown"] > 40 || counts["a minus b false"] < 200 || counts["a and b false"] < 200 {
		t.Error("too few to tell, or too many unknown")
	}
}

// TestDocuments has fields beside each other, as a reviewer reads them.
func TestDocuments(t *testing.T) {
	for name, test := range map[string]struct {
		why  string
		a, b map[string]scope.Matcher
		want string // a document of a that is none of b
	}{
		"a field more":      {"it is not listed", map[string]scope.Matcher{"title": {Type: scope.String}, "body": {Type: scope.String}}, map[string]scope.Matcher{"title": {Type: scope.String}}, `{"body": ""}`},
		"a field less":      {"none has to be there", map[string]scope.Matcher{"title": {Type: scope.String}}, map[string]scope.Matcher{"title": {Type: scope.String}, "body": {Type: scope.String}}, ""},
		"required":          {"it may be missing", map[string]scope.Matcher{"model": {Equals: ptr("small")}}, map[string]scope.Matcher{"model": {Equals: ptr("small"), Required: true}}, `{}`},
		"a value less":      {"it has another", map[string]scope.Matcher{"model": {In: []string{"large", "small"}}}, map[string]scope.Matcher{"model": {Equals: ptr("small")}}, `{"model": "large"}`},
		"in every element":  {"one may lack it", map[string]scope.Matcher{"m[].role": {In: []string{"user"}}}, map[string]scope.Matcher{"m[].role": {In: []string{"user"}, Required: true}}, `{"m": [{}]}`},
		"elements":          {"one more", map[string]scope.Matcher{"m": {MaxItems: ptr(3)}, "m[]": {Type: scope.Integer}}, map[string]scope.Matcher{"m": {MaxItems: ptr(2)}, "m[]": {Type: scope.Integer}}, `{"m": [0, 0, 0]}`},
		"a number's bounds": {"it may be greater", map[string]scope.Matcher{"n": {Max: ptr("10"), Min: ptr("1")}}, map[string]scope.Matcher{"n": {Max: ptr("9"), Min: ptr("1")}}, `{"n": 10}`},
		"any":               {"it may be an object", map[string]scope.Matcher{"n": {Type: scope.Any}}, map[string]scope.Matcher{"n": {Type: scope.Any}, "n.x": {Type: scope.Any}}, `{"n": {"": null}}`},
		"any and parts":     {"its scalars and its one member", map[string]scope.Matcher{"n": {Type: scope.Any}, "n.x": {Type: scope.Any}}, map[string]scope.Matcher{"n": {Type: scope.Any}}, ""},
		"a long text":       {"it may be longer", map[string]scope.Matcher{"n": {MaxLength: ptr(1 << 20)}}, map[string]scope.Matcher{"n": {MaxLength: ptr(1 << 24)}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSpace(lang.NewWork(1 << 20))
			a, _ := s.Fields(test.a, false)
			b, _ := s.Fields(test.b, false)
			text, found := s.ShowDocument(s.MinusDocument(a, b))
			if text != test.want || found != (test.want != "") || s.Exceeded() {
				t.Errorf("%s: got %s, want %s", test.why, text, test.want)
			}
			if s.WithinDocument(a, b) == found {
				t.Error("WithinDocument says otherwise")
			}
		})
	}
}

// TestUnlisted: what is admitted unlisted is no second spelling of a key that
// is listed.
func TestUnlisted(t *testing.T) {
	s := NewSpace(lang.NewWork(1 << 20))
	listed := map[string]scope.Matcher{"ok": {Equals: ptr("a")}}
	open, _ := s.Fields(listed, true)
	text, found := s.ShowDocument(s.AndDocument(open, Document{objects: []object{{others: s.SameKeys("ok"), some: []*lang.Set{s.Minus(s.SameKeys("ok"), s.Words("ok"))}}}}))
	if found {
		t.Errorf("%s has a second spelling", text)
	}
	if text, found := s.ShowDocument(s.MinusDocument(Anything(), open)); !found || strings.Contains(text, `"ok": "a"`) {
		t.Errorf("%s is all that is refused", text)
	}
}
