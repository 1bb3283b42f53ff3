package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report prints medians, and ratios to HAProxy round by round, with their
// spread: absolute figures of a shared machine say little.
func report(w io.Writer, o options, results map[string][]sample) error {
	fmt.Fprintf(w, "%d rounds of %v, %d connections, answers of %d bytes, one core for the proxy\n\n",
		o.rounds, o.length, o.connections, o.body)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "proxy\tCPU/request\tratio to HAProxy (min-max)\trequests/s\tratio\tp50\tp99\tp99 ratio\tmemory")
	for _, p := range peers {
		own, base := results[p.name], results[haproxy]
		cpu := ratios(own, base, func(s sample) float64 { return float64(s.cpu) })
		rate := ratios(own, base, func(s sample) float64 { return s.rate })
		p99 := ratios(own, base, func(s sample) float64 { return float64(s.p99) })
		fmt.Fprintf(t, "%s\t%v\t%.2f (%.2f-%.2f)\t%s\t%s\t%v\t%v\t%.2f\t%.1f MiB\n", p.name,
			time.Duration(median(own, func(s sample) float64 { return float64(s.cpu) })).Round(100*time.Nanosecond),
			middle(cpu), slices.Min(cpu), slices.Max(cpu),
			orNone(median(own, func(s sample) float64 { return s.rate }), "%.0f"), orNone(middle(rate), "%.2f"),
			time.Duration(median(own, func(s sample) float64 { return float64(s.p50) })).Round(time.Microsecond),
			time.Duration(median(own, func(s sample) float64 { return float64(s.p99) })).Round(time.Microsecond),
			middle(p99), median(own, func(s sample) float64 { return float64(s.rss) })/(1<<20))
	}
	return t.Flush()
}

// orNone prints a figure, or a dash where the proxy's core was not full.
func orNone(v float64, format string) string {
	if v <= 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func median(list []sample, of func(sample) float64) float64 {
	values := make([]float64, len(list))
	for i, s := range list {
		values[i] = of(s)
	}
	return middle(values)
}

func ratios(own, base []sample, of func(sample) float64) []float64 {
	out := make([]float64, len(own))
	for i := range own {
		if b := of(base[i]); b > 0 {
			out[i] = of(own[i]) / b
		}
	}
	return out
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
