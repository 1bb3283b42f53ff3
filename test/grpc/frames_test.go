package grpc

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// good is the header list of a call that can be told from others.
func (r *raw) good() [][2]string { return append(good(), [2]string{"x-tenant", r.tag}) }

// begin opens a call that goes on.
func (r *raw) begin() uint32 {
	return r.open(with(r.good(), ":path", "/"+service+"/StreamingInputCall"), nothing, false)
}

// frames are sequences that HTTP/2 does not have, each wrong in one way. Where a
// call was begun before, it may have gone upstream; nothing else may.
var frames = map[string]struct {
	why   string
	send  func(r *raw)
	begun int // calls before the fault
}{
	"data of no stream":       {"RFC 9113, 6.1", func(r *raw) { _ = r.WriteRawFrame(http2.FrameData, 0, 0, nothing) }, 0},
	"data before a head":      {"RFC 9113, 5.1: idle", func(r *raw) { _ = r.WriteData(1, true, nothing) }, 0},
	"data after the end":      {"RFC 9113, 5.1: half closed", func(r *raw) { _ = r.WriteData(r.open(r.good(), nothing, true), true, nothing) }, 1},
	"padding beyond the end":  {"RFC 9113, 6.1", func(r *raw) { _ = r.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, r.begin(), []byte{200, 'a'}) }, 1},
	"head of an even stream":  {"RFC 9113, 5.1.1", func(r *raw) { r.next = 2; r.open(r.good(), nothing, true) }, 0},
	"head of no stream":       {"RFC 9113, 6.2", func(r *raw) { _ = r.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, block(r.good())) }, 0},
	"head of an older stream": {"RFC 9113, 5.1.1", func(r *raw) { r.next = 3; r.begin(); r.next = 1; r.open(r.good(), nothing, true) }, 1},
	"head after the end":      {"RFC 9113, 5.1: half closed", func(r *raw) { id := r.open(r.good(), nothing, true); r.next = id; r.open(r.good(), nothing, true) }, 1},
	"second head":             {"RFC 9113, 8.1: trailers end a stream", func(r *raw) { id := r.begin(); r.next = id; r.open(r.good(), nil, false) }, 1},
	"pseudo field in trailers": {"RFC 9113, 8.1", func(r *raw) {
		r.head(r.begin(), true, ":path", "/"+service+"/EmptyCall")
	}, 1},
	"upper case in trailers":  {"RFC 9113, 8.2.1", func(r *raw) { r.head(r.begin(), true, "X-Tenant", "a") }, 1},
	"continuation of nothing": {"RFC 9113, 6.10", func(r *raw) { _ = r.WriteContinuation(1, true, block(r.good())) }, 0},
	"continuation of another": {"RFC 9113, 6.10", func(r *raw) {
		_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(r.good())})
		_ = r.WriteContinuation(3, true, block(r.good()))
	}, 0},
	"head that is interrupted": {"RFC 9113, 6.10", func(r *raw) {
		_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(r.good())})
		_ = r.WriteData(1, true, nothing)
	}, 0},
	"index of nothing":       {"RFC 7541, 2.3.3", func(r *raw) { r.block(append(block(r.good()), 0xfe)) }, 0},
	"index of zero":          {"RFC 7541, 6.1", func(r *raw) { r.block(append(block(r.good()), 0x80)) }, 0},
	"index without an end":   {"RFC 7541, 5.1", func(r *raw) { r.block(append(block(r.good()), bytes.Repeat([]byte{0xff}, 20)...)) }, 0},
	"field that is cut off":  {"RFC 7541, 6.2", func(r *raw) { r.block(append(block(r.good()), 0x10, 0x05, 'x')) }, 0},
	"table beyond its bound": {"RFC 7541, 6.3", func(r *raw) { r.block(append([]byte{0x3f, 0xff, 0xff, 0x7f}, block(r.good())...)) }, 0},
	"table changed midway":   {"RFC 7541, 4.2", func(r *raw) { r.block(append(block(r.good()), 0x40, 0x01, 'x', 0x01, 'a', 0x20)) }, 0},
	"wrong Huffman code":     {"RFC 7541, 5.2", func(r *raw) { r.block(append(block(r.good()), 0x10, 0x01, 'x', 0x84, 0xff, 0xff, 0xff, 0xff)) }, 0},
	"promise": {"RFC 9113, 8.4: clients make none", func(r *raw) {
		_ = r.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block(r.good()), EndHeaders: true})
	}, 0},
	"reset of nothing": {"RFC 9113, 6.4", func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeCancel) }, 0},
	"no window":        {"RFC 9113, 6.9", func(r *raw) { _ = r.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4)) }, 0},
	"window beyond its bound": {"RFC 9113, 6.9.1", func(r *raw) {
		_ = r.WriteWindowUpdate(0, 1<<31-1)
		_ = r.WriteWindowUpdate(0, 1<<31-1)
	}, 0},
	"first window beyond it": {"RFC 9113, 6.5.2", func(r *raw) { _ = r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, 0},
	"settings that are cut":  {"RFC 9113, 6.5", func(r *raw) { _ = r.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }, 0},
	"settings of a stream":   {"RFC 9113, 6.5", func(r *raw) { _ = r.WriteRawFrame(http2.FrameSettings, 0, 1, nil) }, 0},
	"short ping":             {"RFC 9113, 6.7", func(r *raw) { _ = r.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }, 0},
	"long frame":             {"RFC 9113, 4.2", func(r *raw) { _ = r.WriteRawFrame(http2.FrameData, 0, r.begin(), make([]byte, 16<<10+1)) }, 1},
	"no HTTP/2 behind it":    {"another protocol", func(r *raw) { _, _ = io.WriteString(r.Conn, "GET /notes HTTP/1.1\r\nHost: example.com\r\n\r\n") }, 0},
}

// block opens a call with these bytes for a header.
func (r *raw) block(text []byte) {
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: r.next, BlockFragment: text, EndHeaders: true, EndStream: true})
}

// ends reads until the connection ends, or a stream is reset.
func (r *raw) ends() bool {
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			timeout, ok := err.(net.Error)
			return !ok || !timeout.Timeout()
		}
		switch frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return true
		}
	}
}

// tagged gives calls that stream a tag, too.
func tagged(c *bundle.Credential) { c.Grants[1].Headers = c.Grants[0].Headers }

// of counts the calls with a tag.
func (s *testService) of(tag string) (n int) {
	for _, c := range s.seen() {
		if slices.Equal(c.md.Get("x-tenant"), []string{tag}) {
			n++
		}
	}
	return n
}

// TestHostileFrames: what HTTP/2 does not have ends the call or the connection,
// nothing of it goes upstream, and a good call of another agent passes behind each.
func TestHostileFrames(t *testing.T) {
	w := newWorld(t, tagged)
	control := w.client(handle)
	for name, test := range frames {
		t.Run(name, func(t *testing.T) {
			r := w.raw()
			r.tag = name
			test.send(r)
			if !r.ends() {
				t.Errorf("%s: it goes on", test.why)
			}
			if _, err := control.EmptyCall(within(t), &testpb.Empty{}); err != nil {
				t.Errorf("%s: behind it, %v", test.why, err)
			}
		})
	}
	for name, test := range frames {
		if n := w.service.of(name); n > test.begun {
			t.Errorf("%s: %s: %d calls reached the upstream, of %d that were begun before", name, test.why, n, test.begun)
		}
	}
	r := w.raw()
	r.tag = "control"
	if got := r.await(r.open(r.good(), nothing, true)); got.refused() || w.service.of(r.tag) != 1 {
		t.Errorf("the head that they are made of: got %+v, and %d calls reached the upstream", got, w.service.of(r.tag))
	}
}

// floods are frames that cost an agent nothing, and need not be answered or lead
// to an answer that nobody reads.
var floods = map[string]func(r *raw, id uint32) error{
	"pings (CVE-2019-9512)": func(r *raw, _ uint32) error { return r.WritePing(false, [8]byte{1}) },
	"settings (CVE-2019-9515)": func(r *raw, _ uint32) error {
		return r.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
	},
	"empty data (CVE-2019-9518)": func(r *raw, id uint32) error { return r.WriteData(id, false, nil) },
	"priorities (CVE-2019-9513)": func(r *raw, id uint32) error {
		return r.WritePriority(id, http2.PriorityParam{StreamDep: 0, Weight: 7})
	},
	"windows":        func(r *raw, id uint32) error { return r.WriteWindowUpdate(id, 1) },
	"unknown frames": func(r *raw, _ uint32) error { return r.WriteRawFrame(0xb0, 0, 0, nil) },
	"resets (CVE-2019-9514)": func(r *raw, _ uint32) error {
		r.next += 2
		return r.WriteHeaders(http2.HeadersFrameParam{StreamID: r.next, BlockFragment: block(with(good(), ":path", "relative")), EndHeaders: true})
	},
}

// heap is what is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// TestFloods: a flood of frames whose answers nobody reads keeps nobody from
// being served, and what is kept of it is bounded.
func TestFloods(t *testing.T) {
	const many, most = 100_000, 16 << 20
	w := newWorld(t, tagged)
	control := w.client(handle)
	for name, frame := range floods {
		t.Run(name, func(t *testing.T) {
			before := heap()
			r := w.raw()
			id := r.begin()
			for range many {
				if frame(r, id) != nil {
					break // it had enough
				}
			}
			if after := heap(); after > before+most {
				t.Errorf("%d bytes are kept", after-before)
			}
			if _, err := control.EmptyCall(within(t), &testpb.Empty{}); err != nil {
				t.Errorf("others: %v", err)
			}
			_ = r.Close()
		})
	}
	if calls := w.service.seen(); len(calls) > 2*len(floods) {
		t.Errorf("%d calls reached the upstream", len(calls))
	}
}

// TestCompressionBomb refers to one long field again and again: a block of 16 KiB
// stands for 60 MB (CVE-2016-6581). It is refused, and not put together.
func TestCompressionBomb(t *testing.T) {
	w := newWorld(t)
	var text bytes.Buffer
	e := hpack.NewEncoder(&text)
	for _, f := range good() {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	for text.Len() < 16<<10 {
		_ = e.WriteField(hpack.HeaderField{Name: "x-tenant", Value: padding(3 << 10)})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := w.raw()
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: text.Bytes()[:16<<10], EndHeaders: true, EndStream: true})
	if got := r.await(1); !got.refused() {
		t.Errorf("got %+v", got)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	if n := len(w.service.seen()); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

// TestMadeToReset has the server reset calls itself, over and over
// (CVE-2025-8671): each gives its place back, upstream too, and others are served.
func TestMadeToReset(t *testing.T) {
	const most, many = 8, 2000
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.Concurrency = most })
	r := w.raw()
	made := 0
	for range many {
		id := r.open(with(good(), ":path", "/"+service+"/FullDuplexCall"), nil, false)
		if r.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4)) != nil {
			break // it had enough
		}
		made++
	}
	_ = r.Close()
	if !eventually(func() bool { _, err := w.client(handle).EmptyCall(within(t), &testpb.Empty{}); return err == nil }) {
		t.Errorf("after %d calls that were made to be reset, others are not served", made)
	}
	if made == 0 {
		t.Error("no call was begun")
	}
}

// witness is an upstream that keeps every header list, and answers once a call
// has ended.
type witness struct {
	mu    sync.Mutex
	lists [][]hpack.HeaderField
}

func (s *witness) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			open.Go(func() { s.read(t, c) })
			context.AfterFunc(t.Context(), func() { _ = c.Close() }) // before cleanups run
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return l.Addr().String()
}

func (s *witness) read(t *testing.T, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	u := &raw{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	u.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = u.WriteSettings()
	for {
		frame, err := u.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			s.mu.Lock()
			s.lists = append(s.lists, slices.Clone(f.Fields))
			s.mu.Unlock()
			ended = f.StreamEnded()
		case *http2.DataFrame:
			ended = f.StreamEnded()
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = u.WriteSettingsAck()
			}
		}
		if ended {
			u.head(frame.Header().StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
		}
	}
}

func (s *witness) seen() [][]hpack.HeaderField {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lists)
}

// TestTrailersOfAgents: what stands behind the messages of an agent is in no
// grant. Nothing of it goes upstream, whether it was announced or not; what may
// not be a trailer ends the call where it was announced.
func TestTrailersOfAgents(t *testing.T) {
	harmless := []string{"x-tenant", "late", "x-late", "late"}
	for name, test := range map[string]struct {
		announced string
		trailers  []string
		answered  bool
	}{
		"unannounced":     {"", harmless, true},
		"announced":       {"x-tenant, x-late", harmless, true},
		"another one":     {"x-other", harmless, true},
		"a credential":    {"", []string{"authorization", "Bearer late"}, true},
		"it is announced": {"authorization", []string{"authorization", "Bearer late"}, false},
		"a length":        {"x-late", []string{"content-length", "3", "x-late", "late"}, false},
		"a protocol":      {"x-late", []string{"te", "late", "x-late", "late"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var s witness // of its own: what was refused may be seen later
			w := newWorld(t)
			plain(t, w, s.serve(t))
			r := w.raw()
			fields := with(good(), ":authority", w.address)
			if test.announced != "" {
				fields = append(fields, [2]string{"trailer", test.announced})
			}
			id := r.open(fields, nothing, false)
			r.head(id, true, test.trailers...)
			if got := r.await(id); got.refused() == test.answered {
				t.Errorf("the agent got %+v", got)
			}
			lists := s.seen()
			if len(lists) > 1 || test.answered && len(lists) == 0 {
				t.Errorf("%d header lists reached the upstream", len(lists))
			}
			for _, f := range slices.Concat(lists...) {
				if strings.Contains(f.Value, "late") || f.Name == "trailer" {
					t.Errorf("%s: %s reached the upstream", f.Name, f.Value)
				}
			}
		})
	}
}
