package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// recordFile is the record. What is between the marks is written by this command.
const (
	recordFile = "docs/fuzzing.md"
	beginMark  = "<!-- written by hack/fuzz.sh -->\n"
	endMark    = "<!-- end -->\n"
)

const heading = "| Target | What it holds | Processor time | Wall time | Executions | Committed inputs | Revision | Findings |\n|---|---|---:|---:|---:|---:|---|---|\n"

// recorded matches a row: the target, and what was measured.
var recorded = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .* \\|((?:[^|\n]*\\|){6})$")

// measured are the cells of r behind what the target holds.
func (r *row) measured() string {
	return fmt.Sprintf(" %s | %s | %d | %d | `%s` | %s |", r.processor.Round(time.Second), r.wall.Round(time.Second),
		r.executions, r.corpus, r.revision, map[bool]string{true: "none", false: "**yes**"}[r.findings == 0])
}

// table is what is printed at the end.
func table(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-44s %10s %10s %12s %7s  %s\n", "target", "processor", "wall", "executions", "inputs", "findings")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-44s %10s %10s %12d %7d  %d\n", r.target, r.processor.Round(time.Second), r.wall.Round(time.Second), r.executions, r.corpus, r.findings)
	}
	return b.String()
}

// store puts the row of a target into the record in place of the one before.
// Targets that are no more leave it, those that were never run say so.
func store(targets []target, done row) error {
	text, err := os.ReadFile(recordFile)
	if err != nil {
		return fmt.Errorf("reading the record: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	written, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return fmt.Errorf("reading the record: %s lacks the marks %q and %q", recordFile, beginMark, endMark)
	}
	known := map[string]string{}
	for _, line := range recorded.FindAllStringSubmatch(written, -1) {
		known[line[1]] = line[2]
	}
	known[done.target] = done.measured()
	var b strings.Builder
	b.WriteString(before + beginMark + heading)
	for _, t := range targets {
		measured, ok := known[t.name()]
		if !ok {
			measured = fmt.Sprintf(" - | - | - | %d | - | not run |", len(inputs(&t)))
		}
		fmt.Fprintf(&b, "| `%s` | %s |%s\n", t.name(), t.property, measured)
	}
	b.WriteString(endMark + after)
	if err := os.WriteFile(recordFile, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	return nil
}
