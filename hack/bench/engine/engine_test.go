package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// start makes an engine whose secure side shows the certificate of httptest.
func start(t *testing.T, w Work) *Engine {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	e, err := New(loopback, loopback, s.TLS.Certificates[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	e.Serve(w)
	return e
}

// proxy passes all on to the upstream of e; it forwards what f leaves of an answer.
func proxy(t *testing.T, e *Engine, secure bool, f func(*http.Response) error) netip.AddrPort {
	t.Helper()
	at := &url.URL{Scheme: "http", Host: e.Plain.String()}
	if secure {
		at = &url.URL{Scheme: "https", Host: e.Secure.String()}
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(at) },
		ModifyResponse: f,
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64},
	})
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func load(t *testing.T, e *Engine, to netip.AddrPort, connections int) *Load {
	t.Helper()
	l, err := e.Connect(to, "upstream.bench.svc", "token", connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestClosed carries every kind of work, directly and through a proxy, by HTTP
// and by HTTPS.
func TestClosed(t *testing.T) {
	for name, w := range map[string]Work{
		"no body": {}, "4 KiB": {Answer: 4 << 10}, "1 MiB": {Answer: 1 << 20},
		"upload": {Answer: 10, Media: "application/json", Upload: bytes.Repeat([]byte("1"), 4096)},
		"stream": {Events: -1}, "three events": {Events: 3},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, w)
			for _, to := range []netip.AddrPort{e.Plain, proxy(t, e, false, nil), proxy(t, e, true, nil)} {
				l := load(t, e, to, 4)
				got, err := l.Closed(t.Context(), 20*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Whole) < 4 || !slices.IsSorted(got.Whole) || got.Whole[0] <= 0 || got.Took < 20*time.Millisecond {
					t.Errorf("%d times within %v, from %v", len(got.Whole), got.Took, Quantile(got.Whole, 0))
				}
				if w.Events == 3 && len(got.Whole) < 3*len(got.First)-2*4 {
					t.Errorf("%d events in %d streams of 3", len(got.Whole), len(got.First))
				}
				if (len(got.First) > 0) != (w.Events != 0) {
					t.Errorf("%d first events", len(got.First))
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				e.Forget()
			}
		})
	}
}

// TestGarbage has the load collect garbage before it asks, and not while what it
// asked waits.
func TestGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // none but the load's own
	e := start(t, Work{})
	l := load(t, e, e.Plain, 4)
	for name, run := range map[string]func() (Times, error){
		"closed": func() (Times, error) { return l.Closed(t.Context(), 20*time.Millisecond) },
		"open":   func() (Times, error) { return l.Open(t.Context(), 20*time.Millisecond, 1000) },
	} {
		got, err := run()
		began := time.Now().Add(-got.Took)
		if err != nil {
			t.Fatal(err)
		}
		var s debug.GCStats
		if debug.ReadGCStats(&s); s.LastGC.After(began) {
			t.Errorf("%s: garbage was collected %v after the start", name, s.LastGC.Sub(began))
		}
	}
}

// TestWrongAnswers has the load fail where an answer is not the one that the
// upstream gave.
func TestWrongAnswers(t *testing.T) {
	replace := func(body string) func(*http.Response) error {
		return func(r *http.Response) error {
			_ = r.Body.Close()
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			r.Header.Del("Content-Length")
			return nil
		}
	}
	for name, test := range map[string]struct {
		why string
		w   Work
		f   func(*http.Response) error
	}{
		"status":      {"it was refused", Work{}, func(r *http.Response) error { r.StatusCode = 403; return nil }},
		"longer":      {"there is more than was sent", Work{Answer: 3}, replace("12345678")},
		"stream cut":  {"the stream ends before it is told to", Work{Events: -1}, replace(event)},
		"stream lost": {"there is no such stream", Work{Events: -1}, func(r *http.Response) error { r.StatusCode = 401; return nil }},
		"failing":     {"the proxy answers 502", Work{}, func(*http.Response) error { return errors.New("lost") }},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, test.w)
			if got, err := load(t, e, proxy(t, e, false, test.f), 1).Closed(t.Context(), time.Millisecond); err == nil {
				t.Errorf("%s, and %d answers were counted", test.why, len(got.Whole))
			}
		})
	}
}

// TestOpenCountsWaiting has a proxy that takes its time: what is due meanwhile
// waits, and its time runs from when it was due.
func TestOpenCountsWaiting(t *testing.T) {
	const pause, rate = 20 * time.Millisecond, 200.0
	e := start(t, Work{})
	asked := 0
	to := proxy(t, e, false, func(*http.Response) error {
		if asked++; asked == 1 {
			<-time.After(pause)
		}
		return nil
	})
	got, err := load(t, e, to, 1).Open(t.Context(), 500*time.Millisecond, rate)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Whole) < 2 || len(got.Whole)+got.Unasked != 100 {
		t.Fatalf("%d of 100 asked, and %d not", len(got.Whole), got.Unasked)
	}
	// The second was due 5 ms after the first and had to wait for it.
	if took := got.Whole[len(got.Whole)-2]; took < pause-5*time.Millisecond {
		t.Errorf("the second took %v", took)
	}
}

// TestOpenTellsOverload asks for more than one slow connection can do.
func TestOpenTellsOverload(t *testing.T) {
	e := start(t, Work{})
	to := proxy(t, e, false, func(*http.Response) error { <-time.After(10 * time.Millisecond); return nil })
	got, err := load(t, e, to, 1).Open(t.Context(), 50*time.Millisecond, 2000)
	if err != nil {
		t.Fatal(err)
	}
	if got.Unasked < 50 || len(got.Whole)+got.Unasked != 100 {
		t.Errorf("%d answered, %d never asked", len(got.Whole), got.Unasked)
	}
}

// TestClosedConnection is no answer.
func TestClosedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
		}
	}()
	e := start(t, Work{})
	_, err = load(t, e, netip.MustParseAddrPort(l.Addr().String()), 1).Closed(t.Context(), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "closed a connection") && !strings.Contains(err.Error(), "sending") {
		t.Errorf("got %v", err)
	}
}

// TestQuantile compares with what is known of a few lists.
func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for name, test := range map[string]struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		"none":                    {nil, 0.5, 0},
		"one":                     {hundred[:1], 0.99, 1},
		"median of an even count": {hundred[:4], 0.5, 2},
		"median of an odd count":  {hundred[:5], 0.5, 3},
		"99 of 100":               {hundred, 0.99, 99},
		"the slowest of few":      {hundred[:50], 0.99, 50},
		"least":                   {hundred, 0, 1},
		"most":                    {hundred, 1, 100},
		"99.9 of 100":             {hundred, 0.999, 100},
	} {
		if got := Quantile(test.sorted, test.q); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// BenchmarkDirect is what a request costs load and upstream.
func BenchmarkDirect(b *testing.B) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	e, err := New(loopback, loopback, s.TLS.Certificates[0])
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	e.Serve(Work{Answer: 1024})
	l, err := e.Connect(e.Plain, "upstream.bench.svc", strings.Repeat("t", 800), 32)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n := 0
	for b.Loop() {
		got, err := l.Closed(b.Context(), time.Second)
		if err != nil {
			b.Fatal(err)
		}
		n += len(got.Whole)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(n), "ns/request")
}
