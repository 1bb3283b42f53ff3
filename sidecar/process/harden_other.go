//go:build !linux

package process

import (
	"io"
	"os"
)

// Harden does nothing here: only Linux keeps the memory of a process from
// others of the same user on request.
func Harden() error { return nil }

// Stdout is the standard output.
func Stdout() *os.File { return os.Stdout }

// Stderr is the standard error.
func Stderr() io.Writer { return os.Stderr }

// Apart is f.
func Apart(f *os.File) (own *os.File, closeOwn func()) { return f, func() {} }
