package health

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

func page(t *metrics.Text) {
	var counted metrics.Histogram
	counted.Observe(3 * time.Millisecond)
	counted.Observe(2 * time.Hour)
	t.Family("sallyport_decisions_total", "counter", "Requests judged.")
	t.Sample("sallyport_decisions_total", 1e9, metrics.Label{Name: "credential", Value: "a\"b\\c\nd é"}, metrics.Label{Name: "reason", Value: ""})
	t.Family("sallyport_request_duration_seconds", "histogram", "Time.")
	t.Histogram("sallyport_request_duration_seconds", &counted, metrics.Label{Name: "credential", Value: "x"})
	t.Family("sallyport_connections", "gauge", "Connections.")
	t.Sample("sallyport_connections", 0.5)
}

func start(t *testing.T, ready func() bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(Options{Ready: ready, Metrics: page}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// ask sends raw bytes and returns the answer.
func ask(t *testing.T, address, raw string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, raw)
	method, _, _ := strings.Cut(raw, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestPages(t *testing.T) {
	var ready atomic.Bool
	address := start(t, ready.Load)
	for line, want := range map[string]int{
		"GET /healthz": 200, "GET /readyz": 503, "GET /startupz": 503, "GET /metrics": 200,
		"GET /": 404, "GET /healthz/": 404, "GET /x/healthz": 404, "GET /healthz?x": 404, "GET /debug/pprof/heap": 404,
		"GET /%68ealthz": 404, "GET //healthz": 404, "GET http://x/healthz": 404, "GET /shutdown": 404,
		"POST /healthz": 405, "HEAD /healthz": 405, "DELETE /metrics": 405, "POST /x": 404,
	} {
		if got, _ := ask(t, address, line+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
	ready.Store(true)
	for _, path := range []string{"/readyz", "/startupz"} {
		if got, _ := ask(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != 200 {
			t.Errorf("%s: %d when ready", path, got)
		}
	}
	ready.Store(false)
	for path, want := range map[string]int{"/readyz": 503, "/startupz": 200, "/healthz": 200} {
		if got, _ := ask(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != want {
			t.Errorf("%s: %d when no longer ready, want %d", path, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	address := start(t, func() bool { return true })
	for raw, want := range map[string]int{
		"GET /healthz HTTP/1.0\r\n\r\n": 505,
		"GET /healthz HTTP/1.1\r\n\r\n": 400,
		"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 9000) + "\r\n": 431,
	} {
		if got, _ := ask(t, address, raw); got != want {
			t.Errorf("%.40q: %d, want %d", raw, got, want)
		}
	}
}

// The page is read by the reference parser.
func TestMetrics(t *testing.T) {
	_, body := ask(t, start(t, func() bool { return true }), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	sample := families["sallyport_decisions_total"].Metric[0]
	if got := sample.Label[0].GetValue(); got != "a\"b\\c\nd é" || sample.Counter.GetValue() != 1e9 {
		t.Errorf("got %q, %v", got, sample.Counter.GetValue())
	}
	h := families["sallyport_request_duration_seconds"].Metric[0].Histogram
	if h.GetSampleCount() != 2 || h.GetSampleSum() < 7200 || h.GetSampleSum() > 7201 {
		t.Errorf("got %v", h)
	}
	last := uint64(0)
	for _, b := range h.Bucket {
		if b.GetCumulativeCount() < last {
			t.Errorf("bucket %v counts less than the one before", b)
		}
		last = b.GetCumulativeCount()
		if want := b.GetUpperBound() >= 0.005; want != (last > 0) {
			t.Errorf("bucket %v holds %d", b.GetUpperBound(), last)
		}
	}
	if families["sallyport_connections"].Metric[0].Gauge.GetValue() != 0.5 {
		t.Error("gauge")
	}
}
