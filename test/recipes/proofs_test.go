package recipes

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestNothingIsUnknown: no scope of this repository is too much for the proofs.
// Each is compared with itself in other words and with itself less one grant;
// a comparison that came to no end would be unknown.
func TestNothingIsUnknown(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := filepath.Glob("../corpus/scopes/*.yaml")
	if err != nil || len(shared) < 12 {
		t.Fatalf("%d shared scopes: %v", len(shared), err)
	}
	compared := 0
	for _, file := range append(files, shared...) {
		for _, c := range read(t, file) {
			if c.err != nil {
				t.Logf("%s is not accepted: %v", file, c.err) // the corpus holds the list of what is left out
				continue
			}
			s := prove.ScopeOf(&c.Credential)
			s.Grants = slices.DeleteFunc(slices.Clone(s.Grants), func(g scope.Grant) bool { return g.HTTP == nil })
			compare(t, file, s)
			compared++
		}
	}
	if compared < len(files)+6 {
		t.Errorf("%d scopes were compared", compared)
	}
}

func compare(t *testing.T, file string, s prove.Scope) {
	t.Helper()
	other := s
	other.Grants = nil
	for _, g := range s.Grants {
		other.Grants = append(other.Grants, reworded(t, g))
	}
	for _, pair := range [][2]prove.Scope{{s, other}, {other, s}} {
		if d := prove.Diff(pair[0], pair[1]); d.Verdict != prove.Same {
			t.Errorf("%s: in other words it is %s: %v", file, d.Verdict, d.Unknown)
		}
	}
	for i := range s.Grants {
		less := s
		less.Grants = slices.Delete(slices.Clone(s.Grants), i, i+1)
		d := prove.Diff(other, less)
		if d.Verdict != prove.Narrowed && d.Verdict != prove.Same {
			t.Errorf("%s: without %s it is %s: %v", file, s.Grants[i].Name, d.Verdict, d.Unknown)
		}
	}
}

// reworded says the same as g: its lists are in another order, and where a
// matcher says nothing of length it says that any length will do.
func reworded(t *testing.T, g scope.Grant) scope.Grant {
	t.Helper()
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var out scope.Grant
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	out.HTTP.Methods = append(out.HTTP.Methods, out.HTTP.Methods[0])
	slices.Reverse(out.HTTP.Paths)
	for _, all := range []map[string]scope.Matcher{out.Where, out.Query.Params, out.Headers} {
		for _, name := range slices.Collect(maps.Keys(all)) {
			m := all[name]
			slices.Reverse(m.In)
			if m.Set == nil && m.ValueType() == scope.String && !m.Forbidden && m.MinLength == nil {
				m.MinLength = new(0)
			}
			all[name] = m
		}
	}
	if out.Response != nil {
		slices.Reverse(out.Response.Keep)
	}
	return out
}
