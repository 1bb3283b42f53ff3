package main

import (
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
)

// goal is how much longer a bystander may wait beside hostile agents than beside
// others with as much to do, at the 99th percentile.
const goal = 2

// slack is how many descriptors a run may differ in: some are opened with the first
// request.
const slack = 4

// progress tells of a phase that is over.
func (l *load) progress(n int, p *phase) {
	what := "calm "
	if p.beset {
		what = "beset"
	}
	fmt.Fprintf(l.out, "%2d/%d %s %v: a bystander's p99 %v, past the data plane %v; the load's p50 %v, p99 %v, past the data plane %v; cores %.0f %% and %.0f %%; %.1f MiB, %d descriptors; %d wrong\n",
		n+1, l.pairs, what, p.length, round(p.other.Through.P99), round(p.other.Past.P99), round(p.through.at(0.5)), round(p.through.at(0.99)), round(p.control.at(0.99)),
		percent(p.used.subject, p.length), percent(p.used.load, p.length), mib(p.memory), p.open, p.through.wrong.Load())
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// row is a time of each phase.
type row struct {
	name string
	of   func(*phase) time.Duration
}

// waits is the one that has a goal.
var waits = row{"a bystander, p99", func(p *phase) time.Duration { return p.other.Through.P99 }}

var rows = []row{
	{"a bystander, p50", func(p *phase) time.Duration { return p.other.Through.P50 }},
	{"a bystander, p90", func(p *phase) time.Duration { return p.other.Through.P90 }},
	waits,
	{"a bystander, p99.9", func(p *phase) time.Duration { return p.other.Through.P999 }},
	{"past the data plane, p50", func(p *phase) time.Duration { return p.other.Past.P50 }},
	{"past the data plane, p99", func(p *phase) time.Duration { return p.other.Past.P99 }},
	{"the load, p50", func(p *phase) time.Duration { return p.through.at(0.5) }},
	{"the load, p99", func(p *phase) time.Duration { return p.through.at(0.99) }},
	{"past the data plane, p50", func(p *phase) time.Duration { return p.control.at(0.5) }},
	{"past the data plane, p99", func(p *phase) time.Duration { return p.control.at(0.99) }},
}

// ratios are those of each phase beside hostile agents to the one before it.
func (l *load) ratios(r row) (list []float64) {
	for i := 0; i+1 < len(l.all); i += 2 {
		list = append(list, float64(r.of(l.all[i+1]))/float64(max(1, r.of(l.all[i]))))
	}
	slices.Sort(list)
	return list
}

// table tells of the whole run.
func (l *load) table(before, after int) {
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	defer func() { _ = w.Flush() }() // to standard output: there is nobody else to tell
	fmt.Fprintf(w, "\n\tcalm\tbeset\tratio by pairs: median (least to most)\n")
	for _, r := range rows {
		list := l.ratios(r)
		fmt.Fprintf(w, "%s\t%v\t%v\t%.2f (%.2f to %.2f)\n", r.name, l.median(false, r), l.median(true, r),
			list[len(list)/2], list[0], list[len(list)-1])
	}
	early, late := l.memory.ends()
	wrong, visits := int64(0), int64(0)
	for _, p := range l.all {
		wrong += p.through.wrong.Load()
		visits += p.visits
	}
	fmt.Fprintf(w, "requests, wrong answers\t%d\t%d\t\n", l.asked, wrong)
	fmt.Fprintf(w, "records, hostile visits\t%d\t%d\t\n", l.subject.records.Load(), visits)
	fmt.Fprintf(w, "memory early, late (most)\t%.1f MiB\t%.1f MiB\t(%.1f MiB)\n", mib(early), mib(late), mib(l.memory.most()))
	fmt.Fprintf(w, "descriptors before, after (most)\t%d\t%d\t(%d)\n", before, after, l.open())
}

// median is that of the phases of one kind.
func (l *load) median(beset bool, r row) time.Duration {
	var list []time.Duration
	for _, p := range l.all {
		if p.beset == beset {
			list = append(list, r.of(p))
		}
	}
	slices.Sort(list)
	return round(list[len(list)/2])
}

func (l *load) open() (most int) {
	for _, p := range l.all {
		most = max(most, p.open)
	}
	return most
}

// verdict tells of wrong answers.
func (p *phase) verdict() error {
	return errors.Join(p.through.verdict(), p.control.verdict(), unless(p.other.Wrong == "", "a bystander is answered %s", p.other.Wrong))
}

// verdict is what is not as it has to be.
func (l *load) verdict(before, after int) error {
	var failures []error
	for _, p := range l.all {
		failures = append(failures, p.verdict())
	}
	p99 := l.ratios(waits)
	return errors.Join(append(failures, l.memory.flat(),
		unless(l.subject.records.Load() == l.asked, "%d records of %d requests", l.subject.records.Load(), l.asked),
		unless(after <= before+slack, "%d descriptors are left of %d", after, before),
		unless(p99[len(p99)/2] < goal, "the 99th percentile of a bystander grew %.2f times, not less than %d", p99[len(p99)/2], goal))...)
}
