package process

import (
	"os"
	"syscall"
)

// Stdout is the standard output. Where it is a pipe, as in a container, writes
// to it may have deadlines: whoever reads it may hang, and a pipe that is full
// makes a writer wait for ever. It is to be called once.
func Stdout() *os.File {
	var it syscall.Stat_t
	if err := syscall.Fstat(syscall.Stdout, &it); err != nil || it.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return os.Stdout // a file, which fails where it is full
	}
	if err := syscall.SetNonblock(syscall.Stdout, true); err != nil {
		return os.Stdout
	}
	return os.NewFile(uintptr(syscall.Stdout), os.Stdout.Name())
}
