//go:build race

package faults

// perConnection is what an idle connection may take, those of the test's agent and
// upstream among it, in bytes. Under the race detector stacks are twice as large:
// what counts is measured without it.
const perConnection = 20 << 10
