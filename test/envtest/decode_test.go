package envtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"
)

// TestAcceptedDecodes changes manifests at random, by the schema and against
// it, and decodes whatever the API server accepts. One accepted object that
// does not decode would stop every watch of its kind.
func TestAcceptedDecodes(t *testing.T) {
	const rounds, seed = 600, 20260801
	r := rand.New(rand.NewPCG(seed, rounds))
	objects := full(t)
	names := sorted(objects)
	schemas := map[string]*schema{}
	for kind := range resources {
		schemas[kind] = schemaOf(t, kind, "spec")
	}
	accepted := 0
	for range rounds {
		m := objects[names[r.IntN(len(names))]]
		all := places("/spec", "", schemas[m.kind()], m["spec"])
		p := all[r.IntN(len(all))]
		changed := m.with(t, p.pointer, value(r, p.schema, 0))
		if stored, err := try(t, changed); err == nil {
			accepted++
			decode(t, m.kind(), stored)
		}
		if t.Failed() {
			t.Fatalf("after setting %s of %s to\n%s", p.pointer, m.name(), at(map[string]any(changed), strings.Split(p.pointer[1:], "/")))
		}
	}
	t.Logf("accepted %d of %d", accepted, rounds)
	if accepted < rounds/4 {
		t.Errorf("the API server accepted %d of %d objects: too few to say much", accepted, rounds)
	}
}

// TestOddValuesDecode puts values that readers disagree about at every place.
func TestOddValuesDecode(t *testing.T) {
	accepted, seen := map[string]int{}, map[string]bool{}
	everyPlace(t, func(t *testing.T, m manifest, p place) {
		shape := p.path[strings.LastIndexByte(p.path, '.'):] + p.schema.String()
		if p.schema.Properties != nil || p.schema.AdditionalProperties != nil || seen[shape] {
			return // a matcher's keys are the same everywhere
		}
		seen[shape] = true
		for _, odd := range odds(p.schema) {
			if stored, err := try(t, m.with(t, p.pointer, odd)); err == nil {
				accepted[odd]++
				decode(t, m.kind(), stored)
			}
			if t.Failed() {
				t.Fatalf("after setting %s to %s", p.pointer, odd)
			}
		}
	})
	t.Logf("accepted somewhere: %v", accepted)
}

// odds are values that somebody might take for what s wants.
func odds(s *schema) []string {
	numbers := []string{`null`, `1.0`, `1e2`, `1E+2`, `-0`, `-0.0`, `9007199254740993`, `9223372036854775808`, `1e19`, `1e400`, `0.5`, `true`, `"1"`}
	switch {
	case s.XIntOrString:
		return append(numbers, `"1e3"`, `"+1"`, `"01"`, `"-0"`, `"1."`, `".5"`, `"٣"`, `"NaN"`, `"1 "`, `""`)
	case s.Type == "integer":
		return numbers
	case s.Format == "date-time":
		return []string{
			`null`, `"2026-12-31t00:00:00z"`, `"2026-12-31T00:00:00z"`, `"2026-12-31T24:00:00Z"`, `"2026-12-31T23:59:60Z"`, `"2026-02-30T00:00:00Z"`,
			`"2026-12-31T00:00:00+24:00"`, `"2026-12-31T00:00:00+23:59"`, `"2026-12-31T00:00:00"`, `"2026-12-31 00:00:00Z"`, `"2026-12-31T00:00:00,5Z"`,
			`"2026-12-31T00:00:00.123456789Z"`, `"2999-12-31T23:59:59-23:59"`, `"0000-01-01T00:00:00+01:00"`, `"9999-12-31T23:59:59-01:00"`, `"2026-12-31"`, `1798675200`,
		}
	case strings.Contains(s.Pattern, "(ms|s|m|h)"):
		return []string{
			`null`, `"0"`, `"1d"`, `"1w"`, `"1"`, `"10 m"`, `"-1m"`, `"+1m"`, `"1M"`, `"PT10M"`, `"1.5m"`, `".5m"`, `"1.m"`, `"1,5m"`, `"1e2s"`, `"1h1h"`, `"1µs"`, `"60000ms"`,
			`"99999h99999h99999h99999h99999h"`, `"0.000000001h"`, `"1m\n"`, `"٣m"`, `600`,
		}
	case s.Type == "string":
		return []string{`null`, `""`, `"\u0000"`, `"\ud800"`, `"é"`, `"\u2028"`, `7`}
	case s.Type == "array":
		return []string{`null`, `[null]`, `[]`, `{}`, `[[]]`}
	}
	return []string{`null`, `"true"`, `0`, `1`}
}

// value makes JSON of a schema: mostly as it wants, at times otherwise.
func value(r *rand.Rand, s *schema, depth int) string {
	if r.IntN(40) == 0 {
		some := odds(s)
		return some[r.IntN(len(some))]
	}
	switch {
	case s.XIntOrString && r.IntN(2) == 0:
		return strconv.FormatInt(int64(r.Uint64()), 10)
	case len(s.Enum) > 0:
		return string(s.Enum[r.IntN(len(s.Enum))].Raw)
	case s.Type == "integer":
		low, high := int64(*s.Minimum), int64(*s.Maximum)
		return strconv.FormatInt([]int64{low, high, low + r.Int64N(high-low+1)}[r.IntN(3)], 10)
	case s.Type == "boolean":
		return strconv.FormatBool(r.IntN(2) == 0)
	case s.Type == "array":
		return "[" + strings.Join(items(r, s, depth), ",") + "]"
	case s.Type == "object":
		return "{" + strings.Join(members(r, s, depth), ",") + "}"
	}
	return quote(text(r, s))
}

func items(r *rand.Rand, s *schema, depth int) []string {
	least := 0
	if s.MinItems != nil {
		least = int(*s.MinItems)
	}
	made := make([]string, least+r.IntN(3))
	for i := range made {
		made[i] = value(r, s.Items.Schema, depth+1)
	}
	return made
}

func members(r *rand.Rand, s *schema, depth int) []string {
	var made []string
	if s.AdditionalProperties != nil {
		for i := range r.IntN(3) {
			made = append(made, fmt.Sprintf(`"k%d":%s`, i, value(r, s.AdditionalProperties.Schema, depth+1)))
		}
	}
	one := union(r, s)
	for _, name := range sorted(s.Properties) {
		child := s.Properties[name]
		if required(s, name) || name == one || one == "" && r.IntN(2+depth) == 0 {
			made = append(made, quote(name)+":"+value(r, &child, depth+1))
		}
	}
	return made
}

func required(s *schema, name string) bool {
	for _, other := range s.Required {
		if other == name {
			return true
		}
	}
	return false
}

// union picks a field where exactly one has to be set.
func union(r *rand.Rand, s *schema) string {
	for _, v := range s.XValidations {
		if _, list, found := strings.Cut(v.Message, "set exactly one of "); found {
			names := strings.Fields(strings.NewReplacer(",", "", " or ", " ").Replace(list))
			return names[r.IntN(len(names))]
		}
	}
	return ""
}

func text(r *rand.Rand, s *schema) string {
	if s.Pattern == "" {
		return strings.Repeat(string([]rune("aé{\\/ \"\n😀")[r.IntN(9)]), r.IntN(4)+1)
	}
	parsed, err := syntax.Parse(s.Pattern, syntax.Perl)
	if err != nil {
		panic("the schema has the pattern " + s.Pattern + ": " + err.Error())
	}
	var b strings.Builder
	match(r, &b, parsed.Simplify())
	return b.String()
}

// match writes a text that the expression matches.
func match(r *rand.Rand, b *strings.Builder, re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		i := r.IntN(len(re.Rune)/2) * 2
		b.WriteRune(re.Rune[i] + rune(r.IntN(int(re.Rune[i+1]-re.Rune[i])+1)))
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range re.Sub {
			match(r, b, sub)
		}
	case syntax.OpAlternate:
		match(r, b, re.Sub[r.IntN(len(re.Sub))])
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n := r.IntN(2)
		if re.Op == syntax.OpPlus {
			n++
		}
		for range n {
			match(r, b, re.Sub[0])
		}
	}
}

func quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
