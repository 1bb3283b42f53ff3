package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "theirs")
	if err := os.WriteFile(outside, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fresh, "token"} { // links that lead out of it
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, mode := range []fs.FileMode{0o644, 0o600} {
		if err := Replace(root, "token", "ours", mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(filepath.Join(dir, "token"))
		if err != nil || info.Mode() != mode {
			t.Errorf("got %v, %v, want a file of mode %v", info.Mode(), err, mode)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "theirs" {
		t.Errorf("a link was followed: %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "token")); err != nil || string(text) != "ours" {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestDirectory(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := Directory(root, "out"); err == nil {
		t.Error("a link out of the directory was followed")
	}
	for range 2 {
		d, err := Directory(root, "in")
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
}
