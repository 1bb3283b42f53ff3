package grpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func payload(body []byte) *testpb.Payload { return &testpb.Payload{Body: body} }

func TestUnary(t *testing.T) {
	w := newWorld(t)
	c := w.client(handle)
	if _, err := c.EmptyCall(within(t), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 1000, 70_000, 5 << 20} {
		body := bytes.Repeat([]byte("sally"), size/5+1)[:size]
		got, err := c.UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload(body)})
		if err != nil || !bytes.Equal(got.GetPayload().GetBody(), body) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	seen := w.service.seen()
	if got := seen[0].md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+key {
		t.Errorf("the upstream got authorization %d times", len(got))
	}
	if agent := seen[0].md.Get("user-agent"); len(agent) != 1 || !strings.HasPrefix(agent[0], "grpc-go/") {
		t.Errorf("it got user-agent %q", agent)
	}
	r := w.recorded()
	if len(r) != 6 || r[0].Verdict != "Allow" || r[0].Method != "POST" || r[0].Path != "/"+service+"/EmptyCall" || r[0].Grants[0] != "unary" {
		t.Errorf("recorded %+v", r)
	}
}

// TestMetadata: of the agent's what is listed goes upstream, and all but cookies
// comes back, without the key.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	ctx := metadata.AppendToOutgoingContext(within(t), "x-tenant", "acme", "x-any-bin", "\x00\x01\xff", "x-other", "dropped", "cookie", "a=b")
	var head, trailer metadata.MD
	if _, err := w.client(handle).UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&head), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	got := w.service.seen()[0].md
	if got.Get("x-tenant")[0] != "acme" || got.Get("x-any-bin")[0] != "\x00\x01\xff" || len(got.Get("x-other"))+len(got.Get("cookie")) > 0 {
		t.Errorf("the upstream got %v", got)
	}
	masked := "Bearer " + strings.Repeat("*", len(key))
	for name, want := range map[string]string{"x-tenant": "acme", "x-echo": masked, "x-bin-bin": "\x00\xff"} {
		if v := head.Get(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if len(head.Get("set-cookie")) > 0 {
		t.Error("a cookie was passed on")
	}
	if trailer.Get("x-trailer")[0] != "behind" || trailer.Get("x-trailing-echo")[0] != masked {
		t.Errorf("trailers %v", trailer)
	}
}

// TestMaskedMessages: the key is in no message, compressed or not.
func TestMaskedMessages(t *testing.T) {
	w := newWorld(t)
	want := "Bearer " + strings.Repeat("*", len(key)) + "tail"
	for _, coding := range []string{"identity", gzip.Name} {
		in := &testpb.SimpleRequest{FillUsername: true, Payload: payload([]byte("tail"))}
		got, err := w.client(handle).UnaryCall(within(t), in, grpc.UseCompressor(coding))
		if err != nil || string(got.GetPayload().GetBody()) != want {
			t.Errorf("%s: got %q, %v", coding, got.GetPayload().GetBody(), err)
		}
		_, err = w.client(handle).UnaryCall(within(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 9, Message: "100 % {key} ü"}}, grpc.UseCompressor(coding))
		if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "100 % Bearer "+strings.Repeat("*", len(key))+" ü" {
			t.Errorf("%s: got %v", coding, err)
		}
	}
	if got := w.service.seen()[2].md.Get("grpc-accept-encoding"); len(got) != 1 || got[0] != "identity" {
		t.Errorf("compressed messages were asked for: %q", got)
	}
}

// TestRotatedKey: a call that outlives its key masks the next one as well, which
// other calls send meanwhile.
func TestRotatedKey(t *testing.T) {
	const next = "NEXT-KEY-8Wv/2="
	w := newWorld(t)
	call, err := w.client(handle).FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{key + " a": strings.Repeat("*", len(key)) + " a", key + " " + next: strings.Repeat("*", len(key)) + " " + strings.Repeat("*", len(next))} {
		if strings.Contains(said, next) {
			c := document()
			c.Secret, c.Upstream.Generation = secret.New(next), 2
			w.apply(c)
		}
		if err := call.Send(&testpb.StreamingOutputCallRequest{Payload: payload([]byte(said))}); err != nil {
			t.Fatal(err)
		}
		got, err := call.Recv()
		if err != nil || string(got.GetPayload().GetBody()) != want {
			t.Fatalf("got %q, %v, want %q", got.GetPayload().GetBody(), err, want)
		}
	}
}

// TestErrors: statuses of the upstream come as they are.
func TestErrors(t *testing.T) {
	w := newWorld(t)
	for _, code := range []codes.Code{codes.Canceled, codes.NotFound, codes.PermissionDenied, codes.Unavailable, codes.Unauthenticated} {
		_, err := w.client(handle).UnaryCall(within(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(code), Message: "as asked"}})
		if s := status.Convert(err); s.Code() != code || s.Message() != "as asked" {
			t.Errorf("got %v, want %v", err, code)
		}
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t)
	c := w.client(handle)
	up, err := c.StreamingInputCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := up.Send(&testpb.StreamingInputCallRequest{Payload: payload(make([]byte, 100_000))}); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := up.CloseAndRecv(); err != nil || sum.GetAggregatedPayloadSize() != 5_000_000 {
		t.Errorf("sent %v, %v", sum, err)
	}
	sizes := []int32{0, 1, 200_000, 3, 5 << 20}
	in := &testpb.StreamingOutputCallRequest{}
	for _, size := range sizes {
		in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: size})
	}
	down, err := c.StreamingOutputCall(within(t), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		if got, err := down.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(size) {
			t.Fatalf("received %d bytes, want %d: %v", len(got.GetPayload().GetBody()), size, err)
		}
	}
	if _, err := down.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v", err)
	}
}

// TestDuplex: each message is passed on when it comes, in both directions.
func TestDuplex(t *testing.T) {
	w := newWorld(t)
	both, err := w.client(handle).FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		text := []byte(fmt.Sprint("ping ", i))
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(text)}); err != nil {
			t.Fatal(err)
		}
		if got, err := both.Recv(); err != nil || !bytes.Equal(got.GetPayload().GetBody(), text) {
			t.Fatalf("got %q, %v", got.GetPayload().GetBody(), err)
		}
	}
	if err := both.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v", err)
	}
}

// TestManyAtOnce: calls on one connection do not hinder each other.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.client(handle)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			body := bytes.Repeat([]byte{byte(i)}, 100_000)
			got, err := c.UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload(body)})
			if err != nil || !bytes.Equal(got.GetPayload().GetBody(), body) {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// TestDeadline: the agent's deadline goes upstream, and ends the call there.
func TestDeadline(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	down, err := w.client(handle).StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{Payload: payload(nil)})
	if err == nil {
		_, err = down.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if !eventually(func() bool { return len(w.service.seen()) == 1 }) {
		t.Fatal("nothing was forwarded")
	}
}

// refused is what the agent is told of a refusal.
func refused(t *testing.T, err error, trailer metadata.MD, code codes.Code, reason scope.Reason) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != code || !strings.Contains(s.Message(), string(reason)) {
		t.Errorf("got %v, want %v %s", err, code, reason)
	}
	if got := trailer.Get("sallyport-reason"); len(got) != 1 || got[0] != string(reason) {
		t.Errorf("trailers %v, want %s", trailer, reason)
	}
}

// TestUnrecorded: a call that cannot be recorded does not happen, of one message
// or of many, and the agent is told why.
func TestUnrecorded(t *testing.T) {
	w := newWorld(t)
	w.records.mu.Lock()
	w.records.full = true
	w.records.mu.Unlock()
	c := w.client(handle)
	for name, call := range map[string]func() error{
		"unary": func() error {
			_, err := c.EmptyCall(within(t), &testpb.Empty{})
			return err
		},
		"stream": func() error {
			s, err := c.FullDuplexCall(within(t))
			if err == nil {
				_ = s.Send(&testpb.StreamingOutputCallRequest{}) // it may have been refused by now
				_, err = s.Recv()
			}
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "(Unrecorded, ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := w.service.seen(); len(seen) > 0 {
		t.Errorf("the upstream saw %d calls", len(seen))
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		why    string
		shows  string
		change func(*bundle.Credential)
		call   func(*testing.T, *grpc.ClientConn, grpc.CallOption) error
		code   codes.Code
		reason scope.Reason
	}{
		"method": {"it is not granted", handle, nil, func(t *testing.T, c *grpc.ClientConn, o grpc.CallOption) error {
			_, err := testpb.NewTestServiceClient(c).CacheableUnaryCall(within(t), &testpb.SimpleRequest{}, o)
			return err
		}, codes.PermissionDenied, scope.OutOfScope},
		"service": {"another service, with a method of this name", handle, nil, func(t *testing.T, c *grpc.ClientConn, o grpc.CallOption) error {
			return c.Invoke(within(t), "/grpc.testing.OtherService/UnaryCall", &testpb.Empty{}, &testpb.Empty{}, o)
		}, codes.PermissionDenied, scope.OutOfScope},
		"token": {"it is another's", "spt_anothers", nil, empty, codes.PermissionDenied, scope.Unauthenticated},
		"header": {"its value is not allowed", handle, func(c *bundle.Credential) {
			other := "other"
			c.Grants[0].Headers["X-Tenant"] = scope.Matcher{Equals: &other, Required: true}
		}, empty, codes.PermissionDenied, scope.ParameterRefused},
		"ceiling": {"the owner of the upstream does not allow it", handle, func(c *bundle.Credential) {
			c.Ceiling = &bundle.Ceiling{Grants: []scope.Grant{{Name: "a", Endpoint: "rpc", GRPC: &scope.GRPC{Methods: []string{"a.B/C"}}}}}
		}, empty, codes.PermissionDenied, scope.BeyondCeiling},
		"rate": {"the bucket is empty", handle, func(c *bundle.Credential) {
			c.Requests = &scope.Rate{Count: 1, Per: time.Hour}
		}, func(t *testing.T, c *grpc.ClientConn, o grpc.CallOption) error {
			if err := empty(t, c, o); err != nil {
				t.Fatal(err)
			}
			return empty(t, c, o)
		}, codes.ResourceExhausted, scope.RateLimited},
		"large": {"a message has a bound", handle, func(c *bundle.Credential) { c.Limits.BodyBytes = 1000 },
			func(t *testing.T, c *grpc.ClientConn, o grpc.CallOption) error {
				_, err := testpb.NewTestServiceClient(c).UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload(make([]byte, 1000))}, o)
				return err
			}, codes.PermissionDenied, scope.TooLarge},
		"expired":     {"its time is over", handle, func(c *bundle.Credential) { c.ExpiresAt = time.Now().Add(-time.Minute) }, empty, codes.PermissionDenied, scope.Expired},
		"no upstream": {"nobody is there", handle, func(c *bundle.Credential) { c.Endpoints[0].URL = "https://127.0.0.2:1" }, empty, codes.Internal, scope.DestinationRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := document()
			if test.change != nil {
				test.change(c)
				w.apply(c)
			}
			var trailer metadata.MD
			before := len(w.service.seen())
			err := test.call(t, w.dial(test.shows), grpc.Trailer(&trailer))
			refused(t, err, trailer, test.code, test.reason)
			r := w.recorded()
			last := r[len(r)-1]
			if id := trailer.Get("sallyport-request-id"); last.Reason != string(test.reason) || len(id) != 1 || last.ID != id[0] {
				t.Errorf("%s: recorded %+v, told %v", test.why, last, id)
			}
			if name != "rate" && name != "large" && len(w.service.seen()) != before {
				t.Errorf("%s: something was forwarded", test.why)
			}
		})
	}
}

func empty(t *testing.T, c *grpc.ClientConn, o grpc.CallOption) error {
	t.Helper()
	_, err := testpb.NewTestServiceClient(c).EmptyCall(within(t), &testpb.Empty{}, o)
	return err
}

// TestReflection: what a server offers can be read only where that is granted.
func TestReflection(t *testing.T) {
	ask := func(w *world) (int, error) {
		stream, err := reflectionpb.NewServerReflectionClient(w.dial(handle)).ServerReflectionInfo(within(t))
		if err != nil {
			return 0, err
		}
		list := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"}}
		if err := stream.Send(list); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		got, err := stream.Recv()
		return len(got.GetListServicesResponse().GetService()), err
	}
	if n, err := ask(newWorld(t)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %d services, %v", n, err)
	}
	granted := newWorld(t, func(c *bundle.Credential) {
		c.Grants = append(c.Grants, scope.Grant{Name: "reflect", Endpoint: "rpc", GRPC: &scope.GRPC{Methods: []string{"grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}}})
	})
	if n, err := ask(granted); err != nil || n == 0 {
		t.Errorf("granted: got %d services, %v", n, err)
	}
}

// endings are ways to take a credential away while a call streams, or to end it.
var endings = map[string]struct {
	end    func(*world)
	code   codes.Code
	reason scope.Reason
}{
	"revoked":   {func(w *world) { w.server.Revoke("c1", scope.Suspended) }, codes.PermissionDenied, scope.Suspended},
	"withdrawn": {func(w *world) { w.server.Apply(&bundle.State{Version: bundle.Version}) }, codes.PermissionDenied, scope.Revoked},
}

// TestEnds: what is taken away is taken away from streams that are open, whose
// agents are told, and calls that follow are refused on the same connection.
func TestEnds(t *testing.T) {
	for name, test := range endings {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.client(handle)
			both, err := c.FullDuplexCall(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload([]byte("a"))}); err != nil {
				t.Fatal(err)
			}
			if _, err := both.Recv(); err != nil {
				t.Fatal(err)
			}
			test.end(w)
			_, err = both.Recv()
			refused(t, err, both.Trailer(), test.code, test.reason)
			var trailer metadata.MD
			_, err = c.EmptyCall(within(t), &testpb.Empty{}, grpc.Trailer(&trailer))
			refused(t, err, trailer, test.code, test.reason)
			_, err = w.client(handle).EmptyCall(within(t), &testpb.Empty{}, grpc.Trailer(&trailer))
			refused(t, err, trailer, test.code, test.reason)
			w.apply(document())
			if _, err := c.EmptyCall(within(t), &testpb.Empty{}); err != nil {
				t.Errorf("given back: %v", err)
			}
		})
	}
}

// TestStreamTimeout: no call lasts longer than calls may.
func TestStreamTimeout(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.StreamTimeout = time.Second })
	down, err := w.client(handle).StreamingOutputCall(within(t), &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{Size: 1}}, Payload: payload(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := down.Recv(); err != nil {
		t.Fatal(err)
	}
	_, err = down.Recv()
	refused(t, err, down.Trailer(), codes.DeadlineExceeded, scope.UpstreamTimeout)
}

// TestAnswerTimeout: an answer that does not begin is not waited for.
func TestAnswerTimeout(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.AnswerTimeout = time.Second })
	down, err := w.client(handle).StreamingOutputCall(within(t), &testpb.StreamingOutputCallRequest{Payload: payload(nil)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = down.Recv()
	refused(t, err, down.Trailer(), codes.DeadlineExceeded, scope.UpstreamTimeout)
}

// TestConcurrency: calls count against the limit of what is under way.
func TestConcurrency(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.Concurrency = 1 })
	c := w.client(handle)
	both, err := c.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	var trailer metadata.MD
	_, err = c.EmptyCall(within(t), &testpb.Empty{}, grpc.Trailer(&trailer))
	refused(t, err, trailer, codes.ResourceExhausted, scope.RateLimited)
	if err := both.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !eventually(func() bool { _, err := c.EmptyCall(within(t), &testpb.Empty{}); return err == nil }) {
		t.Error("its place is not given back")
	}
}

// TestShutdown: what is under way when the sidecar is stopped goes on, and no
// call follows.
func TestShutdown(t *testing.T) {
	w := newWorld(t)
	c := w.client(handle)
	both, err := c.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	speak := func() {
		t.Helper()
		if err := both.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	speak()
	stopped := make(chan error, 1)
	go func() { stopped <- w.server.Shutdown(within(t)) }()
	refused := func() bool {
		_, err := c.EmptyCall(within(t), &testpb.Empty{})
		return status.Code(err) == codes.Unavailable
	}
	if !eventually(refused) {
		t.Error("calls are still taken")
	}
	speak()
	if err := both.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownCuts: what does not end is ended, and told so.
func TestShutdownCuts(t *testing.T) {
	w := newWorld(t)
	both, err := w.client(handle).FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := both.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

// TestCancelled: a call that the agent gives up ends upstream.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(within(t))
	both, err := w.client(handle).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := both.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if r := w.recorded(); len(r) != 1 {
		t.Errorf("recorded %+v", r)
	}
}
