//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// channels are the ways to what others hold.
var channels = map[string]func(io.Writer){
	"environ": environ,
	"memory":  memory,
	"trace":   trace,
	"fds":     descriptors,
	"roots":   roots,
	"files":   files,
	"kernel":  kernel,
}

// private is where a sidecar keeps what is its own, and identity where its
// token is.
const (
	private  = "var/run/sallyport-private"
	identity = "var/run/secrets/kubernetes.io/serviceaccount"
)

// perFile bounds what is read of what might have no end.
const perFile = 64 << 20

// read prints what the channels show.
func read(names []string) error {
	out := bufio.NewWriter(os.Stdout)
	for _, name := range names {
		channel, ok := channels[name]
		if !ok {
			return fmt.Errorf("reading: no channel %q", name)
		}
		channel(out)
	}
	return out.Flush()
}

// show prints a file, or why it cannot be read.
func show(w io.Writer, path string) {
	fmt.Fprintf(w, "\n== %s\n", path)
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(w, "!", err)
		return
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return // reading would wait for somebody
	}
	if _, err := io.Copy(w, io.LimitReader(f, perFile)); err != nil {
		fmt.Fprintln(w, "!", err)
	}
}

// processes are those that can be seen, but this one.
func processes() (all []int) {
	entries, _ := os.ReadDir("/proc") // none is none
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

func environ(w io.Writer) {
	fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	for _, pid := range processes() {
		for _, pattern := range []string{"environ", "cmdline", "task/*/environ", "mountinfo", "status", "stack"} {
			paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/%s", pid, pattern)) // the pattern is sound
			for _, path := range paths {
				show(w, path)
			}
		}
	}
}

// region is a part of a process's memory.
type region struct {
	from, to int64
	name     string
}

// regions are the readable ones of a process.
func regions(pid int) (all []region) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)) // none is none
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		from, to, ok := strings.Cut(f[0], "-")
		a, err := strconv.ParseInt(from, 16, 64)
		b, err2 := strconv.ParseInt(to, 16, 64)
		if !ok || err != nil || err2 != nil || !strings.HasPrefix(f[1], "r") {
			continue
		}
		all = append(all, region{a, b, f[len(f)-1]})
	}
	return all
}

func memory(w io.Writer) {
	for _, pid := range processes() {
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			fmt.Fprintln(w, "!", err)
			continue
		}
		for _, r := range regions(pid) {
			fmt.Fprintf(w, "\n== memory of %d %x %s\n", pid, r.from, r.name)
			_, _ = io.Copy(w, io.NewSectionReader(mem, r.from, min(r.to-r.from, perFile))) // as far as it goes
		}
		_ = mem.Close()
	}
}

func descriptors(w io.Writer) {
	for _, pid := range processes() {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is sound
		for _, path := range paths {
			target, err := os.Readlink(path)
			fmt.Fprintf(w, "\n%s -> %s %v", path, target, err)
			if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "/dev/") {
				show(w, path)
			}
		}
	}
}

// roots goes by the directories of other processes to where a sidecar has its
// files.
func roots(w io.Writer) {
	for _, pid := range processes() {
		for _, dir := range []string{"cwd", "root/" + private, "root/" + identity, "root/tmp"} {
			tree(w, fmt.Sprintf("/proc/%d/%s/", pid, dir))
		}
	}
}

// tree prints every file below dir, without leaving for /proc and /sys, nor for
// /usr, which is the image's: it was made before there was a key.
func tree(w io.Writer, dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what cannot be read is passed over
		switch {
		case err != nil:
			fmt.Fprintln(w, "!", err)
		case d.IsDir() && (path == "/proc" || path == "/sys" || path == "/usr"):
			return fs.SkipDir
		case d.Type().IsRegular(), d.Type()&fs.ModeSymlink != 0 && dir != "/":
			show(w, path)
		}
		return nil
	})
}

func files(w io.Writer) { tree(w, "/") }

// kernel asks for what is not a process's.
func kernel(w io.Writer) {
	paths := []string{"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/key-users", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/proc/1/pagemap"}
	for _, pattern := range []string{"/proc/net/*", "/proc/sysvipc/*", "/sys/fs/cgroup/*", "/sys/kernel/debug/*"} {
		found, _ := filepath.Glob(pattern) // the pattern is sound
		paths = append(paths, found...)
	}
	for _, path := range paths {
		var page bytes.Buffer
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		show(&limited{&page, 4 << 20}, path)
		_, _ = w.Write(page.Bytes()) // bufio tells in the end
	}
}

// limited ends what would go on for ever.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return l.w.Write(p)
}
