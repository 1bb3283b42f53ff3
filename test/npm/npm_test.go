package npm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPath: what is not installed as it is pinned is not found.
func TestPath(t *testing.T) {
	lock := func(version, integrity string) string {
		return `{"packages":{"node_modules/a":{"version":"` + version + `","integrity":"` + integrity + `"}}}`
	}
	for name, test := range map[string]struct {
		why, pinned, installed string
		want                   string // of the error; empty: none
	}{
		"as pinned":       {"it is the same", lock("1", "x"), lock("1", "x"), ""},
		"another version": {"it was installed before", lock("2", "y"), lock("1", "x"), "run `make packages`"},
		"another digest":  {"it is another package", lock("1", "y"), lock("1", "x"), "run `make packages`"},
		"not installed":   {"make has not run", lock("1", "x"), "", "run `make packages`"},
		"not pinned":      {"it might be anything", lock("1", ""), lock("1", ""), "does not pin a by version and integrity"},
		"no list":         {"it cannot be read", "{", "{", "reading what is pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(text string, to ...string) string {
				t.Helper()
				file := filepath.Join(append([]string{dir}, to...)...)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
			if test.installed != "" {
				write(test.installed, "installed.json")
			}
			got, err := path(dir, write(test.pinned, "pinned.json"), "a", "file")
			switch {
			case test.want == "" && (err != nil || got != filepath.Join(dir, "node_modules", "a", "file")):
				t.Errorf("%s: %q, %v", test.why, got, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s: %v", test.why, err)
			}
		})
	}
}
