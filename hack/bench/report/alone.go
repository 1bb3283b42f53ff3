package report

import (
	"fmt"
	"io"
	"slices"
)

// Figure is one of Sallyport's alone, measured a few times.
type Figure struct {
	What     string
	Values   []float64
	Goal     float64                // at most
	Write    func(v float64) string // a value
	Controls []Control
}

// Control is the same of another program, or of none.
type Control struct {
	What   string
	Values []float64
}

// Bytes writes bytes as MB.
func Bytes(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }

// Nanoseconds writes a time.
func Nanoseconds(v float64) string { return text(v) }

// Alone writes figures with their goals. One is met if it is by the median.
func Alone(w io.Writer, all []Figure) {
	fmt.Fprintln(w, "| | Median (least to most) | Controls | Goal | |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	for _, f := range all {
		controls := none
		for i, c := range f.Controls {
			if i == 0 {
				controls = ""
			} else {
				controls += "; "
			}
			controls += c.What + " " + between(c.Values, f.Write)
		}
		fmt.Fprintf(w, "| %s | %s | %s | ≤ %s | %s |\n", f.What, between(f.Values, f.Write), controls, f.Write(f.Goal), f.verdict())
	}
}

func between(values []float64, write func(float64) string) string {
	if len(values) == 0 {
		return none
	}
	return fmt.Sprintf("%s (%s to %s)", write(median(values)), write(slices.Min(values)), write(slices.Max(values)))
}

func (f Figure) verdict() string {
	switch {
	case len(f.Values) == 0:
		return "not measured"
	case slices.Max(f.Values) <= f.Goal:
		return "met"
	case median(f.Values) <= f.Goal:
		return "met by the median, not every time"
	}
	return "missed"
}

// Added are the figures of what a proxy adds to no proxy at all in one
// scenario; first says that it is the first event's.
func (r Rows) Added(scenario, proxy string, quantile int, first bool) []float64 {
	of := map[int]func(Sample) float64{50: p50, 99: p99}[quantile]
	if first {
		of = map[int]func(Sample) float64{50: first50, 99: first99}[quantile]
	}
	own, direct := r.of(scenario, proxy), r.of(scenario, r.Direct)
	var all []float64
	for i := range min(len(own), len(direct)) {
		all = append(all, of(own[i])-of(direct[i]))
	}
	return all
}
