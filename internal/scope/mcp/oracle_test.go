package mcp

import (
	encoding "encoding/json"
	"slices"
	"testing"
)

// isGranted holds a message that passed to what encoding/json reads of it,
// which takes the last of several keys and any letter case of them.
func isGranted(t *testing.T, data []byte, version string) {
	t.Helper()
	var m struct {
		Version string              `json:"jsonrpc"`
		ID      encoding.RawMessage `json:"id"`
		Method  string              `json:"method"`
		Result  encoding.RawMessage `json:"result"`
		Error   encoding.RawMessage `json:"error"`
		Params  struct {
			Name      string                         `json:"name"`
			URI       string                         `json:"uri"`
			Arguments map[string]encoding.RawMessage `json:"arguments"`
			Task      encoding.RawMessage            `json:"task"`
		} `json:"params"`
	}
	if err := encoding.Unmarshal(data, &m); err != nil || m.Version != "2.0" || m.Params.Task != nil {
		t.Fatalf("passes, and is read as %+v, %v", m, err)
	}
	if m.Method == "" && (version == newest || m.ID == nil && m.Error == nil) {
		t.Fatalf("a response passes: %s", data)
	}
	if version == newest && m.ID != nil && m.Method != "tools/call" {
		t.Fatalf("the headers say tools/call: %s", data)
	}
	switch m.Method {
	case "tools/call":
		if m.ID == nil || !slices.ContainsFunc(spec.Tools, func(one Tool) bool { return one.Name == m.Params.Name }) {
			t.Fatalf("calls %q", m.Params.Name)
		}
		if m.Params.Name == "none" && len(m.Params.Arguments) > 0 {
			t.Fatalf("with arguments: %s", data)
		}
	case "prompts/get":
		if m.Params.Name != "greet" {
			t.Fatalf("gets %q", m.Params.Name)
		}
	case "completion/complete", "logging/setLevel", "tasks/get", "tasks/cancel", "sampling/createMessage":
		t.Fatalf("uses %s", m.Method)
	}
}
