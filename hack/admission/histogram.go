package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// histogram is one of Prometheus's: how many were at most that slow. Bounds are
// in seconds and rise; the last one is infinite.
type histogram struct {
	bounds []float64
	counts []float64
	count  float64
	sum    float64 // seconds
}

// since is what came after an earlier look.
func (h histogram) since(before histogram) histogram {
	d := histogram{bounds: h.bounds, counts: slices.Clone(h.counts), count: h.count - before.count, sum: h.sum - before.sum}
	for i := range before.counts { // none where there was no sample
		d.counts[i] -= before.counts[i]
	}
	return d
}

// quantile is what PromQL's histogram_quantile makes of h: it takes samples to
// be spread evenly within a bucket.
func (h histogram) quantile(q float64) float64 {
	rank, from, below := q*h.count, 0.0, 0.0
	for i, bound := range h.bounds {
		if h.counts[i] >= rank && !math.IsInf(bound, 1) {
			return from + (bound-from)*(rank-below)/max(h.counts[i]-below, 1)
		}
		if !math.IsInf(bound, 1) {
			from, below = bound, h.counts[i]
		}
	}
	return from // more than the last bound
}

// mean is exact, unlike what is interpolated.
func (h histogram) mean() float64 { return h.sum / max(h.count, 1) }

// within is the share that was at most that slow, which is one of the bounds.
func (h histogram) within(bound float64) float64 {
	i := slices.Index(h.bounds, bound)
	if i < 0 || h.count == 0 {
		return 0
	}
	return h.counts[i] / h.count
}

// metrics are what is read of the API server.
type metrics struct{ review, request histogram }

func scrape(ctx context.Context, clients kubernetes.Interface) (m metrics, err error) {
	text, err := clients.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return m, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	m.review = read(string(text), "apiserver_admission_webhook_admission_duration_seconds", `name="agent.sallyport.dev"`, `operation="CREATE"`)
	m.request = read(string(text), "apiserver_request_duration_seconds", `resource="pods"`, `verb="POST"`, `subresource=""`)
	return m, nil
}

// read adds up the series of a histogram that have all of these labels.
func read(text, name string, labels ...string) (h histogram) {
	counts := map[float64]float64{}
	for line := range strings.Lines(text) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			h.add(counts, strings.TrimPrefix(series, name), n)
		}
	}
	for bound := range counts {
		h.bounds = append(h.bounds, bound)
	}
	slices.Sort(h.bounds)
	for _, bound := range h.bounds {
		h.counts = append(h.counts, counts[bound])
	}
	return h
}

// add adds one sample; counts are by bound.
func (h *histogram) add(counts map[float64]float64, series string, n float64) {
	switch {
	case strings.HasPrefix(series, "_count{"):
		h.count += n
	case strings.HasPrefix(series, "_sum{"):
		h.sum += n
	case strings.HasPrefix(series, "_bucket{"):
		_, rest, _ := strings.Cut(series, `le="`)
		le, _, _ := strings.Cut(rest, `"`)
		if bound, err := strconv.ParseFloat(le, 64); err == nil {
			counts[bound] += n
		}
	}
}
