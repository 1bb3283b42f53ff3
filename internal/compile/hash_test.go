package compile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/scope"
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
	for _, limits := range []string{"{requests: {count: 5, per: 1m}}", "{concurrency: 5}"} {
		if of(base+"  limits: "+limits+"\n") == of(base) {
			t.Errorf("the hash does not change with the limits %s of all grants", limits)
		}
	}
	elsewhere, err := Credential(credentialOf(t, base), upstreamOf(t, strings.Replace(upstreamText, "files.example", "other.example", 1)))
	if err != nil || elsewhere.ScopeHash == of(base) {
		t.Errorf("the same grants at another host are another scope: %v", err)
	}
}

// TestScopeHashOfBodies puts one text or another in the place of a body.
func TestScopeHashOfBodies(t *testing.T) {
	const fields = "{fields: {a.b: {in: [x, z]}, c: {type: Any}}}"
	tests := map[string]struct {
		why, one, other string
		same            bool
	}{
		"order of fields":  {"fields have none", fields, "{fields: {c: {type: Any}, a.b: {in: [z, x]}}}", true},
		"defaults":         {"they are written out", fields, "{media: JSON, unlisted: Deny, maxBytes: 1048576, fields: {a.b: {in: [x, z]}, c: {type: Any}}}", true},
		"bound above":      {"what is read whole has one bound", fields, "{maxBytes: 99999999, fields: {a.b: {in: [x, z]}, c: {type: Any}}}", true},
		"unlisted":         {"more is another scope", fields, "{unlisted: Allow, fields: {a.b: {in: [x, z]}, c: {type: Any}}}", false},
		"field's words":    {"the same values", fields, "{fields: {a.b: {pattern: '[xz]'}, c: {type: Any}}}", true},
		"field's value":    {"another value", fields, "{fields: {a.b: {pattern: '[xyz]'}, c: {type: Any}}}", false},
		"field's type":     {"another type", fields, "{fields: {a.b: {in: [x, z], type: Any}, c: {type: Any}}}", false},
		"field":            {"so is less", fields, "{fields: {a.b: {in: [x, z]}}}", false},
		"value":            {"so is another value", fields, "{fields: {a.b: {in: [x]}, c: {type: Any}}}", false},
		"medium":           {"a form is no JSON", "{media: Form, fields: {a: {in: [x]}}}", "{fields: {a: {in: [x]}}}", false},
		"media of a part":  {"it has one of them", "{media: Multipart, parts: {a: {media: [a/b, c/d]}}}", "{media: Multipart, parts: {a: {media: [c/d, a/b]}}}", true},
		"part":             {"another part is another scope", "{media: Multipart, parts: {a: {media: [a/b]}}}", "{media: Multipart, parts: {a: {media: [a/b], required: true}}}", false},
		"value of a part":  {"values have no order", "{media: Multipart, parts: {a: {value: {in: [x, z]}}}}", "{media: Multipart, parts: {a: {value: {in: [z, x]}}}}", true},
		"name of a file":   {"it is part of it", "{media: Multipart, parts: {a: {filename: {glob: a}}}}", "{media: Multipart, parts: {a: {}}}", false},
		"order of keep":    {"an answer is cut to all of them", fields + "\n    response: {keep: [a, b]}", fields + "\n    response: {keep: [b, a]}", true},
		"keep":             {"what comes back is part of it", fields + "\n    response: {keep: [a]}", fields, false},
		"keep none":        {"none is not all", fields + "\n    response: {keep: []}", fields, false},
		"limits":           {"so is how often", fields + "\n    limits: {requests: {count: 1, per: 1m}}", fields + "\n    limits: {requests: {count: 2, per: 1m}}", false},
		"spelling of time": {"a minute is sixty seconds", fields + "\n    limits: {requests: {count: 1, per: 1m}}", fields + "\n    limits: {requests: {count: 1, per: 60s}}", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var hashes []string
			for _, body := range []string{test.one, test.other} {
				got, err := Credential(credentialOf(t, strings.Replace(credentialText, "{media: Opaque}", body, 1)), upstreamOf(t, upstreamText))
				if err != nil {
					t.Fatal(err)
				}
				hashes = append(hashes, got.ScopeHash)
			}
			if same := hashes[0] == hashes[1]; same != test.same {
				t.Errorf("%s: equal %v", test.why, same)
			}
		})
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
			if !strings.HasPrefix(p.Field, "spec.") || p.Msg == "" || len(p.Value) > problem.MaxValue+len("...") {
				t.Errorf("a problem without field, remedy or bound: %+v", p)
			}
		}
	})
}

// TestCredentialLimits: of two bounds of the same, both hold.
func TestCredentialLimits(t *testing.T) {
	for text, want := range map[string]int{"": 256, "  limits: {concurrency: 8}\n": 8, "  limits: {concurrency: 1000}\n": 256} {
		got, err := Credential(credentialOf(t, strings.Replace(credentialText, "  grants:", text+"  grants:", 1)), upstreamOf(t, upstreamText))
		if err != nil || got.Limits.Concurrency != want || got.Requests != nil {
			t.Errorf("%q: concurrency %d, requests %v, %v", text, got.Limits.Concurrency, got.Requests, err)
		}
	}
	got, err := Credential(credentialOf(t, strings.Replace(credentialText, "  grants:", "  limits: {requests: {count: 60, per: 1m}}\n  grants:", 1)), upstreamOf(t, upstreamText))
	if err != nil || got.Requests == nil || *got.Requests != (scope.Rate{Count: 60, Per: time.Minute}) {
		t.Errorf("requests %v, %v", got.Requests, err)
	}
}
