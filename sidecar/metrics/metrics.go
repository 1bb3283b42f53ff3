// Package metrics counts, and writes counts in the text format of Prometheus.
//
// It knows counters, gauges and histograms with fixed buckets: what the
// sidecar needs, and nothing that would bring a client library beside an
// untrusted agent.
package metrics

import (
	"strconv"
	"sync/atomic"
	"time"
)

// buckets are the upper bounds of a [Histogram], in seconds.
var buckets = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Histogram counts durations. The zero value is empty. It is safe for
// concurrent use.
type Histogram struct {
	counts [len(buckets) + 1]atomic.Uint64 // each observation in one of them
	micros atomic.Uint64
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	i, seconds := 0, d.Seconds()
	for i < len(buckets) && seconds > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(uint64(max(0, d.Microseconds())))
}

// Label is a name and a value. Names are ours; values may be anything.
type Label struct{ Name, Value string }

// Text is a page of metrics. The zero value is empty.
type Text struct{ buf []byte }

// Bytes returns the page.
func (t *Text) Bytes() []byte { return t.buf }

// Family starts the metrics of one name, of which kind is counter, gauge or
// histogram. Each family is started once, and its samples follow it.
func (t *Text) Family(name, kind, help string) {
	t.buf = append(append(append(t.buf, "# HELP "...), name...), ' ')
	t.buf = append(append(t.buf, help...), "\n# TYPE "...)
	t.buf = append(append(append(t.buf, name...), ' '), kind...)
	t.buf = append(t.buf, '\n')
}

// Sample adds one value.
func (t *Text) Sample(name string, value float64, labels ...Label) {
	t.name(name, labels)
	t.value(value)
}

// Histogram adds the samples of h.
func (t *Text) Histogram(name string, h *Histogram, labels ...Label) {
	total := uint64(0)
	with := append(append([]Label(nil), labels...), Label{Name: "le"})
	le := &with[len(labels)]
	for i := range h.counts {
		total += h.counts[i].Load()
		le.Value = "+Inf"
		if i < len(buckets) {
			le.Value = strconv.FormatFloat(buckets[i], 'g', -1, 64)
		}
		t.Sample(name+"_bucket", float64(total), with...)
	}
	t.Sample(name+"_sum", float64(h.micros.Load())/1e6, labels...)
	t.Sample(name+"_count", float64(total), labels...)
}

func (t *Text) name(name string, labels []Label) {
	t.buf = append(t.buf, name...)
	for i, l := range labels {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		t.buf = append(append(append(t.buf, separator), l.Name...), '=', '"')
		t.escaped(l.Value)
		t.buf = append(t.buf, '"')
	}
	if len(labels) > 0 {
		t.buf = append(t.buf, '}')
	}
}

func (t *Text) escaped(s string) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\', '"':
			t.buf = append(t.buf, '\\', c)
		case '\n':
			t.buf = append(t.buf, '\\', 'n')
		default:
			t.buf = append(t.buf, c)
		}
	}
}

func (t *Text) value(v float64) {
	t.buf = strconv.AppendFloat(append(t.buf, ' '), v, 'g', -1, 64)
	t.buf = append(t.buf, '\n')
}
