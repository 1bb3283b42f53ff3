package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// MCPPath is where the server's MCP endpoint is: streamable HTTP, without
// sessions.
const MCPPath = "/mcp"

// message is a request of JSON-RPC.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string          `json:"protocolVersion"`
		Name            string          `json:"name"`
		Arguments       json.RawMessage `json:"arguments"`
	} `json:"params"`
}

// arguments are those of every tool. Go reads their names in any letter case,
// as many servers do.
type arguments struct {
	Owner       string `json:"owner"`
	Repo        string `json:"repo"`
	Branch      string `json:"branch"`
	IssueNumber int    `json:"issue_number"`
	Body        string `json:"body"`
}

// tools are those of the server, with what they take.
var tools = map[string][]string{
	"get_issue":         {"owner", "repo", "issue_number"},
	"add_issue_comment": {"owner", "repo", "issue_number", "body"},
	"list_branches":     {"owner", "repo"},
	"delete_branch":     {"owner", "repo", "branch"},
}

// mcp answers one message. The server has the key from its client and does
// with it what the key may do.
func (s *Server) mcp(w http.ResponseWriter, r *http.Request) {
	var m message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"message": "one message, please"})
		return
	}
	var result any
	switch m.Method {
	case "initialize":
		result = map[string]any{
			"protocolVersion": m.Params.ProtocolVersion,
			"capabilities":    map[string]any{"tools": map[string]any{}},
			"serverInfo":      map[string]string{"name": "github", "version": "1"},
		}
	case "tools/list":
		result = map[string]any{"tools": toolList()}
	case "tools/call":
		text, err := s.call(r, m.Params.Name, m.Params.Arguments)
		if err != nil {
			text = err.Error()
		}
		result = map[string]any{"content": []map[string]string{{"type": "text", "text": text}}, "isError": err != nil}
	default:
		if len(m.ID) == 0 {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		answer(w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": map[string]any{"code": -32601, "message": "method not found"}})
		return
	}
	answer(w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": m.ID, "result": result})
}

func toolList() []map[string]any {
	var list []map[string]any
	for name, takes := range tools {
		properties := map[string]any{}
		for _, argument := range takes {
			properties[argument] = map[string]any{}
		}
		list = append(list, map[string]any{"name": name, "inputSchema": map[string]any{"type": "object", "properties": properties}})
	}
	return list
}

func (s *Server) call(r *http.Request, tool string, text json.RawMessage) (string, error) {
	var a arguments
	if err := json.Unmarshal(text, &a); err != nil {
		return "", fmt.Errorf("reading the arguments: %w", err)
	}
	switch tool {
	case "get_issue":
		return s.Issue, nil
	case "add_issue_comment":
		return "commented", nil
	case "list_branches":
		branches, err := Branches(r.Context(), s.dir(a.Owner, a.Repo))
		return strings.Join(branches, "\n"), err
	case "delete_branch":
		return "deleted", s.drop(r, s.dir(a.Owner, a.Repo), a.Branch)
	}
	return "", fmt.Errorf("no tool %q", tool)
}
