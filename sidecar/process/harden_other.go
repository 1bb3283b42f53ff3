//go:build !linux

package process

import "os"

// Harden does nothing here: only Linux keeps the memory of a process from
// others of the same user on request.
func Harden() error { return nil }

// Stdout is the standard output.
func Stdout() *os.File { return os.Stdout }
