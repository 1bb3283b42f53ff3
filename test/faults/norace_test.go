//go:build !race

package faults

// perConnection is what an idle connection may take, those of the test's agent and
// upstream among it, in bytes.
const perConnection = 12 << 10
