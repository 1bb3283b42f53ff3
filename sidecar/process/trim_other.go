//go:build !linux

package process

import "runtime/debug"

// Trim gives back what is free of the heap.
func Trim() { debug.FreeOSMemory() }
