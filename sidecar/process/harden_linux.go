package process

import (
	"fmt"
	"syscall"
)

// Harden keeps the memory of this process from others of the same user: no
// core is dumped, and neither ptrace nor /proc/PID/mem, environ or fd can be
// opened without privileges. A program that it starts begins anew, but keeps
// the limit on cores. It is to be called before there is a secret in memory.
func Harden() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("limiting core dumps: %w", err)
	}
	const dumpable = 0
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, dumpable, 0); e != 0 {
		return fmt.Errorf("making memory private: %w", e)
	}
	return nil
}
