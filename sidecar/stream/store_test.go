package stream

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// stored opens a Store in two directories of this test.
func stored(t *testing.T) (s *Store, private, agent string) {
	t.Helper()
	private, agent = t.TempDir(), t.TempDir()
	s, err := OpenStore(private, agent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, private, agent
}

func holds(t *testing.T, file, want string, mode fs.FileMode) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || string(text) != want {
		t.Fatalf("%s holds %q, %v, want %q", file, text, err, want)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != mode {
		t.Errorf("%s: %v, %v, want %v", file, info.Mode(), err, mode)
	}
}

func TestStoreTokens(t *testing.T) {
	s, _, agent := stored(t)
	for _, tokens := range []map[string]string{{"notes": "a", "web": "b"}, {"notes": "c", "web": "b"}, {"web": "b"}, nil, {"notes": "d"}} {
		names := map[string]bool{}
		for name := range tokens {
			names[name] = true
		}
		if err := errors.Join(s.keepTokens(names), s.saveTokens(tokens)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"notes", "web"} {
			file := filepath.Join(agent, name, "token")
			if want, ok := tokens[name]; ok {
				holds(t, file, want, 0o644)
			} else if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("with %v: the token of %s is still there: %v", tokens, name, err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(agent, "*", ".new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStoreRoots(t *testing.T) {
	s, private, _ := stored(t)
	if got := s.roots(); got != "" {
		t.Errorf("before the first: %q", got)
	}
	good := authority(t).pem
	for range 2 {
		if err := s.saveRoots(good); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(private, "roots.pem"), good, 0o600)
	}
	if s.roots() != good {
		t.Error("it does not give back what was saved")
	}
	if err := os.WriteFile(filepath.Join(private, "roots.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.roots(); got != "" {
		t.Errorf("what is no authority is taken for one: %q", got)
	}
	var none *Store
	if none.roots() != "" || none.saveRoots(good) != nil || none.saveTokens(map[string]string{"a": "b"}) != nil || none.keepTokens(nil) != nil {
		t.Error("a nil Store keeps something, or fails")
	}
}

// TestStoreLinks has a hostile agent lead the writes elsewhere.
func TestStoreLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	for name, plant := range map[string]func(agent string) error{
		"directory, away":     func(agent string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(agent, "notes")) },
		"directory, upwards":  func(agent string) error { return os.Symlink("..", filepath.Join(agent, "notes")) },
		"directory, dangling": func(agent string) error { return os.Symlink(outside+"/x", filepath.Join(agent, "notes")) },
		"a file there":        func(agent string) error { return os.WriteFile(filepath.Join(agent, "notes"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, agent := stored(t)
			if err := plant(agent); err != nil {
				t.Fatal(err)
			}
			if err := s.saveTokens(map[string]string{"notes": "secret"}); err == nil {
				t.Error("no error")
			}
			if files, _ := filepath.Glob(filepath.Dir(outside) + "/*"); len(files) > 0 {
				t.Errorf("written outside: %v", files)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(agent), "token")); !os.IsNotExist(err) {
				t.Errorf("written above: %v", err)
			}
		})
	}
	for _, name := range []string{"token", ".new"} {
		t.Run("link in place of "+name, func(t *testing.T) {
			s, _, agent := stored(t)
			if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(agent, "notes"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(agent, "notes", name)); err != nil {
				t.Fatal(err)
			}
			if err := s.saveTokens(map[string]string{"notes": "token"}); err != nil {
				t.Fatal(err)
			}
			holds(t, outside, "mine", 0o600)
			holds(t, filepath.Join(agent, "notes", "token"), "token", 0o644)
		})
	}
}

// The key outlives the process, is the sidecar's alone to read, and one that
// cannot be read is replaced.
func TestOwnKey(t *testing.T) {
	private := t.TempDir()
	open := func() *Store {
		s, err := OpenStore(private, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	public := func(s *Store) string {
		t.Helper()
		c, err := ownKey(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(parsed.RawSubjectPublicKeyInfo)
	}
	first := public(open())
	if public(open()) != first {
		t.Error("a container that restarts has another key")
	}
	info, err := os.Stat(filepath.Join(private, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept as %v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(private, keyFile), []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := public(open())
	if second == first || public(open()) != second {
		t.Error("a key that cannot be read is not replaced")
	}
	if one, another := public(nil), public(nil); one == another {
		t.Error("two sidecars that keep nothing have one key")
	}
}
