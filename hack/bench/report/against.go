package report

import (
	"fmt"
	"io"
)

// Measure is what a proxy is held to another by.
type Measure struct {
	what  string
	of    func(Sample) float64
	more  bool // more is better
	paced bool // it is compared where both set the pace
}

// What is measured of requests, and of events.
var (
	CPU  = Measure{"CPU per request", cpu, false, false}
	Rate = Measure{"requests/s", perSecond, true, true}
	P99  = Measure{"p99", p99, false, false}

	EventCPU  = Measure{"CPU per event", cpu, false, false}
	EventRate = Measure{"events/s", perSecond, true, true}
)

// Against counts, for each measure, the scenarios in which the median of a proxy's
// ratios is no worse than 1, and finds the worst of them. Where one of the two was
// overloaded there is none.
func (r Rows) Against(w io.Writer, proxy string, measures ...Measure) {
	for _, m := range measures {
		met, all, worst, where := 0, 0, 0.0, ""
		for _, row := range r.All {
			list := m.ratios(row.Samples, r.of(row.Scenario, r.Base))
			if row.Proxy != proxy || len(list) == 0 {
				continue
			}
			all++
			middle := median(list)
			badness := middle
			if m.more {
				badness = 1 / middle
			}
			if badness <= 1 {
				met++
			}
			if badness > worst {
				worst, where = badness, fmt.Sprintf("%.2f at %s", middle, row.Scenario)
			}
		}
		if all == 0 {
			fmt.Fprintf(w, "- %s of %s: not compared with %s in any scenario.\n", m.what, proxy, r.Base)
			continue
		}
		fmt.Fprintf(w, "- %s of %s: no worse than %s in %d of %d scenarios that compare it; worst %s.\n", m.what, proxy, r.Base, met, all, where)
	}
}

func (m Measure) ratios(own, base []Sample) []float64 {
	if overloaded(own) || overloaded(base) {
		return nil
	}
	if m.paced {
		own, base = paced(own), paced(base)
	}
	return ratios(own, base, m.of)
}
