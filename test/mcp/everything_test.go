package mcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// everything grants a part of server-everything to two agents.
const everything = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: agents}
stringData: {token: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: mcp, namespace: agents}
spec:
  endpoints:
  - {name: tools, url: "https://mcp.example", profile: mcp, inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: writer, namespace: agents}
spec:
  upstream: {name: mcp}
  holders: {serviceAccounts: [writer]}
  grants:
  - name: tools
    mcp:
      path: /mcp
      revisions: ["2025-03-26", "2025-06-18", "2025-11-25"]
      tools:
      - {name: echo, arguments: {message: {required: true, maxLength: 40}}}
      - {name: get-sum, arguments: {a: {required: true, max: 10}, b: {required: true, type: Number}}}
      - {name: get-tiny-image}
      - {name: get-structured-content, arguments: {location: {in: [Chicago]}}}
      - {name: trigger-long-running-operation, arguments: {duration: {type: Number, max: 10}, steps: {type: Integer}}}
      - {name: trigger-sampling-request, unlisted: Allow}
      - {name: trigger-elicitation-request}
      - {name: toggle-subscriber-updates}
      resources: ["demo://resource/static/document/*", "demo://resource/dynamic/text/*"]
      prompts: [simple-prompt, args-prompt]
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: reader, namespace: agents}
spec:
  upstream: {name: mcp}
  holders: {serviceAccounts: [reader]}
  grants:
  - name: tools
    mcp: {path: /mcp, revisions: ["2025-11-25"], tools: [{name: echo, arguments: {message: {in: [hello]}}}]}
`

// eachSDK runs a test with each of the clients, connected as the writer.
func eachSDK(t *testing.T, run func(t *testing.T, c *client, f *front, s *sidecar)) {
	server := serveEverything(t)
	for name, program := range sdks(t) {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, server)
			s := runSidecar(t, f, everything)
			c := newClient(t, s.agents["writer"], program)
			if got := c.must(t, step{Do: "connect"}); !strings.Contains(string(got.Result), `"revision":"2025-11-25"`) {
				t.Fatalf("connected with %s", got)
			}
			run(t, c, f, s)
		})
	}
}

// TestGranted does all that an agent may do.
func TestGranted(t *testing.T) {
	eachSDK(t, func(t *testing.T, c *client, f *front, s *sidecar) {
		for _, test := range []struct {
			step step
			has  string
		}{
			{step{Do: "ping"}, ""},
			{step{Do: "call", Name: "echo", Arguments: json.RawMessage(`{"message":"hé"}`)}, "Echo: hé"},
			{step{Do: "call", Name: "get-sum", Arguments: json.RawMessage(`{"a":3,"b":4.5}`)}, "is 7.5"},
			{step{Do: "call", Name: "get-tiny-image"}, "image"},
			{step{Do: "call", Name: "get-structured-content", Arguments: json.RawMessage(`{"location":"Chicago"}`)}, "temperature"},
			{step{Do: "call", Name: "trigger-sampling-request", Arguments: json.RawMessage(`{"prompt":"say it"}`)}, "sampled"},
			{step{Do: "call", Name: "trigger-elicitation-request"}, "elicited"},
			{step{Do: "read", URI: "demo://resource/static/document/features.md"}, "#"},
			{step{Do: "read", URI: "demo://resource/dynamic/text/7"}, "7"},
			{step{Do: "get", Name: "simple-prompt"}, "simple prompt"},
			{step{Do: "get", Name: "args-prompt", Prompt: map[string]string{"city": "Ulm", "state": "BW"}}, "Ulm, BW"},
			{step{Do: "subscribe", URI: "demo://resource/dynamic/text/7"}, ""},
		} {
			if got := c.must(t, test.step); !strings.Contains(string(got.Result), test.has) {
				t.Errorf("%+v: %s", test.step, got)
			}
		}
		if c.told("sampling/createMessage") != 1 || c.told("elicitation/create") != 1 {
			t.Errorf("the server has asked %v", c.events)
		}
		c.must(t, step{Do: "call", Name: "toggle-subscriber-updates"})
		eventually(t, "for an update of a resource", func() bool { return c.told("notifications/resources/updated") > 0 })
		c.must(t, step{Do: "unsubscribe", URI: "demo://resource/dynamic/text/7"})
		c.must(t, step{Do: "call", Name: "trigger-long-running-operation", Arguments: json.RawMessage(`{"duration":0.1,"steps":3}`), Progress: true})
		eventually(t, "for progress", func() bool { return c.told("notifications/progress") == 3 })
		for _, r := range s.records(t) {
			if r.Verdict != "Allow" && r.Reason != "ParameterRefused" {
				t.Errorf("record %+v", r)
			}
		}
		for _, e := range f.seen()[1:] {
			if strings.Contains(e.body, `"method":"tools/call"`) && (e.session == "" || e.version != "2025-11-25") {
				t.Errorf("the upstream has seen %+v", e)
			}
		}
	})
}

// TestLists: of what a server has, an agent sees what is granted.
func TestLists(t *testing.T) {
	eachSDK(t, func(t *testing.T, c *client, _ *front, _ *sidecar) {
		for _, test := range []struct {
			do   string
			want []string
		}{
			{"tools", []string{"echo", "get-structured-content", "get-sum", "get-tiny-image", "toggle-subscriber-updates",
				"trigger-elicitation-request", "trigger-long-running-operation", "trigger-sampling-request"}},
			{"templates", []string{"demo://resource/dynamic/text/{resourceId}"}},
			{"prompts", []string{"args-prompt", "simple-prompt"}},
		} {
			if got := names(t, c.must(t, step{Do: test.do})); !slices.Equal(got, test.want) {
				t.Errorf("%s: %q", test.do, got)
			}
		}
		resources := names(t, c.must(t, step{Do: "resources"}))
		outside := func(uri string) bool { return !strings.HasPrefix(uri, "demo://resource/static/document/") }
		if len(resources) == 0 || slices.ContainsFunc(resources, outside) {
			t.Errorf("resources: %q", resources)
		}
	})
}

// names reads a list.
func names(t *testing.T, a told) (all []string) {
	t.Helper()
	if err := json.Unmarshal(a.Result, &all); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
	slices.Sort(all)
	return all
}

// TestRefused tries what is not granted: the client is told by an error that a
// model can act on, and the server hears nothing.
func TestRefused(t *testing.T) {
	args := func(s string) json.RawMessage { return json.RawMessage(s) }
	tests := map[string]struct {
		step step
		code int
		says string
	}{
		"tool":              {step{Do: "call", Name: "get-env"}, -32602, "the tool is not granted: call one that tools/list shows"},
		"letter case":       {step{Do: "call", Name: "Echo", Arguments: args(`{"message":"x"}`)}, -32602, "the tool is not granted"},
		"space":             {step{Do: "call", Name: "get-env ", Arguments: args(`{}`)}, -32602, "the tool is not granted"},
		"too large":         {step{Do: "call", Name: "get-sum", Arguments: args(`{"a":11,"b":1}`)}, -32602, "argument"},
		"exponent":          {step{Do: "call", Name: "get-sum", Arguments: args(`{"a":1e9,"b":1}`)}, -32602, ""},
		"text for a number": {step{Do: "call", Name: "get-sum", Arguments: args(`{"a":"1","b":1}`)}, -32602, "argument"},
		"more arguments":    {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","more":1}`)}, -32602, "argument"},
		"no argument":       {step{Do: "call", Name: "echo", Arguments: args(`{}`)}, -32602, "argument"},
		"none at all":       {step{Do: "call", Name: "echo"}, -32602, ""},
		"empty key":         {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","":"x"}`)}, -32602, "argument"},
		"prototype":         {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","__proto__":{"message":"y"}}`)}, -32602, "argument"},
		"folded key":        {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","Message":"y"}`)}, -32602, "argument"},
		"wide key":          {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","me\u017f\u017fage":"y"}`)}, -32602, "argument"},
		"dotted key":        {step{Do: "call", Name: "echo", Arguments: args(`{"message":"x","message.x":"y"}`)}, -32602, "argument"},
		"other value":       {step{Do: "call", Name: "get-structured-content", Arguments: args(`{"location":"New York"}`)}, -32602, "argument"},
		"resource":          {step{Do: "read", URI: "demo://resource/dynamic/blob/1"}, -32602, "the resource is not granted"},
		"dots":              {step{Do: "read", URI: "demo://resource/static/document/../../dynamic/blob/1"}, -32602, "the resource is not granted"},
		"encoded dots":      {step{Do: "read", URI: "demo://resource/static/document/%2e%2e"}, -32602, "the resource is not granted"},
		"subscription":      {step{Do: "subscribe", URI: "demo://resource/dynamic/blob/1"}, -32602, "the resource is not granted"},
		"prompt":            {step{Do: "get", Name: "completable-prompt", Prompt: map[string]string{"department": "a", "name": "b"}}, -32602, "the prompt is not granted"},
		"completion":        {step{Do: "complete", Name: "args-prompt"}, -32601, "no grant can allow this method"},
		"log level":         {step{Do: "level", Name: "debug"}, -32601, "no grant can allow this method"},
	}
	eachSDK(t, func(t *testing.T, c *client, f *front, s *sidecar) {
		eventually(t, "for the stream of the session", func() bool { return f.underWay("GET") == 1 })
		eventually(t, "for the client to tell its roots, which the server asks for once", func() bool {
			return slices.ContainsFunc(f.seen(), func(e entry) bool { return strings.Contains(e.body, `"result":{"roots":`) })
		})
		before, recorded := len(f.seen()), len(s.records(t))
		for name, test := range tests {
			got := c.do(t, test.step)
			if got.Error == "" || got.Code != test.code || !strings.Contains(got.Error, "out of scope: ") || !strings.Contains(got.Error, test.says) {
				t.Errorf("%s: got %s, want %d %s", name, got, test.code, test.says)
			}
		}
		for _, e := range f.seen()[before:] {
			// Requests alone: the client answers the server's own whenever it gets to it.
			if strings.Contains(e.body, `"id":`) && strings.Contains(e.body, `"method":`) {
				t.Errorf("the upstream has seen %+v", e)
			}
		}
		refused := slices.DeleteFunc(s.records(t)[recorded:], func(r record) bool { return r.Verdict != "Deny" || r.Reason != "ParameterRefused" })
		if len(refused) != len(tests) {
			t.Errorf("%d of %d refusals are recorded", len(refused), len(tests))
		}
		c.must(t, step{Do: "call", Name: "echo", Arguments: args(`{"message":"x"}`)}) // the allowed work goes on
	})
}

// TestReconnects: a stream that breaks off goes on from where it was.
func TestReconnects(t *testing.T) {
	eachSDK(t, func(t *testing.T, c *client, f *front, _ *sidecar) {
		c.begin(t, step{Do: "call", Name: "trigger-long-running-operation", Arguments: json.RawMessage(`{"duration":1,"steps":10}`), Progress: true})
		eventually(t, "for progress", func() bool { return c.told("notifications/progress") > 0 })
		f.breakOff()
		if got := c.end(t); got.Error != "" || !strings.Contains(string(got.Result), "completed") {
			t.Errorf("got %s", got)
		}
		if !slices.ContainsFunc(f.seen(), func(e entry) bool { return e.method == "GET" && e.event != "" }) {
			t.Error("the client has not resumed the stream")
		}
	})
}

// TestSessionEnds: an end is told to the server, and none of the streams stays.
func TestSessionEnds(t *testing.T) {
	eachSDK(t, func(t *testing.T, c *client, f *front, _ *sidecar) {
		eventually(t, "for the stream of the session", func() bool { return f.underWay("GET") == 1 })
		c.must(t, step{Do: "close"})
		if !slices.ContainsFunc(f.seen(), func(e entry) bool { return e.method == "DELETE" && e.session != "" }) {
			t.Error("the server was not told")
		}
		eventually(t, "for the stream to end", func() bool { return f.underWay("GET") == 0 })
	})
}

// TestAgentLeaves: the stream of an agent that is gone ends, though the server
// says nothing on it.
func TestAgentLeaves(t *testing.T) {
	server := serveConformance(t, "-stateless=false")
	for name, program := range sdks(t) {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, server)
			s := runSidecar(t, f, conformance("bearer: {}"))
			t.Run("agent", func(t *testing.T) {
				newClient(t, s.agents["agent"], program).must(t, step{Do: "connect"})
				eventually(t, "for the stream of the session", func() bool { return f.underWay("GET") == 1 })
			}) // behind which the client has ended
			eventually(t, "for the stream to end", func() bool { return f.underWay("GET") == 0 })
		})
	}
}

// TestAgents: each agent has its own scope, and a session is of the one that
// has opened it.
func TestAgents(t *testing.T) {
	f := newFront(t, serveEverything(t))
	s := runSidecar(t, f, everything)
	var writers, readers []*client
	for _, program := range sdks(t) {
		writers = append(writers, newClient(t, s.agents["writer"], program), newClient(t, s.agents["writer"], program))
		readers = append(readers, newClient(t, s.agents["reader"], program))
	}
	for _, c := range append(writers, readers...) {
		c.must(t, step{Do: "connect"})
	}
	for i, c := range writers {
		text := fmt.Sprintf("writer %d", i)
		if got := c.must(t, step{Do: "call", Name: "echo", Arguments: json.RawMessage(`{"message":"` + text + `"}`)}); !strings.Contains(string(got.Result), text) {
			t.Errorf("got %s", got)
		}
	}
	for _, c := range readers {
		if got := names(t, c.must(t, step{Do: "tools"})); !slices.Equal(got, []string{"echo"}) {
			t.Errorf("a reader sees %q", got)
		}
		c.must(t, step{Do: "call", Name: "echo", Arguments: json.RawMessage(`{"message":"hello"}`)})
		if got := c.do(t, step{Do: "call", Name: "echo", Arguments: json.RawMessage(`{"message":"writer"}`)}); got.Code != -32602 {
			t.Errorf("got %s", got)
		}
		if got := c.do(t, step{Do: "prompts"}); got.Code != -32602 {
			t.Errorf("got %s", got)
		}
	}
	testForeignSession(t, f, s)
}

// testForeignSession: the session of another agent is none.
func testForeignSession(t *testing.T, f *front, s *sidecar) {
	const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
	opened, _ := s.agents["writer"].post(t, initialize, nil)
	head := map[string]string{"Mcp-Session-Id": opened.Header.Get("Mcp-Session-Id"), "Mcp-Protocol-Version": "2025-11-25"}
	if head["Mcp-Session-Id"] == "" {
		t.Fatal("there is no session")
	}
	before := len(f.seen())
	const hello = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello"}}}`
	if got, text := s.agents["reader"].post(t, hello, head); got.StatusCode != http.StatusNotFound || len(f.seen()) != before {
		t.Errorf("got %d %s", got.StatusCode, text)
	}
	if got, text := s.agents["writer"].post(t, hello, head); got.StatusCode != http.StatusOK || !strings.Contains(text, "Echo: hello") {
		t.Errorf("got %d %s", got.StatusCode, text)
	}
}
