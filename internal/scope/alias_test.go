package scope

import (
	"errors"
	"testing"
)

var aliased = Profile{SlashInTail: true, Aliases: []Alias{{"/api/v3/", "/"}, {"/api/graphql", "/graphql"}}}

// TestAliases: a path and its other spelling are judged, recorded and forwarded
// as one. What would be one behind decoding, or once more, is refused.
func TestAliases(t *testing.T) {
	policy, err := Compile(aliased, []Grant{{Name: "all", HTTP: &HTTP{Methods: []string{"GET"}, Paths: []string{"/{rest...}", "/"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/user": "/user", "/api/v3/user": "/user", "/api/v3/": "/", "/api/graphql": "/graphql", "/graphql": "/graphql",
		"/api/v3": "/api/v3", "/api/v30/x": "/api/v30/x", "/api/graphql/x": "/api/graphql/x", "/API/v3/user": "/API/v3/user", "/x/api/v3/y": "/x/api/v3/y",
		"/api/v3/api/v4/x": "/api/v4/x",
	} {
		var r Request
		if err := r.Parse(&Head{Method: "GET", Target: target}, &aliased); err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		d := policy.Decide(&r)
		if got := string(AppendTarget(nil, "", &r, &d)); got != want || string(r.AppendPath(nil)) != want {
			t.Errorf("%s: forwarded as %q, recorded as %q, want %q", target, got, r.AppendPath(nil), want)
		}
	}
	for _, target := range []string{
		"/%61pi/v3/user", "/api%2fv3/user", "/api/v3%2Fuser", "/api%2Fgraphql", "/%61pi/graphql", "/api/v3/api/v3/user", "/api/v3/api/graphql",
		"/api/v3/%61pi/v3/user", "/api/v3//user", "/api/v3/../user", "/api/v3/..", "/api/v3/%2e%2e/user",
	} {
		var r Request
		err := r.Parse(&Head{Method: "GET", Target: target}, &aliased)
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) || refusal.Reason != Malformed {
			t.Errorf("%s: got %v, read as %q", target, err, r.AppendPath(nil))
		}
	}
}

func TestAliasesAreChecked(t *testing.T) {
	for name, list := range map[string][]Alias{
		"empty": {{}}, "no slash": {{"api/", "/"}}, "to nothing": {{"/api/", ""}}, "longer": {{"/a/", "/b/c/"}}, "to itself": {{"/a", "/a"}},
		"end": {{"/api/", "/x"}}, "in turn": {{"/a/b/", "/b/"}, {"/b/", "/"}},
	} {
		if _, err := Compile(Profile{Aliases: list}, nil, nil); err == nil {
			t.Errorf("%s: it compiles", name)
		}
	}
}

// FuzzAliases: what is forwarded reads again as it was judged.
func FuzzAliases(f *testing.F) {
	for _, seed := range []string{"/api/v3/user", "/api/graphql", "/api/v3/api/v3/x", "/%61pi/v3/x", "/api%2fv3%2fx", "/api/v3/%2fapi"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		var r, again Request
		if r.Parse(&Head{Method: "GET", Target: target}, &aliased) != nil {
			return
		}
		once := string(r.AppendPath(nil))
		if err := again.Parse(&Head{Method: "GET", Target: once}, &aliased); err != nil || string(again.AppendPath(nil)) != once {
			t.Fatalf("%q is judged as %q, which reads as %q: %v", target, once, again.AppendPath(nil), err)
		}
	})
}
