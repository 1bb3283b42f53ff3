package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/ask"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func TestClientEnviron(t *testing.T) {
	client := append(
		fillEnv([]bundle.EnvVar{{Name: "URL", Value: "{url:api}/v1"}, {Name: "TOKEN", Value: "Bearer {token}"}}, map[string]string{"api": "http://127.0.0.1:1"}, "spt_1"),
		fillEnv([]bundle.EnvVar{{Name: "TOKEN", Value: "{token}"}}, nil, "spt_2")...)
	got := clientEnviron([]string{"PATH=/bin", "TOKEN=raw key", "TOKENS=other", "URL"}, client)
	want := []string{"PATH=/bin", "TOKENS=other", "URL=http://127.0.0.1:1/v1", "TOKEN=Bearer spt_1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inherited variables are replaced, the first credential wins (-want +got):\n%s", diff)
	}
}

func TestRunCommand(t *testing.T) {
	tests := map[string]struct {
		why, script string
		status      int
	}{
		"well":     {"nothing to tell", "exit 0", 0},
		"failed":   {"passed on", "exit 7", 7},
		"signal":   {"as shells have it", "kill -9 $$", 137},
		"streams":  {"all three are the caller's", "read x; echo $x; echo e >&2; exit 3", 3},
		"variable": {"none but the given", `test "$TOKEN" = spt_1 && test -z "$HOME"`, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := runCommand(t.Context(), []string{"/bin/sh", "-c", test.script}, []string{"TOKEN=spt_1"}, bytes.NewBufferString("in\n"), &out, &out)
			var ended *commandEnded
			if !errors.As(err, &ended) || ended.status != test.status {
				t.Errorf("%s: %v, want status %d", test.why, err, test.status)
			}
			if name == "streams" && out.String() != "in\ne\n" {
				t.Errorf("output %q", out.String())
			}
		})
	}
	if err := runCommand(t.Context(), []string{"/does/not/exist"}, nil, nil, nil, nil); err == nil {
		t.Error("a command that is not there was run")
	}
}

// TestRunCommandEnds: when the process is told to end, the command is too.
func TestRunCommandEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	done := make(chan error, 1)
	go func() {
		done <- runCommand(ctx, []string{"/bin/sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"}, os.Environ(), nil, out, nil)
	}()
	if _, err := in.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	cancel()
	var ended *commandEnded
	if err := <-done; !errors.As(err, &ended) || ended.status != 5 {
		t.Errorf("it ended with %v, want its own status 5", err)
	}
}

func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for _, text := range []string{"first", "second"} {
		if err := replaceFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files are left, want one", len(files))
	}
	if err := replaceFile(filepath.Join(path, "below"), nil); err == nil {
		t.Error("writing below a file succeeded")
	}
}

func TestWatcher(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m")
	write := func(text string) {
		if err := replaceFile(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	w := newWatcher([]string{file, "-"})
	if w.changed() {
		t.Error("nothing changed yet")
	}
	write("a")
	if w.changed() {
		t.Error("the same text is no change")
	}
	write("b")
	if !w.changed() || w.changed() {
		t.Error("a change is told once")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !w.changed() {
		t.Error("a file that is gone is a change")
	}
}

// TestReport: what a verb has for an answer is not taken for a failure.
func TestReport(t *testing.T) {
	for name, test := range map[string]struct {
		why    string
		err    error
		status int
		stderr string
	}{
		"done":         {"nothing is to be said", nil, 0, ""},
		"answer":       {"the status is the answer", &ask.Ended{Status: 2}, 2, ""},
		"trouble":      {"what went wrong is told", &ask.Ended{Status: 3, Err: errors.New("no file")}, 3, "sallyport: no file\n"},
		"bad manifest": {"each line is told", &ask.Ended{Status: 3, Err: manifest.Errors{{File: "a.yaml", Line: 4, Msg: "bad"}}}, 3, "a.yaml:4: bad\n"},
		"command":      {"it has said why", &commandEnded{7}, 7, ""},
		"failure":      {"what went wrong is told", errors.New("no"), exitFailed, "sallyport: no\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if got := report(test.err, &stderr); got != test.status || stderr.String() != test.stderr {
				t.Errorf("%s: status %d and %q", test.why, got, stderr.String())
			}
		})
	}
}
