package git

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecondImplementation does the same with go-git: what is granted goes, what
// is not is refused in a form that it reports, and nothing is changed.
func TestSecondImplementation(t *testing.T) {
	program := filepath.Join(t.TempDir(), "gogit")
	run(t, "gogit", nil, "go", "build", "-o", program, ".")
	w := newWorld(t)
	ask := func(repository string, refspecs ...string) (string, error) {
		args := append([]string{program, "http://" + w.address(t) + "/" + repository, w.handle(t), t.TempDir()}, refspecs...)
		return try(t, t.TempDir(), w.env, args...)
	}
	for _, refspecs := range [][]string{
		nil,
		{"refs/heads/main:refs/heads/agent/new"},
		{"+refs/heads/main:refs/heads/agent/old"},
		{":refs/heads/agent/old"},
	} {
		if out, err := ask("acme/docs.git", refspecs...); err != nil {
			t.Errorf("%v: %v\n%s", refspecs, err, out)
		}
	}
	refs := w.refs(t, "acme/docs")
	if refs["refs/heads/agent/new"] == "" || refs["refs/heads/agent/old"] != "" {
		t.Errorf("refs are %v", refs)
	}
	w.calls()
	for _, test := range []struct {
		repository, refspec, says string
	}{
		{"acme/docs", ":refs/heads/release-1", "refs/heads/release-1 may not be deleted"},
		{"acme/docs", "refs/heads/main:refs/heads/main", "refs/heads/main may not be updated"},
		{"acme/secret", "refs/heads/main:refs/heads/agent/x", ""},
	} {
		if out, err := ask(test.repository, test.refspec); err == nil || !strings.Contains(out, test.says) {
			t.Errorf("%v: %v\n%s", test, err, out)
		}
	}
	if _, pushes := w.calls(); pushes > 0 || !maps.Equal(refs, w.refs(t, "acme/docs")) {
		t.Errorf("%d pushes reached the upstream: %v", pushes, w.refs(t, "acme/docs"))
	}
}
