package process

import (
	"bufio"
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Trim gives back memory that only the start needed, or the reading of a large
// document: what is free of the heap, and the pages of the program itself, of
// which the kernel had brought in whole neighbourhoods. Those that are in use
// come back from the page cache, a few microseconds each. Where something of it
// is not to be had, nothing is lost.
func Trim() {
	debug.FreeOSMemory()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		if start, length, ok := readOnly(lines.Text(), self); ok {
			// A private mapping that is never written to is read again as it was.
			_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, start, length, syscall.MADV_DONTNEED)
		}
	}
}

// readOnly reads a line of /proc/PID/maps (proc_pid_maps(5)), and tells whether it
// is a part of file that is not written to.
func readOnly(line, file string) (start, length uintptr, ok bool) {
	fields := strings.Fields(line)
	const places, permissions, path = 0, 1, 5
	if len(fields) != path+1 || fields[path] != file || strings.ContainsAny(fields[permissions], "ws") {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(fields[places], "-")
	first, errFirst := strconv.ParseUint(from, 16, strconv.IntSize)
	last, errLast := strconv.ParseUint(to, 16, strconv.IntSize)
	if errFirst != nil || errLast != nil || last <= first {
		return 0, 0, false
	}
	return uintptr(first), uintptr(last - first), true
}

// Used is the processor time that the process has used so far; zero where that is
// not known.
func Used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
