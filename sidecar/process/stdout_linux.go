package process

import (
	"io"
	"os"
	"strconv"
	"syscall"
)

// Stdout is the standard output. Where it is a pipe, as in a container, writes
// to it may have deadlines: whoever reads it may hang, and a pipe that is full
// makes a writer wait for ever. It is to be called once.
func Stdout() *os.File { return patient(os.Stdout, syscall.Stdout) }

// Stderr is the standard error, [Lossy]. It is to be called once.
func Stderr() io.Writer { return Lossy(patient(os.Stderr, syscall.Stderr)) }

// patient returns f, which has this descriptor, as one to which writes may have
// deadlines where it is a pipe.
func patient(f *os.File, descriptor int) *os.File {
	var it syscall.Stat_t
	if err := syscall.Fstat(descriptor, &it); err != nil || it.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return f // a file, which fails where it is full
	}
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		return f
	}
	return os.NewFile(uintptr(descriptor), f.Name())
}

// Apart returns a pipe that f is as one to which writes may have deadlines, as
// those to [Stdout], and what closes it; of anything else f itself. How others write
// to the same pipe does not change: they may not know of writes that do not wait.
func Apart(f *os.File) (own *os.File, closeOwn func()) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return f, func() {}
	}
	own, err = os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return f, func() {} // the pipe of another user
	}
	return own, func() { _ = own.Close() }
}
