package mcp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// stateless is an agent of the Go SDK that speaks the newest revision with its
// server, or what they agree on.
func stateless(t *testing.T, manifests string) (*client, *front, *sidecar) {
	t.Helper()
	f := newFront(t, serveConformance(t, "-stateless=true"))
	s := runSidecar(t, f, manifests)
	return newClient(t, s.agents["agent"], []string{programs + "gosdk"}), f, s
}

// TestStateless does what an agent may do, and may not, in 2026-07-28.
func TestStateless(t *testing.T) {
	c, f, s := stateless(t, strings.Replace(conformance("bearer: {}"), "      - {name: test_error_handling, unlisted: Allow}\n", "", 1))
	if got := c.must(t, step{Do: "connect"}); !strings.Contains(string(got.Result), `"revision":"2026-07-28"`) {
		t.Fatalf("connected with %s", got)
	}
	all := names(t, c.must(t, step{Do: "tools"}))
	if !slices.Contains(all, "test_simple_text") || slices.Contains(all, "test_error_handling") {
		t.Errorf("tools: %q", all)
	}
	for _, test := range []struct {
		step step
		has  string
	}{
		{step{Do: "call", Name: "test_simple_text"}, "text"},
		{step{Do: "call", Name: "test_simple_text", Arguments: json.RawMessage("null")}, "text"},
		{step{Do: "call", Name: "test_x_mcp_header", Arguments: json.RawMessage(`{"region":"eu"}`)}, "eu"},
		{step{Do: "call", Name: "test_tool_with_progress", Progress: true}, ""},
		{step{Do: "read", URI: "test://static-text"}, "text"},
		{step{Do: "get", Name: "test_simple_prompt"}, "prompt"},
		{step{Do: "subscribe", URI: "test://watched-resource"}, ""},
	} {
		if got := c.must(t, test.step); !strings.Contains(string(got.Result), test.has) {
			t.Errorf("%+v: %s", test.step, got)
		}
	}
	eventually(t, "for an update of a resource", func() bool { return c.told("notifications/resources/updated") > 0 })
	eventually(t, "for progress", func() bool { return c.told("notifications/progress") > 0 })
	c.must(t, step{Do: "unsubscribe", URI: "test://watched-resource"})

	null := func(e entry) bool { return strings.Contains(e.body, `"arguments":null`) }
	if !slices.ContainsFunc(f.seen(), null) {
		t.Error("null for arguments has not come as it was sent")
	}

	before := len(f.seen())
	for _, test := range []struct {
		step step
		code int
		says string
	}{
		{step{Do: "call", Name: "test_error_handling"}, -32602, "the tool is not granted"},
		{step{Do: "read", URI: "file:///etc/passwd"}, -32602, "the resource is not granted"},
		{step{Do: "get", Name: "other"}, -32602, "the prompt is not granted"},
		{step{Do: "complete", Name: "test_simple_prompt"}, -32601, "no grant can allow this method"},
	} {
		if got := c.do(t, test.step); got.Code != test.code || !strings.Contains(got.Error, test.says) {
			t.Errorf("%+v: got %s", test.step, got)
		}
	}
	for _, e := range f.seen()[before:] {
		if !strings.Contains(e.body, "notifications/") {
			t.Errorf("the upstream has seen %+v", e)
		}
	}
	if !slices.ContainsFunc(s.records(t), func(r record) bool { return r.Reason == "ParameterRefused" }) {
		t.Error("no refusal is recorded")
	}
}

// TestOlder: a client that would speak the newest revision, which is not
// granted, is told so in a way that has it speak one that is.
func TestOlder(t *testing.T) {
	for _, revision := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
		t.Run(revision, func(t *testing.T) {
			all := `["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]`
			c, _, _ := stateless(t, strings.Replace(conformance("bearer: {}"), all, `["`+revision+`"]`, 1))
			asked := step{Do: "connect"}
			if revision != "2025-11-25" { // what the SDK falls back to
				asked.Revision = revision
			}
			if got := c.must(t, asked); !strings.Contains(string(got.Result), `"revision":"`+revision+`"`) {
				t.Fatalf("connected with %s", got)
			}
			c.must(t, step{Do: "call", Name: "test_simple_text"})
		})
	}
}
