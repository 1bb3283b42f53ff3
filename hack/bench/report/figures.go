package report

import (
	"fmt"
	"slices"
	"time"
)

// What a sample holds, as numbers.
func cpu(s Sample) float64       { return float64(s.CPU) }
func perSecond(s Sample) float64 { return s.Rate }
func p50(s Sample) float64       { return float64(s.P50) }
func p99(s Sample) float64       { return float64(s.P99) }
func first50(s Sample) float64   { return float64(s.First50) }
func first99(s Sample) float64   { return float64(s.First99) }
func rss(s Sample) float64       { return float64(s.RSS) }

func values(samples []Sample, of func(Sample) float64) []float64 {
	all := make([]float64, len(samples))
	for i, s := range samples {
		all[i] = of(s)
	}
	return all
}

// paced are all samples of a proxy that set the pace in most of them, and none of
// another. Picked one by one they would be those in which it was slow.
func paced(samples []Sample) []Sample {
	if mostly(samples, func(s Sample) bool { return s.Paced }) {
		return samples
	}
	return nil
}

// overloaded says that a proxy was, in more than half of the rounds.
func overloaded(samples []Sample) bool {
	return mostly(samples, func(s Sample) bool { return s.Overloaded })
}

func mostly(samples []Sample, is func(Sample) bool) bool {
	n := 0
	for _, s := range samples {
		if is(s) {
			n++
		}
	}
	return 2*n > len(samples)
}

// ratios are those of rounds in which both were measured.
func ratios(own, base []Sample, of func(Sample) float64) []float64 {
	var all []float64
	for i := range min(len(own), len(base)) {
		if of(own[i]) > 0 && of(base[i]) > 0 {
			all = append(all, of(own[i])/of(base[i]))
		}
	}
	return all
}

// median of an even count is the mean of the middle two; of none it is zero.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianOf is the median where there was a figure in every round, else zero.
func medianOf(samples []Sample, of func(Sample) float64) float64 {
	all := values(samples, of)
	if slices.Contains(all, 0) {
		return 0
	}
	return median(all)
}

func number(samples []Sample, of func(Sample) float64) string {
	if v := medianOf(samples, of); v > 0 {
		return fmt.Sprintf("%.0f", v)
	}
	return none
}

func duration(samples []Sample, of func(Sample) float64) string {
	if v := medianOf(samples, of); v > 0 {
		return text(v)
	}
	return none
}

// memory is in MB, as the goals are.
func memory(samples []Sample) string {
	if v := medianOf(samples, rss); v > 0 {
		return fmt.Sprintf("%.1f MB", v/1e6)
	}
	return none
}

func ratio(all []float64) string {
	if len(all) == 0 {
		return none
	}
	return fmt.Sprintf("%.2f", median(all))
}

func spread(all []float64) string {
	if len(all) == 0 {
		return none
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(all), slices.Min(all), slices.Max(all))
}

// text writes a time with three digits or so.
func text(ns float64) string {
	d := time.Duration(ns)
	switch size := d.Abs(); {
	case size < 100*time.Microsecond:
		return fmt.Sprintf("%.1f µs", ns/1e3)
	case size < 10*time.Millisecond:
		return fmt.Sprintf("%.0f µs", ns/1e3)
	default:
		return fmt.Sprintf("%.1f ms", ns/1e6)
	}
}
