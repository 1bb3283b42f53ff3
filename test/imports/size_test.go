package imports

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// The budgets of size. The linter holds those of functions.
const (
	fileLines     = 400
	testFileLines = 800
	mainLines     = 60
	packageFiles  = 10
)

// TestSize holds files and packages to a length that can be read in one go.
func TestSize(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	perPackage := map[string]int{}
	files := strings.Fields(git(t, root, "ls-files", "--cached", "--others", "--exclude-standard", "*.go"))
	for _, name := range files {
		b, err := os.ReadFile(path.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(path.Base(name), "zz_generated") {
			continue
		}
		if lines, max := bytes.Count(b, []byte("\n")), budget(name); lines > max {
			t.Errorf("%s has %d lines, more than %d: a name is missing", name, lines, max)
		}
		if !strings.HasSuffix(name, "_test.go") {
			perPackage[path.Dir(name)]++
		}
	}
	for dir, n := range perPackage {
		if n > packageFiles {
			t.Errorf("%s has %d files, more than %d", dir, n, packageFiles)
		}
	}
	t.Logf("%d files in %d packages checked", len(files), len(perPackage))
}

func budget(name string) int {
	switch {
	case strings.HasSuffix(name, "_test.go"):
		return testFileLines
	case path.Base(name) == "main.go":
		return mainLines
	default:
		return fileLines
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
