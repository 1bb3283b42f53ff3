package imports

import (
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestInvariantsNameTests holds docs/invariants.md, and what explains it, to the
// tests that there are.
func TestInvariantsNameTests(t *testing.T) {
	for _, name := range []string{"docs/invariants.md", "docs/explanation/threat-model.md"} {
		t.Run(path.Base(name), func(t *testing.T) { testNames(t, name) })
	}
}

func testNames(t *testing.T, name string) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	text, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		t.Fatalf("%s names no test", name)
	}
	for _, n := range named {
		cmd := exec.CommandContext(t.Context(), "git", "grep", "--untracked", "-qE", `^func `+n[2]+`\(`, "--", n[1]+"/*_test.go")
		cmd.Dir = root
		if err := cmd.Run(); err != nil {
			t.Errorf("%s names %s in %s, which is not there: %v", name, n[2], n[1], err)
		}
	}
	// A promise without a test is none.
	for _, line := range strings.Split(string(text), "\n") {
		if regexp.MustCompile(`^\| [A-Z][0-9]+ \|`).MatchString(line) && !strings.Contains(line, ": Test") && !strings.Contains(line, ": Fuzz") {
			t.Errorf("no test is named in %s", line)
		}
	}
	t.Logf("%d tests named", len(named))
}
