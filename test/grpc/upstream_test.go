package grpc

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// plain lets the upstream be one in clear text at an address.
func plain(t *testing.T, w *world, address string) {
	t.Helper()
	c := document()
	c.Endpoints[0].URL, c.Endpoints[0].Plaintext, c.Endpoints[0].Private = "http://"+host+":"+port, true, true
	w.elsewhere(address)
	w.apply(c)
}

// TestPlaintext: within a cluster an upstream may speak HTTP/2 in clear text.
func TestPlaintext(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, w.service)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	plain(t, w, l.Addr().String())
	if got, err := w.client(handle).UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload([]byte("a"))}); err != nil || string(got.GetPayload().GetBody()) != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	if got := w.service.seen()[0].md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+key {
		t.Error("the key did not arrive")
	}
}

// rude is an upstream that answers each request by say, on streams of its own
// making.
func rude(t *testing.T, say func(u *raw, id uint32)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { rudely(t, c, say) })
			context.AfterFunc(t.Context(), func() { _ = c.Close() }) // before cleanups run
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return l.Addr().String()
}

func rudely(t *testing.T, c net.Conn, say func(u *raw, id uint32)) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := c.Read(preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	u := &raw{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	u.AllowIllegalWrites = true
	u.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = u.WriteSettings()
	for {
		frame, err := u.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			say(u, f.StreamID)
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = u.WriteSettingsAck()
			}
		}
	}
}

// head sends a header list, in as many frames as it takes.
func (r *raw) head(id uint32, end bool, fields ...string) {
	var list [][2]string
	for i := 0; i < len(fields); i += 2 {
		list = append(list, [2]string{fields[i], fields[i+1]})
	}
	text := block(list)
	first := min(len(text), 16<<10)
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: text[:first], EndHeaders: first == len(text), EndStream: end})
	for text = text[first:]; len(text) > 0; text = text[first:] {
		first = min(len(text), 16<<10)
		_ = r.WriteContinuation(id, first == len(text), text[:first])
	}
}

// rudeness is what an upstream does, and what the agent is told then.
var rudeness = map[string]struct {
	why    string
	say    func(u *raw, id uint32)
	code   codes.Code
	reason scope.Reason // empty: the answer is the upstream's own, or the client finds that it is none
}{
	"resets":        {"nothing was answered", func(u *raw, id uint32) { _ = u.WriteRSTStream(id, http2.ErrCodeInternal) }, codes.Unavailable, scope.UpstreamUnreachable},
	"closes":        {"nothing was answered", func(u *raw, _ uint32) { _ = u.Close() }, codes.Unavailable, scope.UpstreamUnreachable},
	"resets midway": {"half a message is none", func(u *raw, id uint32) { u.called(id); u.part(id); _ = u.WriteRSTStream(id, http2.ErrCodeCancel) }, codes.Internal, ""},
	"closes midway": {"half a message is none", func(u *raw, id uint32) { u.called(id); u.part(id); _ = u.Close() }, codes.Internal, ""},
	"ends midway":   {"half a message is none", func(u *raw, id uint32) { u.called(id); _ = u.WriteData(id, true, []byte{0, 0, 0, 0, 9, 'a'}) }, codes.Internal, ""},
	"no call":       {"it is another protocol", func(u *raw, id uint32) { u.head(id, true, ":status", "200", "content-type", "text/html") }, codes.Internal, scope.AnswerRefused},
	"a page": {"the status says enough", func(u *raw, id uint32) {
		u.head(id, false, ":status", "503", "content-type", "text/html")
		_ = u.WriteData(id, true, []byte(key))
	}, codes.Unavailable, ""},
	"a redirect": {"it is not followed", func(u *raw, id uint32) { u.head(id, true, ":status", "307", "location", "/x") }, codes.Unknown, ""},
	"long head": {"it has a bound", func(u *raw, id uint32) {
		u.head(id, true, ":status", "200", "content-type", "application/grpc", "x-a", padding(100<<10))
	}, codes.Unavailable, scope.UpstreamUnreachable},
	"long trailers": {"they have a bound", func(u *raw, id uint32) { u.called(id); u.head(id, true, "grpc-status", "0", "x-a", padding(100<<10)) }, codes.Unavailable, scope.UpstreamUnreachable},
	"upper case": {"RFC 9113, 8.2.1", func(u *raw, id uint32) {
		u.head(id, true, ":status", "200", "content-type", "application/grpc", "X-A", "b")
	}, codes.Unavailable, scope.UpstreamUnreachable},
	"line end": {"it would begin a field", func(u *raw, id uint32) {
		u.head(id, true, ":status", "200", "content-type", "application/grpc", "x-a", "b\r\nc: d")
	}, codes.Unavailable, scope.UpstreamUnreachable},
	"no status":    {"RFC 9113, 8.3.2", func(u *raw, id uint32) { u.head(id, true, "content-type", "application/grpc") }, codes.Unavailable, scope.UpstreamUnreachable},
	"a wrong flag": {"gRPC has two", func(u *raw, id uint32) { u.called(id); _ = u.WriteData(id, true, []byte{7, 0, 0, 0, 0}) }, codes.Internal, scope.AnswerRefused},
	"unknown coding": {"it cannot be searched", func(u *raw, id uint32) {
		u.called(id, "grpc-encoding", "snappy")
		_ = u.WriteData(id, true, []byte{1, 0, 0, 0, 1, 'a'})
	}, codes.Internal, scope.AnswerRefused},
	"many interim": {"they have a bound", func(u *raw, id uint32) {
		for range 1000 {
			u.head(id, false, ":status", "103", "link", "</"+padding(1000)+">")
		}
	}, codes.Unavailable, scope.UpstreamUnreachable},
	"key in the status": {"it is masked", func(u *raw, id uint32) {
		u.head(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", key)
	}, codes.NotFound, ""},
}

func (r *raw) called(id uint32, more ...string) {
	r.head(id, false, append([]string{":status", "200", "content-type", "application/grpc"}, more...)...)
}

func (r *raw) part(id uint32) { _ = r.WriteData(id, false, []byte{0, 0, 0, 0, 9, 'a'}) }

// races are those where the end may overtake the half of a message before it:
// then the client is told of the end in place of the half.
var races = map[string]bool{"closes midway": true}

// TestRudeUpstreams: whatever an upstream does, the agent is told something that
// is no success, without the key, and the next call is served.
func TestRudeUpstreams(t *testing.T) {
	for name, test := range rudeness {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			plain(t, w, rude(t, test.say))
			c := w.client(handle)
			for range 2 {
				var trailer metadata.MD
				_, err := c.EmptyCall(within(t), &testpb.Empty{}, grpc.Trailer(&trailer))
				if test.reason != "" {
					refused(t, err, trailer, test.code, test.reason)
				} else if s := status.Convert(err); s.Code() != test.code && !(races[name] && s.Code() == codes.Unavailable) {
					t.Errorf("%s: got %v", test.why, err)
				}
				if err != nil && strings.Contains(err.Error(), key) {
					t.Errorf("the key is in %v", err)
				}
			}
		})
	}
}

// TestDeadlineOfUpstream: an upstream that resets a call whose deadline has passed
// has not broken off, though the agent's clock be late: whoever takes it for that
// asks again what nobody waits for.
func TestDeadlineOfUpstream(t *testing.T) {
	w := newWorld(t)
	plain(t, w, rude(t, func(u *raw, id uint32) { _ = u.WriteRSTStream(id, http2.ErrCodeCancel) }))
	r := w.raw()
	for i, test := range []struct{ timeout, status, reason string }{{"1n", "4", "UpstreamTimeout"}, {"1H", "14", "UpstreamUnreachable"}} {
		fields := append(with(good(), ":authority", w.address), [2]string{"grpc-timeout", test.timeout})
		if got := r.await(r.open(fields, nothing, true)); got.status() != test.status {
			t.Errorf("%s: got %+v", test.timeout, got)
		}
		if !eventually(func() bool {
			all := w.recorded()
			return len(all) == 2*i+2 && all[2*i+1].Reason == test.reason
		}) {
			t.Errorf("%s: recorded %+v", test.timeout, w.recorded())
		}
	}
}

// TestEarlyAnswer: an answer that comes before all was sent is passed on, and
// nothing waits for the rest.
func TestEarlyAnswer(t *testing.T) {
	w := newWorld(t)
	plain(t, w, rude(t, func(u *raw, id uint32) {
		u.head(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5")
	}))
	r := w.raw()
	for range 20 {
		if got := r.await(r.open(with(good(), ":authority", w.address), nothing, false)); got.reset || got.status() != "5" {
			t.Fatalf("got %+v", got)
		}
	}
}

// TestExpires: a call does not outlast its credential.
func TestExpires(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.ExpiresAt = time.Now().Add(time.Second) })
	both, err := w.client(handle).FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(bytes.Repeat([]byte("a"), 100))}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	_, err = both.Recv()
	refused(t, err, both.Trailer(), codes.PermissionDenied, scope.Expired)
}
