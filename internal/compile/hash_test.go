package compile

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestScopeHash: equal scopes, equal hashes, as far as the author's spelling
// is concerned; another scope, another hash.
func TestScopeHash(t *testing.T) {
	tests := map[string]struct {
		why, from, to string
		same          bool
	}{
		"order of values":     {"a set has no order", "in: [acme/docs]", "in: [acme/docs, acme/docs]", true},
		"name of a set":       {"sets are put in place of their names", "docs", "papers", true},
		"order of paths":      {"a request needs one of them", `"/repos/{repo=*/*}", "/repos/{repo=*/*}/{rest...}"`, `"/repos/{repo=*/*}/{rest...}", "/repos/{repo=*/*}"`, true},
		"order of verbs":      {"the same", "[PUT, DELETE]", "[DELETE, PUT]", true},
		"holders":             {"who holds it is no matter of the scope", "[agent]", "[other]", true},
		"spelling":            {"header names have no letter case", "x-trace", "X-TRACE", true},
		"method":              {"less is another scope", "[PUT, DELETE]", "[PUT]", false},
		"value":               {"so is another value", "page: {min: 1}", "page: {min: 2}", false},
		"required":            {"so is another presence", "page: {min: 1}", "page: {min: 1, required: true}", false},
		"fold":                {"so is another comparison", "in: [open]", "in: [open], fold: ASCII", false},
		"fold of the profile": {"where the profile folds, the matcher need not", ", fold: ASCII", "", true},
		"equals":              {"a list of one", "in: [acme/docs]", "equals: acme/docs", true},
		"pattern":             {"the same values as a pattern", "in: [acme/docs]", "pattern: \"acme/(?:docs|doc[s])\"", true},
		"bounds":              {"a type that was implied", "page: {min: 1}", "page: {type: Integer, min: 1}", true},
		"capture":             {"names of captures say nothing", "{id}", "{number}", true},
		"any segment":         {"what a capture matches without where", "    body: {media: Opaque}", "    where: {id: {type: String}}\n    body: {media: Opaque}", true},
		"other values":        {"a hole", "state: {in: [open]}", "state: {in: [open], except: [\"o*\"]}", false},
		"body":                {"so is another bound", "{media: Opaque}", "{media: Opaque, maxBytes: 5}", false},
	}
	base := strings.Replace(credentialText, "page: {min: 1}", "page: {min: 1}, state: {in: [open]}", 1)
	of := func(text string) string {
		sc := credentialOf(t, text)
		got, err := Credential(sc, upstreamOf(t, upstreamText))
		if err != nil {
			t.Fatal(err)
		}
		return got.ScopeHash
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(base, test.from, test.to)
			if name == "name of a set" {
				text = strings.ReplaceAll(text, "acme/papers", "acme/docs")
			}
			if text == base {
				t.Fatal("nothing was changed")
			}
			if same := of(text) == of(base); same != test.same {
				t.Errorf("%s: equal %v", test.why, same)
			}
		})
	}
	sc := credentialOf(t, base)
	sc.Spec.Grants[0], sc.Spec.Grants[1] = sc.Spec.Grants[1], sc.Spec.Grants[0]
	if swapped, err := Credential(sc, upstreamOf(t, upstreamText)); err != nil || swapped.ScopeHash != of(base) {
		t.Errorf("grants have no order, and the hash changed: %v", err)
	}
	elsewhere, err := Credential(credentialOf(t, base), upstreamOf(t, strings.Replace(upstreamText, "files.example", "other.example", 1)))
	if err != nil || elsewhere.ScopeHash == of(base) {
		t.Errorf("the same grants at another host are another scope: %v", err)
	}
}

// FuzzCredential: whatever is written into a scope, a refusal names fields and
// says what to do, and what is accepted is what the judge can compile.
func FuzzCredential(f *testing.F) {
	for _, seed := range [][5]string{
		{"GET", "/a/{b}", "b", "x/*", "[a-z]+"},
		{"", "", "", "", ""},
		{"GET", "/{a=*/*}/{b...}", "a", "**", "("},
		{"TRACE", "/{x,y}/", "x", "\x00", "(?i)a"},
		{"get", "//", "{", "a**", "\\b"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	up := upstreamOf(f, upstreamText)
	f.Fuzz(func(t *testing.T, method, path, name, glob, pattern string) {
		sc := credentialOf(t, credentialText)
		g := &sc.Spec.Grants[1]
		g.HTTP.Methods, g.HTTP.Paths = []v1alpha1.Method{v1alpha1.Method(method)}, []string{path}
		g.Where = map[string]v1alpha1.Matcher{name: {Constraint: v1alpha1.Constraint{Glob: glob}}}
		g.Query = &v1alpha1.Query{Params: map[string]v1alpha1.Matcher{name: {Constraint: v1alpha1.Constraint{Pattern: pattern}}}}
		got, err := Credential(sc, up)
		if err == nil {
			if len(got.Grants) != 2 || got.Grants[1].Where[name].Glob == nil || *got.Grants[1].Where[name].Glob != glob {
				t.Errorf("accepted without its constraints: %+v", got.Grants)
			}
			return
		}
		var refused *Refused
		if !errors.As(err, &refused) || len(refused.Problems) == 0 || refused.Reason == "" {
			t.Fatalf("a refusal without a reason: %v", err)
		}
		for _, p := range refused.Problems {
			if !strings.HasPrefix(p.Field, "spec.") || p.Msg == "" || len(p.Value) > maxValue+len("...") {
				t.Errorf("a problem without field, remedy or bound: %+v", p)
			}
		}
	})
}

func TestKey(t *testing.T) {
	tests := map[string]struct{ why, data, want string }{
		"plain":          {"as it is", "key", "key"},
		"line end":       {"files end in one", "key\n", "key"},
		"other line end": {"and on Windows in another", "key\r\n", "key"},
		"spaces":         {"they may be part of it", " k ", " k "},
		"two line ends":  {"a header would end early", "key\n\n", ""},
		"inside":         {"a header would end early", "a\r\nX-Evil: 1", ""},
		"zero":           {"some servers end text there", "a\x00", ""},
		"not text":       {"no header holds it", "\xff", ""},
		"empty":          {"the upstream would be asked without a key", "\n", ""},
		"long":           {"no header holds it", strings.Repeat("k", maxKey+1), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Key([]byte(test.data))
			if got.Reveal() != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%s: %q, %v", test.why, got.Reveal(), err)
			}
		})
	}
}
