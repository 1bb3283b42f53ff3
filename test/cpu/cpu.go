// Package cpu measures benchmarks by processor time: on a machine that others
// use too, the time on the wall says how busy they are.
package cpu

import (
	"syscall"
	"testing"
)

// Loop runs work as b.Loop does, and reports the processor time of the process
// for each run, that of the garbage collector included, as cpu-ns/op.
func Loop(b *testing.B, work func()) {
	b.Helper()
	before := used(b)
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op")
}

func used(b *testing.B) int64 {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
