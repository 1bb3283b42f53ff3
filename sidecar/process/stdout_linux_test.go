package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writer says that the test binary is to write until it cannot.
const writer = "SALLYPORT_TEST_STDOUT"

// TestStdout gives a process of its own a pipe that nobody reads: a write to it
// ends. A file is written to as ever.
func TestStdout(t *testing.T) {
	if os.Getenv(writer) != "" {
		fmt.Fprintln(os.Stderr, "ended:", fill(Stdout()))
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for out, want := range map[*os.File]string{w: "ended: a deadline", file: "ended: no deadline, 1 written"} {
		var said strings.Builder
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStdout$")
		cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), writer+"=1"), out, &said
		if err := cmd.Run(); err != nil || !strings.Contains(said.String(), want) {
			t.Errorf("%v: it said %q, want %q", err, said.String(), want)
		}
	}
}

// fill writes until a deadline ends it, or once where there is none.
func fill(out *os.File) string {
	if out.SetWriteDeadline(time.Now().Add(time.Second)) != nil {
		n, err := io.WriteString(out, "x")
		return fmt.Sprint("no deadline, ", n, " written, ", err)
	}
	for {
		if _, err := out.Write(make([]byte, 4096)); errors.Is(err, os.ErrDeadlineExceeded) {
			return "a deadline"
		} else if err != nil {
			return err.Error()
		}
	}
}
