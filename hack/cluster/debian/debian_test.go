package debian

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlace(t *testing.T) {
	for in, want := range map[string]string{
		"./":                    "",
		"./bin/":                "bin",
		"./bin/bash":            "usr/bin/bash",
		"./lib/x86_64/libc.so":  "usr/lib/x86_64/libc.so",
		"./usr/bin/git":         "usr/bin/git",
		"./library/x":           "library/x",
		"./etc/bin/x":           "etc/bin/x",
		"./../../etc/shadow":    "etc/shadow", // nothing leads out of the root
		"./bin/../../root/.ssh": "root/.ssh",
	} {
		if got := place(in); got != want {
			t.Errorf("place(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDropped(t *testing.T) {
	for p, want := range map[string]bool{
		"usr/share/doc/git/copyright":     false,
		"usr/share/doc/git":               false,
		"usr/share/doc/git/README.gz":     true,
		"usr/share/man/man1/git.1.gz":     true,
		"usr/share/manifold/x":            false,
		"usr/share/locale/de/LC_MESSAGES": true,
		"usr/bin/git":                     false,
	} {
		if got := dropped(p); got != want {
			t.Errorf("dropped(%q) = %v, want %v", p, got, want)
		}
	}
}

// pack writes headers, and their names as content, as a package's archive.
func pack(t *testing.T, headers ...tar.Header) *tar.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, h.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&b)
}

func TestMerge(t *testing.T) {
	var out bytes.Buffer
	l := &layer{out: tar.NewWriter(&out), seen: map[string]byte{}}
	if err := l.add(mergedDirs()); err != nil {
		t.Fatal(err)
	}
	first := pack(t,
		tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/su", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "./bin/su2", Typeflag: tar.TypeLink, Linkname: "./bin/su"},
		tar.Header{Name: "./usr/share/ca-certificates/mozilla/A.crt", Typeflag: tar.TypeReg, Mode: 0o644},
	)
	second := pack(t,
		tar.Header{Name: "./usr/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./usr/bin/mawk", Typeflag: tar.TypeReg, Mode: 0o755},
	)
	for _, p := range []*tar.Reader{first, second} {
		if err := l.merge(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.add(l.finish()); err != nil {
		t.Fatal(err)
	}
	if err := l.out.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for in := tar.NewReader(&out); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := got[h.Name]; ok {
			t.Errorf("%s is there twice", h.Name)
		}
		if h.Mode&specialBits != 0 {
			t.Errorf("%s runs as its owner", h.Name)
		}
		got[h.Name] = h.Linkname
	}
	for name, link := range map[string]string{
		"bin": "usr/bin", "usr/bin/": "", "usr/bin/su": "", "usr/bin/su2": "usr/bin/su", "usr/bin/awk": "mawk",
	} {
		if l, ok := got[name]; !ok || l != link {
			t.Errorf("%s: there %v, link %q, want %q", name, ok, l, link)
		}
	}
	if got := l.cas.String(); got != "./usr/share/ca-certificates/mozilla/A.crt" {
		t.Errorf("certificate authorities = %q", got)
	}
}

func TestMergeRefusesConflicts(t *testing.T) {
	l := &layer{out: tar.NewWriter(io.Discard), seen: map[string]byte{}}
	file := tar.Header{Name: "./usr/bin/x", Typeflag: tar.TypeReg, Mode: 0o755}
	if err := l.merge(pack(t, file)); err != nil {
		t.Fatal(err)
	}
	file.Name = "./bin/x" // the same place by another name
	err := l.merge(pack(t, file))
	if err == nil || !strings.Contains(err.Error(), "usr/bin/x") {
		t.Errorf("merge = %v, want an error that names the file", err)
	}
}

func TestKey(t *testing.T) {
	if diff := cmp.Diff(key([]string{"git", "curl"}, "amd64"), key([]string{"curl", "git", "git"}, "amd64")); diff != "" {
		t.Errorf("order and repetition change the key:\n%s", diff)
	}
	if key([]string{"git"}, "amd64") == key([]string{"git"}, "arm64") {
		t.Error("two architectures share a key")
	}
	if key([]string{"git"}, "amd64") == key([]string{"curl"}, "amd64") {
		t.Error("two lists share a key")
	}
}
