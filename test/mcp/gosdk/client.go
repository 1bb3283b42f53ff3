package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// step is one thing to do.
type step struct {
	Do        string
	Revision  string
	Name, URI string
	Arguments json.RawMessage // as they are sent; null where there are none
	Prompt    map[string]string
	Progress  bool
}

// told is what came of a step.
type told struct {
	Done   bool   `json:"done"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	Code   int64  `json:"code,omitempty"`
}

func answer(result any, err error) told {
	t := told{Done: true, Result: result}
	if err != nil {
		t.Error = err.Error()
		if e := (*jsonrpc.Error)(nil); errors.As(err, &e) {
			t.Code = e.Code
		}
	}
	return t
}

// client is one agent.
type client struct {
	out        *lines
	url, token string
	session    *mcp.ClientSession
}

func newClient(out *lines, url, token string) *client {
	return &client{out: out, url: url, token: token}
}

// event tells of something that the server sent unasked.
func (c *client) event(name string, params any) {
	if err := c.out.write(map[string]any{"event": name, "params": params}); err != nil {
		panic(err) // who started this program is gone
	}
}

// do does one step.
func (c *client) do(ctx context.Context, s *step) (any, error) {
	if s.Do == "connect" {
		return c.connect(ctx, s)
	}
	if c.session == nil {
		return nil, errors.New("connect first")
	}
	if do, found := steps[s.Do]; found {
		return do(ctx, c.session, s)
	}
	return nil, fmt.Errorf("no such step: %q", s.Do)
}

func (c *client) connect(ctx context.Context, s *step) (any, error) {
	transport := &mcp.StreamableClientTransport{Endpoint: c.url, HTTPClient: &http.Client{Transport: bearer(c.token)}}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "gosdk", Version: "1"}, c.options()).
		Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: s.Revision})
	if err != nil {
		return nil, err
	}
	c.session = session
	return map[string]string{"revision": session.InitializeResult().ProtocolVersion, "session": session.ID()}, nil
}

// options answer what the server asks, and tell of it.
func (c *client) options() *mcp.ClientOptions {
	return &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) { //nolint:staticcheck // servers of earlier revisions use it
			c.event("sampling/createMessage", r.Params)
			return &mcp.CreateMessageResult{Role: "user", Model: "none", Content: &mcp.TextContent{Text: "sampled"}}, nil //nolint:staticcheck // servers of earlier revisions use it
		},
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.event("elicitation/create", r.Params)
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "elicited"}}, nil
		},
		ToolListChangedHandler: func(_ context.Context, r *mcp.ToolListChangedRequest) {
			c.event("notifications/tools/list_changed", r.Params)
		},
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
			c.event("notifications/resources/updated", r.Params)
		},
		LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) { //nolint:staticcheck // servers of earlier revisions use it
			c.event("notifications/message", r.Params)
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			c.event("notifications/progress", r.Params)
		},
	}
}

// bearer adds the token to every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
