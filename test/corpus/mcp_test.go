package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	ownSession   = "s-own-1"
	otherSession = "s-other-9"
)

// openSessions opens a session by the process of the cases, and another by a
// process that was given the same credential.
func (i *instance) openSessions(t *testing.T, other *process, credential string) {
	t.Helper()
	i.values["SESSION"], i.values["OTHER_SESSION"] = ownSession, otherSession
	i.openSession(t, ownSession)
	token, address, err := other.credential(credential)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := &instance{upstream: i.upstream, address: address, values: map[string]string{"TOKEN": token}}
	elsewhere.openSession(t, otherSession)
}

// openSession opens a session, which the upstream calls by the mark.
func (i *instance) openSession(t *testing.T, session string) {
	t.Helper()
	const body = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"corpus","version":"1"}}}`
	raw := "POST /mcp HTTP/1.1\r\nHost: " + i.address + "\r\nAuthorization: Bearer " + i.values["TOKEN"] +
		"\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	i.upstream.begin(session)
	e := &evidence{sent: []byte(raw)}
	if err := i.converse(e, 1, &testCase{}); err != nil {
		t.Fatal(err)
	}
	if len(e.answers) != 1 || e.answers[0].header.Get("Mcp-Session-Id") != session {
		t.Fatalf("no session was opened: %s", e)
	}
}

// mcpAnswer is the usual answer to a message: a handshake opens the session
// that the mark names.
func mcpAnswer(mark string, r *upstreamRequest) string {
	var message struct {
		ID     json.RawMessage
		Method string
	}
	if json.Unmarshal(r.body, &message) != nil || message.ID == nil {
		return "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
	}
	head, result := "", fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, mark)
	if message.Method == "initialize" {
		head, result = "Mcp-Session-Id: "+mark+"\r\n", `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"corpus","version":"1"}}`
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, message.ID, result)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// rpcRefusal is an error of JSON-RPC.
type rpcRefusal struct {
	Version string `json:"jsonrpc"`
	ID      json.RawMessage
	Result  json.RawMessage
	Error   *struct {
		Code    int
		Message string
		Data    struct{ Reason, RequestID, Credential string }
	}
}

// rpcError reads an answer that is one, and no answer of the upstream's.
func (a *answer) rpcError() (rpcRefusal, bool) {
	var r rpcRefusal
	ok := json.Unmarshal(a.body, &r) == nil && r.Version == "2.0" && r.Result == nil && r.Error != nil && r.Error.Data.RequestID != ""
	return r, ok
}

// answersID checks the form of a refusal that a client of JSON-RPC reads: it
// has the id of the request, as it was written, and says why.
func answersID(c *testCase, a *answer, e *evidence) error {
	if c.Refusal != "rpc" {
		return nil
	}
	r, ok := a.rpcError()
	_, body, _ := bytes.Cut(e.sent[bytes.LastIndex(e.sent, []byte(" HTTP/1.1\r\n")):], []byte("\r\n\r\n"))
	var sent struct{ ID json.RawMessage }
	if err := json.Unmarshal(body, &sent); err != nil {
		return err
	}
	switch {
	case !ok || a.status != http.StatusOK:
		return fmt.Errorf("refused with %d %s, want a JSON-RPC error with 200", a.status, a.body)
	case !bytes.Equal(r.ID, sent.ID):
		return fmt.Errorf("the error has the id %s, want %s", r.ID, sent.ID)
	case r.Error.Message == "" || r.Error.Data.Reason == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json"):
		return fmt.Errorf("the error lacks something: %s", a.body)
	}
	return nil
}
