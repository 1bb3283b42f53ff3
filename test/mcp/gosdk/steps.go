package main

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// steps are what a client can do in a session.
var steps = map[string]func(context.Context, *mcp.ClientSession, *step) (any, error){
	"tools": func(ctx context.Context, s *mcp.ClientSession, _ *step) (any, error) {
		got, err := s.ListTools(ctx, nil)
		if err != nil {
			return nil, err
		}
		return each(got.Tools, func(t *mcp.Tool) string { return t.Name }), nil
	},
	"resources": func(ctx context.Context, s *mcp.ClientSession, _ *step) (any, error) {
		got, err := s.ListResources(ctx, nil)
		if err != nil {
			return nil, err
		}
		return each(got.Resources, func(r *mcp.Resource) string { return r.URI }), nil
	},
	"templates": func(ctx context.Context, s *mcp.ClientSession, _ *step) (any, error) {
		got, err := s.ListResourceTemplates(ctx, nil)
		if err != nil {
			return nil, err
		}
		return each(got.ResourceTemplates, func(r *mcp.ResourceTemplate) string { return r.URITemplate }), nil
	},
	"prompts": func(ctx context.Context, s *mcp.ClientSession, _ *step) (any, error) {
		got, err := s.ListPrompts(ctx, nil)
		if err != nil {
			return nil, err
		}
		return each(got.Prompts, func(p *mcp.Prompt) string { return p.Name }), nil
	},
	"call": call,
	"read": read,
	"get":  get,
	"subscribe": func(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
		return nil, s.Subscribe(ctx, &mcp.SubscribeParams{URI: is.URI})
	},
	"unsubscribe": func(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
		return nil, s.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: is.URI})
	},
	"ping": func(ctx context.Context, s *mcp.ClientSession, _ *step) (any, error) { return nil, s.Ping(ctx, nil) },
	"complete": func(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
		return s.Complete(ctx, &mcp.CompleteParams{
			Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: is.Name},
			Argument: mcp.CompleteParamsArgument{Name: "city", Value: "a"},
		})
	},
	"level": func(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
		return nil, s.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(is.Name)}) //nolint:staticcheck // servers of earlier revisions use it
	},
	"close": func(_ context.Context, s *mcp.ClientSession, _ *step) (any, error) { return nil, s.Close() },
}

// each returns what all of a list are called.
func each[T any](all []T, name func(T) string) []string {
	names := []string{}
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
}

func call(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
	params := &mcp.CallToolParams{Name: is.Name}
	if is.Arguments != nil {
		params.Arguments = is.Arguments
	}
	if is.Progress {
		params.SetProgressToken("p1")
	}
	got, err := s.CallTool(ctx, params)
	if err != nil {
		return nil, err
	}
	return map[string]any{"text": text(got.Content), "isError": got.IsError}, nil
}

func text(content []mcp.Content) string {
	var all []string
	for _, one := range content {
		if t, ok := one.(*mcp.TextContent); ok {
			all = append(all, t.Text)
		}
	}
	return strings.Join(all, "\n")
}

func read(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
	got, err := s.ReadResource(ctx, &mcp.ReadResourceParams{URI: is.URI})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, c := range got.Contents {
		all = append(all, c.Text+string(c.Blob))
	}
	return map[string]any{"text": strings.Join(all, "\n")}, nil
}

func get(ctx context.Context, s *mcp.ClientSession, is *step) (any, error) {
	got, err := s.GetPrompt(ctx, &mcp.GetPromptParams{Name: is.Name, Arguments: is.Prompt})
	if err != nil {
		return nil, err
	}
	var all []mcp.Content
	for _, m := range got.Messages {
		all = append(all, m.Content)
	}
	return map[string]any{"text": text(all)}, nil
}
