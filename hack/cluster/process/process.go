// Package process starts long-lived processes, remembers them in files, and
// finds and stops them again from another run of the program. A process is
// known by its number, the instant it started and its executable, so that a
// number the kernel has given to somebody else is never mistaken for ours.
package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spec says how to run one process. Name must be a plain file name and unique
// in its [Table].
type Spec struct {
	Name string
	// Path is the absolute path of the executable.
	Path string
	Args []string
	// Env is added to the environment of the caller.
	Env []string
	// Inputs are files that the process reads only when it starts. A change in
	// one of them restarts it.
	Inputs []string
}

// Table is a directory that holds a record and a log for each process. It is
// not safe for concurrent use; callers hold a lock on the directory.
type Table struct {
	// Records and Logs are existing directories.
	Records, Logs string
}

// record is what outlives the program that started a process.
type record struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"` // clock ticks after boot
	Exe    string `json:"exe"`
	Digest string `json:"digest"` // of the Spec and the content of its files
}

// Ensure makes sure that the process of s runs with what s says now. It starts
// it where it does not run, restarts it where its command line or inputs have
// changed, and reports whether it did either.
func (t Table) Ensure(ctx context.Context, s Spec) (started bool, err error) {
	digest, err := s.digest()
	if err != nil {
		return false, fmt.Errorf("reading inputs of %s: %w", s.Name, err)
	}
	if r, ok := t.read(s.Name); ok && r.running() {
		if r.Digest == digest {
			return false, nil
		}
		if err := t.Stop(ctx, s.Name); err != nil {
			return false, err
		}
	}
	return true, t.start(ctx, s, digest)
}

// Running reports whether the recorded process of that name is alive.
func (t Table) Running(name string) bool {
	r, ok := t.read(name)
	return ok && r.running()
}

// Names lists the processes that have a record, alive or not.
func (t Table) Names() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(t.Records, "*.json"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(paths))
	for _, p := range paths {
		base := filepath.Base(p)
		names = append(names, base[:len(base)-len(".json")])
	}
	return names, nil
}

// LogPath is where the output of the named process goes.
func (t Table) LogPath(name string) string {
	return filepath.Join(t.Logs, name+".log")
}

func (t Table) recordPath(name string) string {
	return filepath.Join(t.Records, name+".json")
}

func (t Table) start(ctx context.Context, s Spec, digest string) error {
	log, err := os.OpenFile(t.LogPath(s.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening log of %s: %w", s.Name, err)
	}
	defer func() { _ = log.Close() }()
	// It outlives us, and so the context.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.Path, s.Args...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	// Its own session, so that it survives the terminal that called us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	if err := t.write(s, cmd.Process.Pid, digest); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	// Reap it if it dies while we live; afterwards init does.
	go func() { _ = cmd.Wait() }()
	return nil
}

func (t Table) write(s Spec, pid int, digest string) error {
	start, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("recording %s: it ended at once: %w", s.Name, err)
	}
	exe, err := filepath.EvalSymlinks(s.Path)
	if err != nil {
		return fmt.Errorf("recording %s: %w", s.Name, err)
	}
	data, err := json.Marshal(record{PID: pid, Start: start, Exe: exe, Digest: digest})
	if err != nil {
		return fmt.Errorf("recording %s: %w", s.Name, err)
	}
	temporary := t.recordPath(s.Name) + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("recording %s: %w", s.Name, err)
	}
	if err := os.Rename(temporary, t.recordPath(s.Name)); err != nil {
		return fmt.Errorf("recording %s: %w", s.Name, err)
	}
	return nil
}

// read returns the record of a name; a missing or broken one is no record.
func (t Table) read(name string) (record, bool) {
	var r record
	data, err := os.ReadFile(t.recordPath(name))
	if err != nil || json.Unmarshal(data, &r) != nil {
		return record{}, false
	}
	return r, r.PID > 0
}

func (s Spec) digest() (string, error) {
	h := sha256.New()
	// Length-prefixed, so that no two lists of arguments read the same.
	for _, list := range [][]string{{s.Path}, s.Args, s.Env, s.Inputs} {
		_, _ = fmt.Fprintf(h, "%d\n", len(list))
		for _, v := range list {
			_, _ = fmt.Fprintf(h, "%d %s\n", len(v), v)
		}
	}
	for _, path := range append([]string{s.Path}, s.Inputs...) {
		if err := hashFile(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}
