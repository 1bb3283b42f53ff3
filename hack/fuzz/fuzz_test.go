package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRecord holds docs/fuzzing.md to the targets that there are: each says what
// it holds, each has a row, and each reader that the page names has a target.
func TestRecord(t *testing.T) {
	t.Chdir("../..")
	targets, err := list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(recordFile)
	if err != nil {
		t.Fatal(err)
	}
	readers, written, ok := strings.Cut(string(text), beginMark)
	if !ok {
		t.Fatalf("%s lacks %q", recordFile, beginMark)
	}
	var names []string
	for i := range targets {
		one := &targets[i]
		names = append(names, one.name())
		if len(strings.Fields(one.property)) < 5 {
			t.Errorf("%s does not say what it holds: %q", one.name(), one.property)
		}
		if !strings.Contains(written, "| `"+one.name()+"` | "+one.property+" |") {
			t.Errorf("%s has no row of %s with what it holds", recordFile, one.name())
		}
		if n := len(inputs(one)); n > mostInputs {
			t.Errorf("%s has %d committed inputs, which run with every test", one.name(), n)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| [^`|]+ \\|.*`").FindAllString(readers, -1)
	if len(rows) == 0 {
		t.Errorf("%s names no reader", recordFile)
	}
	read := map[string]bool{}
	for _, row := range rows {
		for _, named := range regexp.MustCompile("`([a-z0-9/]+: Fuzz[A-Za-z0-9]+)`").FindAllStringSubmatch(row, -1) {
			read[named[1]] = true
			if !slices.Contains(names, named[1]) {
				t.Errorf("%s names %s, which there is not", recordFile, named[1])
			}
		}
	}
	for _, name := range names {
		if !read[name] {
			t.Errorf("%s does not say what %s reads", recordFile, name)
		}
	}
}

const module = `package a

import "testing"

func read(s string) int {
	switch {
	case len(s) > 2 && s[0] == 'a':
		return 1
	case s == "":
		return 2
	}
	return 3
}

// FuzzFine: whatever is read is more than zero, by and large.
func FuzzFine(f *testing.F) {
	f.Add("b")
	f.Fuzz(func(t *testing.T, s string) {
		if read(s) == 0 {
			t.Fatal(s)
		}
	})
}

// FuzzBroken: an empty text is not read as two.
func FuzzBroken(f *testing.F) {
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if read(s) == 2 {
			t.Fatal("two")
		}
	})
}
`

// TestRun fuzzes a module of its own: the target that fails is told of, that
// after it has its turn all the same, and both have their row.
func TestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GOFLAGS", "-mod=mod")
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26.0\n", "a/a_test.go": module, "internal/b/b.go": "package b\n", "sidecar/c/c.go": "package c\n",
		recordFile: "# Here\n\n" + beginMark + "| `gone: FuzzGone` | x | 1s | 1s | 1 | 1 | `a` | none |\n" + endMark + "behind\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a"}} {
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-time", "300x"}, &out)
	if err == nil || !strings.Contains(err.Error(), "a: FuzzBroken failed") || strings.Contains(err.Error(), "FuzzFine") {
		t.Errorf("got %v\n%s", err, &out)
	}
	text, err := os.ReadFile(recordFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"(?m)^\\| `a: FuzzBroken` \\| an empty text is not read as two. \\|.*\\| \\*\\*yes\\*\\* \\|$",
		"(?m)^\\| `a: FuzzFine` \\| whatever is read is more than zero, by and large. \\| \\d+s \\| \\d+s \\| [1-9]\\d* \\| \\d+ \\| `[0-9a-f]+` \\| none \\|$",
		"(?s)^# Here\n.*\nbehind\n$",
	} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("the record lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "FuzzGone") {
		t.Errorf("a target that is no more has a row:\n%s", text)
	}
	// What was fuzzed is the revision, though the record and an input are new.
	if revision, err := describe(t.Context()); err != nil || strings.Contains(revision, "dirty") {
		t.Errorf("the revision is %q, %v", revision, err)
	}
	if err := os.WriteFile("a/a.go", []byte("package a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if revision, err := describe(t.Context()); err != nil || !strings.HasSuffix(revision, "-dirty") {
		t.Errorf("the revision is %q, %v", revision, err)
	}
	// Another run leaves the row of the target that has no turn in it, in today's words.
	changed := strings.Replace(string(text), "an empty text is not read as two", "a comment of yesterday", 1)
	if err := os.WriteFile(recordFile, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-time", "10x", "-pattern", "FuzzFine$", "-corpus=false"}, &out); err != nil {
		t.Error(err)
	}
	if text, err = os.ReadFile(recordFile); err != nil || !regexp.MustCompile("(?m)^\\| `a: FuzzBroken` \\| an empty text is not read as two. \\|.*\\*\\*yes").Match(text) {
		t.Errorf("the record has lost a row: %v\n%s", err, text)
	}
	if err := run(t.Context(), []string{"-pattern", "Nothing"}, &out); err == nil || !strings.Contains(err.Error(), "none of 2 matches") {
		t.Errorf("nothing is fuzzed: %v", err)
	}
}
