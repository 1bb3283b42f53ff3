package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below end at once, and are made without telling Go's scheduler: it
// would hand the thread's turn to others of this process, and give it back when
// these let go.

func wait(epoll int, events []unix.EpollEvent) (int, error) {
	return call(unix.SYS_EPOLL_PWAIT, epoll, unsafe.Pointer(unsafe.SliceData(events)), len(events), 0)
}

func receive(fd int, b []byte, flags int) (int, error) {
	return call(unix.SYS_RECVFROM, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), flags)
}

func send(fd int, b []byte) (int, error) {
	return call(unix.SYS_SENDTO, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), unix.MSG_NOSIGNAL)
}

// call passes zero for what else each of them takes: no timeout, no signals, no
// address.
func call(trap uintptr, fd int, at unsafe.Pointer, n, flags int) (int, error) {
	got, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(at), uintptr(n), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
