//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// shared is the directory that a sidecar writes and the agent reads.
const shared = "/var/run/sallyport"

// links plants links where a sidecar writes, and follows links and devices to
// where it keeps its own. A line that begins with "planted" is a success.
func links([]string) error {
	out := bufio.NewWriter(os.Stdout)
	plant(out)
	dir, err := os.MkdirTemp("", "links-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for i, target := range []string{"/" + private, "/" + identity, shared + "/../sallyport-private", "/proc/1/root/" + private} {
		link := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Symlink(target, link); err != nil {
			return fmt.Errorf("making a link: %w", err)
		}
		tree(out, link+"/")
	}
	devices(out, dir)
	return out.Flush()
}

// plant tries to change the shared directory. It is mounted read-only.
func plant(w io.Writer) {
	attempts := map[string]func() error{
		"link":    func() error { return os.Symlink("/"+private, filepath.Join(shared, "link")) },
		"file":    func() error { return os.WriteFile(filepath.Join(shared, "file"), nil, 0o600) },
		"rename":  func() error { return os.Rename(shared, shared+"-mine") },
		"remove":  func() error { return os.RemoveAll(shared) },
		"remount": func() error { return syscall.Mount("", shared, "", syscall.MS_REMOUNT|syscall.MS_BIND, "") },
		"mount":   func() error { return syscall.Mount("tmpfs", shared, "tmpfs", 0, "") },
		"unmount": func() error { return syscall.Unmount(shared, 0) },
	}
	entries, _ := os.ReadDir(shared) // none is none
	for _, e := range entries {
		token := filepath.Join(shared, e.Name(), "token")
		attempts["swap of "+token] = func() error { return os.Symlink("/"+private, token+"-") }
		attempts["truncation of "+token] = func() error { return os.Truncate(token, 0) }
	}
	for name, try := range attempts {
		if err := try(); err != nil {
			fmt.Fprintln(w, "refused", name, err)
			continue
		}
		fmt.Fprintln(w, "planted", name)
		_ = os.Remove(filepath.Join(shared, name)) // the next one begins anew
	}
}

// devices makes the node's disks its own, and reads them.
func devices(w io.Writer, dir string) {
	partitions, _ := os.ReadFile("/proc/partitions") // none is none
	for line := range strings.Lines(string(partitions)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue
		}
		major, err := strconv.ParseUint(f[0], 10, 8)
		minor, err2 := strconv.ParseUint(f[1], 10, 8)
		if err != nil || err2 != nil {
			continue
		}
		disk := filepath.Join(dir, f[3])
		if err := syscall.Mknod(disk, syscall.S_IFBLK|0o600, int(major<<8|minor)); err != nil {
			fmt.Fprintln(w, "refused device", f[3], err)
			continue
		}
		if _, err := os.Open(disk); err != nil {
			fmt.Fprintln(w, "refused device", f[3], err)
			continue
		}
		fmt.Fprintln(w, "planted device", f[3])
	}
}
