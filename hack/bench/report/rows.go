// Package report writes what was measured as Markdown. Figures of a machine
// say little by themselves: beside each stands its ratio to HAProxy's, or what
// it adds to no proxy at all, of the same round.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Sample is one run of one proxy. What was not measured is zero.
type Sample struct {
	CPU        time.Duration // of the proxy, per request or event
	Rate       float64       // requests or events per second
	Paced      bool          // the load waited for the proxy: without that, Rate says more about the load
	P50, P99   time.Duration
	First50    time.Duration // until the first event
	First99    time.Duration
	RSS        int64 // bytes
	Overloaded bool  // it did not get through what was asked
}

// Row is one proxy in one scenario: a sample of each round.
type Row struct {
	Scenario, Proxy string
	Samples         []Sample
}

// Rows are those of one table; the rows of a scenario stand together. Direct
// and Base are names of proxies: no proxy at all, and the one that ratios are to.
type Rows struct {
	Direct, Base string
	All          []Row
}

func (r Rows) of(scenario, proxy string) []Sample {
	for _, row := range r.All {
		if row.Scenario == scenario && row.Proxy == proxy {
			return row.Samples
		}
	}
	return nil
}

const none = "–"

// Closed writes what was asked as fast as it was answered.
func (r Rows) Closed(w io.Writer) {
	fmt.Fprintln(w, "| | Proxy | CPU/request | ratio to HAProxy (least to most) | requests/s | ratio | p50 | p99 | ratio | RSS |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	r.each(w, func(row Row, base []Sample) []string {
		rate := row.Samples
		if row.Proxy != r.Direct { // whose pace is the load's
			rate = paced(rate)
		}
		return []string{
			duration(row.Samples, cpu), spread(ratios(row.Samples, base, cpu)),
			number(rate, perSecond), ratio(ratios(rate, paced(base), perSecond)),
			duration(row.Samples, p50), duration(row.Samples, p99), ratio(ratios(row.Samples, base, p99)), memory(row.Samples),
		}
	})
}

// Streams writes what event streams cost.
func (r Rows) Streams(w io.Writer) {
	fmt.Fprintln(w, "| | Proxy | CPU/event | ratio to HAProxy (least to most) | events/s | ratio | first event p50 | added to direct (least to most) | p99 added | RSS |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	r.each(w, func(row Row, base []Sample) []string {
		rate := row.Samples
		if row.Proxy != r.Direct { // whose pace is the load's
			rate = paced(rate)
		}
		direct := r.of(row.Scenario, r.Direct)
		return []string{
			duration(row.Samples, cpu), spread(ratios(row.Samples, base, cpu)),
			number(rate, perSecond), ratio(ratios(rate, paced(base), perSecond)),
			duration(row.Samples, first50), r.added(row, direct, first50, true), r.added(row, direct, first99, false), memory(row.Samples),
		}
	})
}

// Open writes what was asked at the same rate of each.
func (r Rows) Open(w io.Writer) {
	fmt.Fprintln(w, "| | Proxy | p50 | added to direct (least to most) | p99 | added to direct (least to most) | p99, ratio to HAProxy (least to most) | CPU/request | RSS |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	r.each(w, func(row Row, base []Sample) []string {
		if overloaded(row.Samples) {
			return []string{"overloaded", none, none, none, none, duration(row.Samples, cpu), memory(row.Samples)}
		}
		if overloaded(base) {
			base = nil
		}
		direct := r.of(row.Scenario, r.Direct)
		return []string{
			duration(row.Samples, p50), r.added(row, direct, p50, true), duration(row.Samples, p99), r.added(row, direct, p99, true),
			spread(ratios(row.Samples, base, p99)), duration(row.Samples, cpu), memory(row.Samples),
		}
	})
}

func (r Rows) each(w io.Writer, cells func(row Row, base []Sample) []string) {
	last := ""
	for _, row := range r.All {
		scenario := row.Scenario
		if scenario == last {
			scenario = ""
		}
		last = row.Scenario
		all := append([]string{scenario, row.Proxy}, cells(row, r.of(row.Scenario, r.Base))...)
		fmt.Fprintln(w, "| "+strings.Join(all, " | ")+" |")
	}
}

// added is what a proxy adds to no proxy at all, round by round.
func (r Rows) added(row Row, direct []Sample, of func(Sample) float64, withSpread bool) string {
	if row.Proxy == r.Direct || len(direct) != len(row.Samples) || median(values(row.Samples, of)) == 0 {
		return none
	}
	all := make([]float64, len(direct))
	for i := range all {
		all[i] = of(row.Samples[i]) - of(direct[i])
	}
	if !withSpread {
		return text(median(all))
	}
	return fmt.Sprintf("%s (%s to %s)", text(median(all)), text(slices.Min(all)), text(slices.Max(all)))
}
