package mcp

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
)

// judge shows these tools, one prompt and the resources under docs.
func judge(t testing.TB, tools ...string) *mcp.Judge {
	t.Helper()
	s := mcp.Spec{
		MaxBytes: 1, Revisions: []string{"2025-11-25", "2026-07-28"},
		Resources: []string{"file:///docs/**"}, Prompts: []string{"greet"},
	}
	for _, name := range tools {
		s.Tools = append(s.Tools, mcp.Tool{Name: name})
	}
	return mcp.Compile(&s, func(field, _, msg string) { t.Fatal(field, msg) })
}

const limit = 4096

// filtered passes an answer through, in parts of n bytes.
func filtered(a Answer, text string, n int) (string, error) {
	var f Filter
	a.Limit = limit
	f.Start(a)
	var out []byte
	var err error
	for len(text) > 0 {
		part := text[:min(n, len(text))]
		text = text[len(part):]
		if out, err = f.Write(out, []byte(part)); err != nil {
			return string(out), err
		}
	}
	out, err = f.End(out)
	return string(out), err
}

func TestAnswers(t *testing.T) {
	const listed = `{"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "a", "inputSchema": {"type": "object"}}, {"name": "x"}], "nextCursor": "c"}}`
	tests := map[string]struct{ why, text, want string }{
		"tools":          {"cut to what is granted", listed, `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name": "a", "inputSchema": {"type": "object"}}],"nextCursor":"c"}}`},
		"none":           {"an empty list is a list", `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"x"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}`},
		"escaped":        {"names are compared decoded", `{"jsonrpc":"2.0","id":7,"result":{"\u0074ools":[{"name":"\u0061"},{"n\u0061me":"x"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"\u0074ools":[{"name":"\u0061"}]}}`},
		"prompts":        {"likewise", `{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"greet"},{"name":"x"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"greet"}]}}`},
		"resources":      {"likewise", `{"jsonrpc":"2.0","id":7,"result":{"resources":[{"uri":"file:///docs/a","name":"x"},{"uri":"file:///etc/a"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"resources":[{"uri":"file:///docs/a","name":"x"}]}}`},
		"templates":      {"likewise", `{"jsonrpc":"2.0","id":7,"result":{"resourceTemplates":[{"uriTemplate":"file:///docs/{n}"},{"uriTemplate":"file:///{n}"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"resourceTemplates":[{"uriTemplate":"file:///docs/{n}"}]}}`},
		"two names":      {"readers see one or the other", `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","Name":"x"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}`},
		"no name":        {"nobody grants it", `{"jsonrpc":"2.0","id":7,"result":{"tools":[{},"a",["a"],{"name":["a"]}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}`},
		"call":           {"as it came", `{"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "tools"}]}}`, `{"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "tools"}]}}`},
		"error":          {"as it came", `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"x","data":{"tools":["x"]}}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"x","data":{"tools":["x"]}}}`},
		"error, null id": {"of a request that was not read", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`},
		"nothing":        {"an answer without a body", "", ""},
		"key twice":      {"readers see one or the other", `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a"}],"tools":[{"name":"x"}]}}`, "!"},
		"twin of tools":  {"readers without letter case see it", `{"jsonrpc":"2.0","id":7,"result":{"Tools":[{"name":"x"}]}}`, "!"},
		"long s":         {"folded by some", `{"jsonrpc":"2.0","id":7,"result":{"toolſ":[{"name":"x"}]}}`, "!"},
		"twin of result": {"readers without letter case see it", `{"jsonrpc":"2.0","id":7,"result":{},"Result":{"tools":[{"name":"x"}]}}`, "!"},
		"object":         {"no list", `{"jsonrpc":"2.0","id":7,"result":{"tools":{"name":"x"}}}`, "!"},
		"batch":          {"one message", `[` + listed + `]`, "!"},
		"two":            {"one message", listed + listed, "!"},
		"no JSON":        {"no message", `tools: x`, "!"},
		"no JSON-RPC":    {"no message", `{"tools":[{"name":"x"}]}`, "!"},
		"mark":           {"some readers fail", "\xef\xbb\xbf" + listed, "!"},
		"too long":       {"it has to fit into memory", `{"jsonrpc":"2.0","id":7,"result":{"a":"` + strings.Repeat("x", limit) + `"}}`, "!"},
	}
	layers := []Layer{{judge(t, "a", "b")}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := filtered(Answer{Layers: layers}, test.text, 7)
			if test.want == "!" {
				if !errors.Is(err, ErrUnreadable) || got != "" {
					t.Errorf("%s: got %q, %v", test.why, got, err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("%s: got %s, %v", test.why, got, err)
			}
			// In a stream, the same is said.
			if test.text == "" {
				return
			}
			stream := "data: " + test.text + "\n\n"
			if got, err := filtered(Answer{Layers: layers, Stream: true}, stream, 3); err != nil || got != "data: "+test.want+"\n\n" {
				t.Errorf("as an event: got %s, %v", got, err)
			}
		})
	}
}

// Of several layers, each has a say; without one, nothing is seen.
func TestLayers(t *testing.T) {
	text := `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}}`
	tests := map[string]struct {
		layers []Layer
		want   string
	}{
		"one of two grants": {[]Layer{{judge(t, "a"), judge(t, "b")}}, `{"name":"a"},{"name":"b"}`},
		"a ceiling":         {[]Layer{{judge(t, "a", "b")}, {judge(t, "b", "c")}}, `{"name":"b"}`},
		"an empty layer":    {[]Layer{{judge(t, "a")}, {}}, ``},
		"no layer":          {nil, ``},
	}
	for name, test := range tests {
		got, err := filtered(Answer{Layers: test.layers}, text, 100)
		if want := `{"jsonrpc":"2.0","id":7,"result":{"tools":[` + test.want + `]}}`; err != nil || got != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestStreams(t *testing.T) {
	const ok, bad = `{"jsonrpc":"2.0","method":"m"}`, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x"}]}}`
	const none = `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`
	tests := map[string]struct{ why, text, want string }{
		"message":           {"passed", "event: message\ndata: " + ok + "\n\n", "event: message\ndata: " + ok + "\n\n"},
		"without a name":    {"a message", "data: " + ok + "\n\n", "data: " + ok + "\n\n"},
		"carriage returns":  {"a line end", "data: " + ok + "\r\rdata:" + ok + "\r\n\r\n", "data: " + ok + "\n\ndata: " + ok + "\n\n"},
		"line end in a CR":  {"readers that know LF alone would see less", "event: other\rdata: x\r\rdata: " + bad + "\n\n", "data: " + none + "\n\n"},
		"several lines":     {"one message", "data: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"m\"}\n\n", "data: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"m\"}\n\n"},
		"split list":        {"one message", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\ndata: {\"tools\":[{\"name\":\ndata: \"x\"}]}}\n\n", "data: " + none + "\n\n"},
		"other event":       {"the old transport's address, for one", "event: endpoint\ndata: https://evil.example/\n\ndata: " + ok + "\n\n", "data: " + ok + "\n\n"},
		"other event, list": {"whatever it says", "event: tools\ndata: " + bad + "\n\n", ""},
		"letter case":       {"not a message to all", "event: Message\ndata: " + bad + "\n\n", ""},
		"last name counts":  {"as in the standard", "event: message\nevent: other\ndata: " + bad + "\n\n", ""},
		"unknown fields":    {"dropped", "Data: x\nx: y\ndata: " + ok + "\n\n", "data: " + ok + "\n\n"},
		"mark":              {"at the beginning, once", "\xef\xbb\xbfdata: " + bad + "\n\n", "data: " + none + "\n\n"},
		"second mark":       {"an unknown field", "\xef\xbb\xbf\xef\xbb\xbfdata: " + bad + "\n\n", ""},
		"comment":           {"says nothing", ": hello " + bad + "\n\n", ":\n\n"},
		"place":             {"streams are resumed", "id: 7\nretry: 500\ndata: " + ok + "\n\n", "id: 7\nretry: 500\ndata: " + ok + "\n\n"},
		"priming":           {"a place without a message", "id: 7\ndata: \n\n", "id: 7\ndata: \n\n"},
		"id alone":          {"a place without an event", "id: 7\n\n", "id: 7\n\n"},
		"id with zero":      {"none, by the standard", "id: 7\x00\ndata: " + ok + "\n\n", "data: " + ok + "\n\n"},
		"id with a letter":  {"could not come back", "id: ä\ndata: " + ok + "\n\n", "data: " + ok + "\n\n"},
		"retry in words":    {"none, by the standard", "retry: soon\n\n", ""},
		"breaks off":        {"no event, by the standard", "data: " + ok + "\n\ndata: " + bad, "data: " + ok + "\n\n"},
		"nothing":           {"no event", "\n\n\n", ""},
		"not a message":     {"not to be read", "data: " + ok + "\n\ndata: {}\n\n", "data: " + ok + "\n\n!"},
		"two messages":      {"one message", "data: " + ok + "\ndata: " + ok + "\n\n", "!"},
		"too long":          {"it has to fit into memory", "data: " + ok + "\n\ndata: " + strings.Repeat("x", 2*limit), "data: " + ok + "\n\n!"},
		"many lines":        {"it has to fit into memory", strings.Repeat("data: \n", limit+1) + "\n", "!"},
	}
	layers := []Layer{{judge(t, "a")}}
	for name, test := range tests {
		for _, n := range []int{1, 2, 5, 1 << 20} {
			got, err := filtered(Answer{Layers: layers, Stream: true}, test.text, n)
			if err != nil {
				got += "!"
			}
			if got != test.want {
				t.Errorf("%s, in parts of %d: %s:\ngot  %q\nwant %q", name, n, test.why, got, test.want)
			}
		}
	}
}

// A handshake ends with a granted revision, or its answer is not passed on.
func TestHandshake(t *testing.T) {
	layers := []Layer{{judge(t, "a")}}
	answer := `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":%s,"capabilities":{}}}`
	for revision, ok := range map[string]bool{`"2025-11-25"`: true, `"2025-06-18"`: false, `"2026-07-28"`: false, `"2024-11-05"`: false, `1`: false} {
		var all Sessions
		s := all.Open("/mcp", "s")
		text := fmt.Sprintf(answer, revision)
		got, err := filtered(Answer{Layers: layers, Handshake: true, Session: s}, text, 9)
		if (err == nil) != ok || ok && got != text || (s.Revision() == strings.Trim(revision, `"`)) != ok {
			t.Errorf("%s: got %s, %v", revision, got, err)
		}
	}
}

// What a server asks, and where its streams can be resumed, is remembered.
func TestRemembered(t *testing.T) {
	var all Sessions
	s := all.Open("/mcp", "s")
	stream := "id: e1\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"\\u00e4\",\"method\":\"elicitation/create\"}\n\n" +
		"data: {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"roots/list\"}\n\n"
	if _, err := filtered(Answer{Layers: []Layer{{judge(t, "a")}}, Stream: true, Session: s}, stream, 4); err != nil {
		t.Fatal(err)
	}
	if !s.Passed("e1") || s.Passed("e2") {
		t.Error("events are not the ones that were passed on")
	}
	for _, id := range []string{`"5`, `6`, ``} {
		if s.Answer(id) {
			t.Errorf("%s was not asked", id)
		}
	}
	for _, id := range []string{`"ä`, `5`} {
		if !s.Answer(id) || s.Answer(id) {
			t.Errorf("%s is to be answered once", id)
		}
	}
}

// FuzzStream: what passes of a stream does not depend on how it arrives, passes
// a second time as it is, and lists no tool that is not granted.
func FuzzStream(f *testing.F) {
	f.Add([]byte("event: message\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"x\"}]}}\n\n"), 3)
	f.Add([]byte("\xef\xbb\xbfdata: {}\r\r\n: c\rretry: 5\n\n"), 1)
	layers := []Layer{{judge(f, "a")}}
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		whole, err := filtered(Answer{Layers: layers, Stream: true}, string(stream), len(stream)+1)
		parts, again := filtered(Answer{Layers: layers, Stream: true}, string(stream), 1+abs(n)%16)
		if whole != parts || (err == nil) != (again == nil) {
			t.Fatalf("in parts: got %q, %v, want %q, %v", parts, again, whole, err)
		}
		// What was passed on is a stream that passes as it is: there is one
		// reading of it.
		if twice, err := filtered(Answer{Layers: layers, Stream: true}, whole, 5); err != nil || twice != whole {
			t.Fatalf("a second time: got %q, %v, want %q", twice, err, whole)
		}
		for line := range strings.Lines(whole) {
			if strings.Contains(line, "\r") || strings.HasPrefix(line, "data") && strings.Contains(line, `"tools":[{"name":"x"`) {
				t.Fatalf("passes %q", whole)
			}
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

// FuzzAnswer: what passes of an answer is one message that lists nothing that is
// not granted, however a reader spells names; it does not depend on how the answer
// arrives, and passes a second time as it is.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "a", "inputSchema": {}}, {"name": "x"}], "nextCursor": "c"}}`,
		`{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"greet"},{"name":"x"}],"Tools":[{"name":"x"}]}}`,
		`{"jsonrpc":"2.0","id":7,"result":{"resources":[{"uri":"file:///docs/a"},{"uri":"file:///etc/a"}],"resourceTemplates":[{"uriTemplate":"file:///{n}"}]}}`,
		`{"jsonrpc":"2.0","id":7,"result":{"\u0074ools":[{"n\u0061me":"x","Name":"a"}]}}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}`,
	} {
		f.Add([]byte(seed), 3)
	}
	layers := []Layer{{judge(f, "a")}}
	granted := map[string]func(string) bool{
		"tools": func(s string) bool { return s == "a" }, "prompts": func(s string) bool { return s == "greet" },
		"resources": func(s string) bool { return strings.HasPrefix(s, "file:///docs/") },
	}
	key := map[string]string{"tools": "name", "prompts": "name", "resources": "uri"}
	f.Fuzz(func(t *testing.T, answer []byte, n int) {
		whole, err := filtered(Answer{Layers: layers}, string(answer), len(answer)+1)
		parts, again := filtered(Answer{Layers: layers}, string(answer), 1+abs(n)%16)
		if whole != parts || (err == nil) != (again == nil) {
			t.Fatalf("in parts: got %q, %v, want %q, %v", parts, again, whole, err)
		}
		if err != nil || whole == "" {
			return
		}
		if twice, err := filtered(Answer{Layers: layers}, whole, 5); err != nil || twice != whole {
			t.Fatalf("a second time: got %q, %v, want %q", twice, err, whole)
		}
		var message struct{ Result map[string]stdjson.RawMessage }
		if err := stdjson.Unmarshal([]byte(whole), &message); err != nil {
			var other struct{ Result stdjson.RawMessage }
			if err := stdjson.Unmarshal([]byte(whole), &other); err != nil || strings.HasPrefix(string(other.Result), "{") {
				t.Fatalf("passes %q: %v", whole, err)
			}
		}
		for list, text := range message.Result {
			may := granted[strings.ToLower(list)]
			var items []map[string]stdjson.RawMessage
			if may == nil || stdjson.Unmarshal(text, &items) != nil {
				continue
			}
			for _, item := range items {
				for name, value := range item {
					var s string
					if strings.ToLower(name) == key[strings.ToLower(list)] && (stdjson.Unmarshal(value, &s) != nil || !may(s)) {
						t.Fatalf("passes %q, which lists %s", whole, value)
					}
				}
			}
		}
	})
}

// TestFilterTellsWhatItHolds: of a message and of an event, until it was passed on;
// and whoever is told may end it.
func TestFilterTellsWhatItHolds(t *testing.T) {
	full := errors.New("full")
	message := `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", limit/2) + `"}]}}`
	for name, stream := range map[string]bool{"message": false, "event": true} {
		t.Run(name, func(t *testing.T) {
			highest := int64(0)
			a := Answer{Layers: []Layer{{judge(t, "a")}}, Stream: stream, Hold: func(bytes int64) error {
				highest = max(highest, bytes)
				return nil
			}}
			text := message
			if stream {
				text = "data: " + message + "\n\n"
			}
			if _, err := filtered(a, text, 100); err != nil || highest < limit/2 {
				t.Errorf("%d bytes are told of, and %v", highest, err)
			}
			a.Hold = func(int64) error { return full }
			if got, err := filtered(a, text, 100); !errors.Is(err, full) || got != "" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
