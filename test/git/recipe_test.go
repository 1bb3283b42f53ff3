package git

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRecipe runs what the how-to says, with its manifest.
func TestRecipe(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/git.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manifest, _ := strings.Cut(string(text), "```yaml\n")
	manifest, _, _ = strings.Cut(manifest, "```")
	w := newWorldOf(t, strings.Replace(manifest, "YOUR-TOKEN", key, 1))
	docs := w.clone(t, "acme/docs")
	w.commit(t, docs, "one")
	lines := regexp.MustCompile("(?m)^\\| `git ([^`]+)` \\| (passes|refused) \\|$").FindAllStringSubmatch(string(text), -1)
	if len(lines) < 10 {
		t.Fatalf("the how-to has %d lines", len(lines))
	}
	for _, line := range lines {
		out, err := try(t, docs, w.env, append([]string{"git"}, strings.Fields(line[1])...)...)
		if passed := err == nil; passed != (line[2] == "passes") || !passed && !strings.Contains(out, "sallyport: ") {
			t.Errorf("git %s: %v, want it %s\n%s", line[1], err, line[2], out)
		}
	}
}
