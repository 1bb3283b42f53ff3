package report

import (
	"fmt"
	"io"
	"math"
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
// ratios is no worse than 1, and finds the worst of them. One in which the proxy was
// overloaded is worse than any; where the base was, nothing is compared.
func (r Rows) Against(w io.Writer, proxy string, measures ...Measure) {
	for _, m := range measures {
		met, all, worst, where := 0, 0, 0.0, ""
		for _, row := range r.All {
			middle, badness := m.compare(row.Samples, r.of(row.Scenario, r.Base))
			if row.Proxy != proxy || badness == 0 {
				continue
			}
			all++
			if badness <= 1 {
				met++
			}
			if badness > worst {
				worst, where = badness, middle+" at "+row.Scenario
			}
		}
		if all == 0 {
			fmt.Fprintf(w, "- %s of %s: not compared with %s in any scenario.\n", m.what, proxy, r.Base)
			continue
		}
		fmt.Fprintf(w, "- %s of %s: no worse than %s in %d of %d scenarios that compare it; worst %s.\n", m.what, proxy, r.Base, met, all, where)
	}
}

// compare returns the median of the ratios, in words, and how many times worse that
// is than the base; 0: nothing is compared.
func (m Measure) compare(own, base []Sample) (middle string, badness float64) {
	switch {
	case len(own) == 0 || len(base) == 0 || overloaded(base):
		return "", 0
	case overloaded(own):
		return "overloaded", math.Inf(1)
	case m.paced:
		own, base = paced(own), paced(base)
	}
	list := ratios(own, base, m.of)
	if len(list) == 0 {
		return "", 0
	}
	badness = median(list)
	middle = fmt.Sprintf("%.2f", badness)
	if m.more {
		badness = 1 / badness
	}
	return middle, badness
}
