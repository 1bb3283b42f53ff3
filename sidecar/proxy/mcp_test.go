package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// withMCP grants two tools of a server, beside what there is.
func withMCP(c *bundle.Credential) {
	c.Grants = append(c.Grants, scope.Grant{Name: "tools", Endpoint: "rest", MCP: &mcp.Spec{
		Path: "/mcp", MaxBytes: 1 << 16, Revisions: []string{"2025-11-25", "2026-07-28"},
		Tools: []mcp.Tool{{Name: "find", Arguments: map[string]scope.Matcher{"q": {Required: true, Type: scope.String}}}, {Name: "ask"}},
	}})
}

// server answers messages: a handshake with the session s1, a call of ask by
// asking back, tools/list by all that it has.
func server(c net.Conn, r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Name string }
	}
	_ = json.NewDecoder(req.Body).Decode(&m)
	head, media, body := "", "application/json", ""
	switch {
	case req.Method == "GET":
		media, body = "text/event-stream", "id: e1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n"
	case m.Method == "initialize":
		head = "Mcp-Session-Id: s1\r\n"
		body = `{"protocolVersion":"2025-11-25","capabilities":{}}`
	case m.Method == "tools/list":
		body = `{"tools":[{"name":"find"},{"name":"drop"},{"name":"ask"}]}`
	case m.Params.Name == "ask":
		media, body = "text/event-stream", "id: e2\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"q1\",\"method\":\"elicitation/create\"}\n\n"
	case m.Method != "" && m.ID != nil:
		body = `{"content":[]}`
	case m.ID != nil || m.Method != "" || req.Method == "DELETE":
		_, err = io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	if media == "application/json" {
		body = fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, body)
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", media, head, len(body), body)
	return err
}

// tell is a message with more fields in its head.
func tell(text string, more ...string) string {
	return request("POST", "/mcp") + "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
		strings.Join(append(more, ""), "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text)) + text
}

const (
	v25        = "MCP-Protocol-Version: 2025-11-25"
	inSession  = "Mcp-Session-Id: s1"
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{}}}`
	findCall   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","arguments":{"q":"x"}}}`
	askCall    = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`
	replyToAsk = `{"jsonrpc":"2.0","id":"q1","result":{"action":"accept"}}`
)

// asked sends a request and returns the answer.
func (a *agent) asked(method, raw string) reply {
	a.t.Helper()
	a.send(raw)
	return a.read(method)
}

// opened is an agent with a session.
func (f *fixture) opened() *agent {
	f.t.Helper()
	a := f.agent()
	if got := a.asked("POST", tell(initialize)); got.StatusCode != 200 || got.Header.Get("Mcp-Session-Id") != "s1" {
		f.t.Fatalf("got %d %v %s", got.StatusCode, got.Header, got.body)
	}
	return a
}

// rpcError is a refusal of a message.
func rpcError(body string) (id, reason string, code int) {
	var e struct {
		ID    json.RawMessage
		Error struct {
			Code    int
			Message string
			Data    struct{ Reason, RequestID string }
		}
	}
	if json.Unmarshal([]byte(body), &e) != nil || e.Error.Message == "" || e.Error.Data.RequestID == "" {
		return "", "", 0
	}
	return string(e.ID), e.Error.Data.Reason, e.Error.Code
}

func TestMCPSession(t *testing.T) {
	f := newFixture(t, server, withMCP)
	a := f.agent()
	if got := a.asked("POST", tell(findCall, v25, inSession)); got.StatusCode != 404 || got.reason() != "ParameterRefused" {
		t.Errorf("before it is open: got %d %s", got.StatusCode, got.body)
	}
	if f.upstream.bytes() != "" {
		t.Error("the upstream has seen a session that nobody opened")
	}
	a = f.opened()
	if got := a.asked("POST", tell(findCall, v25, inSession)); got.StatusCode != 200 || !strings.Contains(got.body, "content") {
		t.Errorf("in the session: got %d %s", got.StatusCode, got.body)
	}
	if got := a.asked("POST", tell(findCall, v25, "Mcp-Session-Id: s2")); got.StatusCode != 404 {
		t.Errorf("in another: got %d %s", got.StatusCode, got.body)
	}
	if got := a.asked("DELETE", request("DELETE", "/mcp")+v25+"\r\n"+inSession+"\r\n\r\n"); got.StatusCode != 202 {
		t.Errorf("ending it: got %d %s", got.StatusCode, got.body)
	}
	if got := a.asked("POST", tell(findCall, v25, inSession)); got.StatusCode != 404 {
		t.Errorf("after its end: got %d %s", got.StatusCode, got.body)
	}
}

func TestMCPRefusals(t *testing.T) {
	tests := map[string]struct {
		why, raw   string
		status     int
		id, reason string
		code       int
	}{
		"tool":         {"not granted", tell(strings.Replace(findCall, "find", "drop", 1), v25, inSession), 200, "1", "ParameterRefused", mcp.CodeParams},
		"string id":    {"sent back as it came", tell(strings.Replace(strings.Replace(findCall, `"id":1`, `"id":"\u00e4 b"`, 1), "find", "drop", 1), v25, inSession), 200, `"\u00e4 b"`, "ParameterRefused", mcp.CodeParams},
		"method":       {"outside the language", tell(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}`, v25, inSession), 200, "1", "ParameterRefused", mcp.CodeMethod},
		"header":       {"disagrees", tell(findCall, v25, inSession, "Mcp-Name: drop"), 200, "1", "ParameterRefused", mcp.CodeHeaderMismatch},
		"revision":     {"not granted", tell(findCall, "MCP-Protocol-Version: 2025-06-18", inSession), 200, "1", "ParameterRefused", mcp.CodeRevision},
		"batch":        {"no one id", tell("["+findCall+"]", v25, inSession), 403, "", "ParameterRefused", 0},
		"notification": {"no id", tell(`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"find","arguments":{"q":"x"}}}`, v25, inSession), 403, "", "ParameterRefused", 0},
		"id":           {"no id", tell(strings.Replace(findCall, `"id":1`, `"id":[1]`, 1), v25, inSession), 403, "", "ParameterRefused", 0},
		"response":     {"nobody has asked", tell(replyToAsk, v25, inSession), 403, "", "ParameterRefused", 0},
		"no JSON":      {"no message", tell("{", v25, inSession), 400, "", "Malformed", 0},
		"two names":    {"no message", tell(strings.Replace(findCall, `"name":"find"`, `"name":"find","name":"drop"`, 1), v25, inSession), 400, "", "Malformed", 0},
		"media type":   {"not read", strings.Replace(tell(findCall, v25, inSession), "application/json\r", "text/plain\r", 1), 415, "", "ParameterRefused", 0},
		"place":        {"no stream has come there", request("GET", "/mcp") + v25 + "\r\n" + inSession + "\r\nLast-Event-ID: e9\r\n\r\n", 403, "", "ParameterRefused", 0},
		"no session":   {"there is none to end", request("DELETE", "/mcp") + v25 + "\r\n\r\n", 403, "", "ParameterRefused", 0},
		"two sessions": {"readers take one or the other", tell(findCall, v25, inSession, "Mcp-Session-Id: s2"), 200, "1", "ParameterRefused", mcp.CodeHeaderMismatch},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, server, withMCP)
			a := f.opened()
			before := f.upstream.bytes()
			got := a.asked(test.raw[:strings.IndexByte(test.raw, ' ')], test.raw)
			id, reason, code := rpcError(got.body)
			if test.id == "" {
				reason = got.reason()
			}
			if got.StatusCode != test.status || id != test.id || reason != test.reason || code != test.code {
				t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
			}
			if f.upstream.bytes() != before {
				t.Error("the upstream has seen it")
			}
			if records := f.records.records(t); records[len(records)-1].Reason != test.reason {
				t.Errorf("recorded %+v", records)
			}
		})
	}
}

// A refused revision is named, beside those that are granted.
func TestMCPRevisions(t *testing.T) {
	f := newFixture(t, server, withMCP)
	const supported = `"supported":["2025-11-25","2026-07-28"]`
	for asked, want := range map[string]string{
		tell(strings.Replace(initialize, "2025-11-25", "2024-11-05", 1)):               `"requested":"2024-11-05",` + supported,
		tell(findCall, "MCP-Protocol-Version: v\"9"):                                   `"requested":"v\"9",` + supported,
		tell(strings.Replace(initialize, "2025-11-25", strings.Repeat("9", 1<<10), 1)): `"requested":"",` + supported,
		tell(strings.Replace(findCall, "find", "drop", 1), v25):                        `"requestId"`,
	} {
		got := f.agent().asked("POST", asked)
		if got.StatusCode != 200 || !strings.Contains(got.body, want) || strings.Contains(want, "supported") != strings.Contains(got.body, "supported") {
			t.Errorf("want %s: got %d %s", want, got.StatusCode, got.body)
		}
	}
	if f.upstream.bytes() != "" {
		t.Error("the upstream has seen one of them")
	}
}

// What goes upstream is made of the message.
func TestMCPMirrors(t *testing.T) {
	f := newFixture(t, server, withMCP)
	text := strings.Replace(findCall, `"x"}`, `"x"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`, 1)
	got := f.agent().asked("POST", tell(text, "mcp-protocol-version: 2026-07-28", "MCP-METHOD: tools/call", "mcp-name: =?base64?ZmluZA==?=",
		"Mcp-Param-Q: x", "Mcp-Other: y", "Mcp-Session-Id: nobody"))
	if got.StatusCode != 200 || !strings.Contains(got.body, "content") {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	head, body, _ := strings.Cut(f.upstream.bytes(), "\r\n\r\n")
	var sent []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if strings.HasPrefix(strings.ToLower(line), "mcp") {
			sent = append(sent, line)
		}
	}
	want := []string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: find", "Mcp-Param-Q: x"}
	if !slices.Equal(sent, want) || body != text {
		t.Errorf("sent %q, %s", sent, body)
	}
}

func TestMCPLists(t *testing.T) {
	f := newFixture(t, server, withMCP)
	got := f.opened().asked("POST", tell(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`, v25, inSession))
	if got.body != `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"find"},{"name":"ask"}]}}` {
		t.Errorf("got %s", got.body)
	}
}

// A server's request is answered once, by who was asked.
func TestMCPAnswers(t *testing.T) {
	f := newFixture(t, server, withMCP)
	a := f.opened()
	if got := a.asked("POST", tell(askCall, v25, inSession)); !strings.Contains(got.body, "elicitation/create") {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	if got := a.asked("POST", tell(replyToAsk, v25, inSession)); got.StatusCode != 202 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if got := a.asked("POST", tell(replyToAsk, v25, inSession)); got.StatusCode != 403 {
		t.Errorf("a second time: got %d %s", got.StatusCode, got.body)
	}
	resume := request("GET", "/mcp") + v25 + "\r\n" + inSession + "\r\nLast-Event-ID: e2\r\n\r\n"
	if got := a.asked("GET", resume); got.StatusCode != 200 || !strings.Contains(f.upstream.bytes(), "e2") {
		t.Errorf("resumed: got %d %s", got.StatusCode, got.body)
	}
}

// An event is passed on when it is there, not when the stream ends.
func TestMCPEventsAtOnce(t *testing.T) {
	more := make(chan bool)
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n"); err != nil {
			return err
		}
		<-more
		_, _ = io.WriteString(c, "data: {\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n\n")
		return io.EOF
	}, withMCP)
	a := f.agent()
	a.send(request("GET", "/mcp") + v25 + "\r\n\r\n")
	res, err := http.ReadResponse(a.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len("data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n"))
	if _, err := io.ReadFull(res.Body, first); err != nil || !strings.Contains(string(first), `"a"`) {
		t.Fatalf("got %q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "data: {\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestMCPUnreadable(t *testing.T) {
	const listed = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"drop"}]}}`
	plain := func(status, media, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, media, len(body), body)
	}
	tests := map[string]struct {
		why, answer string
		status      int
		refused     bool
		has         string
	}{
		"text":           {"a list in disguise", plain("200 OK", "text/plain", listed), 200, true, ""},
		"no JSON":        {"not to be read", plain("200 OK", "application/json", "{"+listed), 200, true, ""},
		"character set":  {"read differently", plain("200 OK", "application/json; charset=utf-16", listed), 200, true, ""},
		"two types":      {"read differently", strings.Replace(plain("200 OK", "application/json", listed), "Content-L", "Content-Type: text/plain\r\nContent-L", 1), 200, true, ""},
		"coding":         {"not to be read", strings.Replace(plain("200 OK", "application/json", listed), "Content-L", "Content-Encoding: br\r\nContent-L", 1), 200, true, ""},
		"error page":     {"the status counts", plain("500 Internal Server Error", "text/html", "drop"), 500, false, ""},
		"JSON-RPC error": {"a message", plain("400 Bad Request", "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}`), 400, false, `"no"`},
		"event":          {"no message", plain("200 OK", "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\ndata: drop\n\n"), 200, true, `"method":"a"`},
		"redirect":       {"not followed", strings.Replace(plain("307 Temporary Redirect", "text/plain", "drop"), "Content-L", "Location: /x\r\nContent-L", 1), 307, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, saying(test.answer), withMCP)
			got := f.agent().asked("POST", tell(findCall, v25))
			text := got.body
			if at := strings.LastIndex(text, "data: "); at >= 0 {
				text = text[at+len("data: "):]
			}
			_, reason, _ := rpcError(text)
			if got.StatusCode != test.status || (reason == "AnswerRefused") != test.refused || strings.Contains(got.body, "drop") || !strings.Contains(got.body, test.has) {
				t.Errorf("%s: got %d %s", test.why, got.StatusCode, got.body)
			}
			if test.refused && !eventually(func() bool { return strings.Contains(f.records.String(), "AnswerRefused") }) {
				t.Error("nothing is recorded of it")
			}
		})
	}
}

// A grant of another kind at the same path lets its own requests pass whole:
// removing a grant never allows more.
func TestMCPBesideHTTP(t *testing.T) {
	f := newFixture(t, server, withMCP, func(c *bundle.Credential) {
		c.Grants = append(c.Grants, scope.Grant{
			Name: "raw", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/mcp"}},
			Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 10, UnlistedAllow: true},
		})
	})
	if got := f.agent().asked("POST", tell(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`, v25)); !strings.Contains(got.body, "drop") {
		t.Errorf("got %s", got.body)
	}
}
