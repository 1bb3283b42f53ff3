package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount is one line of /proc/self/mountinfo; see proc(5).
type mount struct {
	point   string
	fs      string
	options string // of the superblock
}

func mounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return parseMounts(string(data)), nil
}

func parseMounts(info string) []mount {
	var list []mount
	for line := range strings.Lines(info) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		const point, leastLeft, leastRight = 4, 6, 3
		if !ok || len(left) < leastLeft || len(right) < leastRight {
			continue
		}
		list = append(list, mount{point: unescape(left[point]), fs: right[0], options: right[2]})
	}
	return list
}

// unescape undoes the kernel's octal notation for blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		const digits, base, bits = 3, 8, 8
		if s[i] == '\\' && i+digits < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+1+digits], base, bits); err == nil {
				b.WriteByte(byte(n))
				i += digits
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// below lists the mount points inside dir, the last mounted first.
func below(list []mount, dir string) []string {
	var points []string
	for _, m := range list {
		if strings.HasPrefix(m.point, dir+"/") {
			points = append(points, m.point)
		}
	}
	slices.Reverse(points)
	return points
}

// Unmount unmounts all that is mounted below dir. Afterwards nothing is, or
// there is an error: only then is it safe to remove dir.
func Unmount(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding mounts: %w", err)
	}
	list, err := mounts()
	if err != nil {
		return err
	}
	for _, p := range below(list, dir) {
		// EINVAL: it went with one that was mounted over it.
		err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmounting %s: %w", p, err)
		}
	}
	list, err = mounts()
	if err != nil {
		return err
	}
	if left := below(list, dir); len(left) > 0 {
		return fmt.Errorf("unmounting %s: it is still mounted", left[0])
	}
	return nil
}
