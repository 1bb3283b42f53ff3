//go:build !linux

package process

// Harden does nothing here: only Linux keeps the memory of a process from
// others of the same user on request.
func Harden() error { return nil }
