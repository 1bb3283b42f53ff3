// Package health answers probes and shows metrics, on a listener of its own
// that has nothing else: no shutdown, no dump of the configuration, no profile.
// Paths are compared whole and GET is the only method.
package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

const (
	headerBytes    = 8 << 10
	maxConnections = 64
	// perAddress leaves the kubelet room whatever the pod's own containers open.
	perAddress = 8
	patience   = 10 * time.Second // with a request, and with an idle connection
)

// Options are what a Server tells of. Both are required.
type Options struct {
	// Ready tells whether requests can be judged.
	Ready func() bool
	// Metrics adds metrics to a page.
	Metrics func(*metrics.Text)
}

// Server answers GET of these paths, and nothing else: /healthz while the
// process serves at all, /readyz while it can judge requests, /startupz since
// it could for the first time, /metrics in the text format of Prometheus.
type Server struct {
	options Options
	started atomic.Bool

	mu   sync.Mutex
	open map[netip.Addr]int // connections
	all  int
}

// New returns a Server.
func New(o Options) *Server { return &Server{options: o, open: map[netip.Addr]int{}} }

// Serve serves l until ctx is done, and closes it. Connections under way are
// cut then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept reports it
	defer stop()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				_ = c.Close() // too late
			}
			return nil
		case err != nil:
			pause(ctx) // out of descriptors, say: others may be closed meanwhile
		case !s.enter(from(c)):
			_ = c.Close() // too many
		default:
			serving.Go(func() { s.serve(ctx, c) })
		}
	}
}

// from is who has opened c. All of loopback is one: it is this pod's.
func from(c net.Conn) netip.Addr {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || a.IP.IsLoopback() {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap().WithZone("")
}

func (s *Server) enter(who netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxConnections || s.open[who] >= perAddress {
		return false
	}
	s.all++
	s.open[who]++
	return true
}

func (s *Server) leave(who netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.open[who]--; s.open[who] == 0 {
		delete(s.open, who)
	}
}

func pause(ctx context.Context) {
	t := time.NewTimer(patience / 100)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Server) serve(ctx context.Context, c net.Conn) {
	defer s.leave(from(c))
	hangUp := func() { _ = c.Close() } // all was said, or reading and writing report it
	defer hangUp()
	stop := context.AfterFunc(ctx, hangUp)
	defer stop()
	r, w := http1.NewReader(c, headerBytes), http1.NewWriter(c)
	for s.answer(c, r, w) {
	}
}

// answer answers one request and tells whether another may follow.
func (s *Server) answer(c net.Conn, r *http1.Reader, w *http1.Writer) bool {
	if c.SetDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	var head http1.RequestHead
	e := (*http1.Error)(nil)
	switch err := r.ReadRequest(&head); {
	case errors.As(err, &e):
		head.Close = true
		return write(w, &head, e.Status, plain, []byte(e.Msg+"\n"))
	case err != nil:
		return false
	}
	head.Close = head.Close || !head.Framing.Empty()
	status, media, body := s.page(&head)
	return write(w, &head, status, media, body)
}

// write writes an answer and tells whether another request may follow.
func write(w *http1.Writer, head *http1.RequestHead, status int, media string, body []byte) bool {
	w.Response(status, head.Method)
	w.Field("Content-Type", media)
	if status == 405 {
		w.Field("Allow", "GET")
	}
	if head.Close {
		w.ConnectionClose()
	}
	w.Body(http1.Framing{Kind: http1.Sized, Length: int64(len(body))})
	if head.Method != "HEAD" {
		_, _ = w.Write(body) // End tells
	}
	return w.End() == nil && !head.Close
}

const plain = "text/plain; charset=utf-8"

func (s *Server) page(head *http1.RequestHead) (status int, media string, body []byte) {
	ready := s.options.Ready()
	if ready {
		s.started.Store(true)
	}
	ok := true
	switch head.Target {
	case "/healthz":
	case "/readyz":
		ok = ready
	case "/startupz":
		ok = s.started.Load()
	case "/metrics":
	default:
		return 404, plain, []byte("not found\n")
	}
	switch {
	case head.Method != "GET":
		return 405, plain, []byte("only GET\n")
	case head.Target == "/metrics":
		var t metrics.Text
		s.options.Metrics(&t)
		return 200, "text/plain; version=0.0.4; charset=utf-8", t.Bytes()
	case !ok:
		return 503, plain, []byte("not ready\n")
	}
	return 200, plain, []byte("ok\n")
}
