package grpc

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// testService answers calls as they ask for, and remembers them.
type testService struct {
	testpb.UnimplementedTestServiceServer

	mu    sync.Mutex
	calls []call
}

// call is one as the server read it.
type call struct {
	method string
	md     metadata.MD
}

func (s *testService) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *testService) note(ctx context.Context) {
	method, _ := grpc.Method(ctx)
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call{method, md})
}

func (s *testService) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	s.note(ctx)
	return &testpb.Empty{}, nil
}

// UnaryCall echoes, with the agent's authorization in front where it asks for
// the user's name, or fails with what it asks for.
func (s *testService) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.note(ctx)
	md, _ := metadata.FromIncomingContext(ctx)
	if tenant := md.Get("x-tenant"); len(tenant) > 0 {
		head := metadata.Pairs("x-tenant", tenant[0], "x-echo", md.Get("authorization")[0], "set-cookie", "a=b", "x-bin-bin", "\x00\xff")
		if err := grpc.SetHeader(ctx, head); err != nil {
			return nil, err
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "behind", "x-trailing-echo", md.Get("authorization")[0])); err != nil {
			return nil, err
		}
	}
	if want := in.GetResponseStatus(); want.GetCode() != 0 {
		return nil, status.Error(codes.Code(want.GetCode()), strings.ReplaceAll(want.GetMessage(), "{key}", md.Get("authorization")[0])) //nolint:gosec // G115: a code
	}
	body := in.GetPayload().GetBody()
	if in.GetFillUsername() {
		body = append([]byte(md.Get("authorization")[0]), body...)
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: body}}, nil
}

func (s *testService) StreamingInputCall(stream testpb.TestService_StreamingInputCallServer) error {
	s.note(stream.Context())
	total := int32(0)
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: total})
		}
		if err != nil {
			return err
		}
		total += int32(len(in.GetPayload().GetBody())) //nolint:gosec // G115: of a test
	}
}

func (s *testService) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, stream testpb.TestService_StreamingOutputCallServer) error {
	s.note(stream.Context())
	for _, p := range in.GetResponseParameters() {
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	if in.GetPayload() != nil { // it wants no end
		<-stream.Context().Done()
	}
	return nil
}

// FullDuplexCall echoes each message at once.
func (s *testService) FullDuplexCall(stream testpb.TestService_FullDuplexCallServer) error {
	s.note(stream.Context())
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}
