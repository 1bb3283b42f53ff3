package mcp

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

func parsed(t testing.TB, text string) *json.Document {
	t.Helper()
	d := &json.Document{}
	if err := d.Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

// What goes upstream is made of the message: one form, whatever the agent sent.
func TestMirror(t *testing.T) {
	text := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_docs","arguments":{"Region":" ü","n":5,"b":true},` + meta + `}}`
	var m Message
	var h Header
	m.Read(parsed(t, text).Root())
	h.Read(fields("mcp-protocol-version: 2026-07-28", "MCP-METHOD: tools/call", "Mcp-Name: =?base64?c2VhcmNoX2RvY3M=?=",
		"mcp-param-region: =?base64?IMO8?=", "Mcp-Param-N: 5.0", "Mcp-Param-B: true", "Mcp-Other: x"))
	if detail := h.disagrees(&m, stateless); detail != "" {
		t.Fatal(detail)
	}
	var got []string
	h.Mirror(&m, func(name, value string) { got = append(got, name+": "+value) })
	want := "Mcp-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: search_docs\n" +
		"Mcp-Param-region: =?base64?IMO8?=\nMcp-Param-N: 5\nMcp-Param-B: true"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestEncoding(t *testing.T) {
	for _, s := range []string{"", "plain", "with space", " led", "trailed ", "ü", "a\nb", "\t", "=?base64?x?=", "=?base64?=", "=?base64?", "?="} {
		e := encode(s)
		if got, ok := decode(e); !ok || got != s {
			t.Errorf("%q is encoded as %q, which is decoded as %q, %t", s, e, got, ok)
		}
		if !isPlain(e) {
			t.Errorf("%q is encoded as %q, which is no plain text", s, e)
		}
	}
}

func TestShown(t *testing.T) {
	j := compiled(t, &spec)
	for template, want := range map[string]bool{
		"test://template/{id}/data": true, "file:///docs/{name}": true, "file:///docs/{+path}.md": true, "file:///{path}": false,
		"file:///docs/{": false, "file:///docs/{}": false, "file:///docs/../{a}": false, "{uri}": false, "": false,
	} {
		if got := j.ShowsTemplate(template); got != want {
			t.Errorf("template %s: got %t", template, got)
		}
	}
	for uri, want := range map[string]bool{
		"file:///docs/a": true, "file:///docs/a?b": false, "file:///docs/a#b": false, "file:///docs/": false, "file:///docs/a\\b": false,
		"FILE:///docs/a": false, "file:///docs/a%2fb": false, "file:///docs/a%C3%A9": true, "file:///docs/%": false, "file:///docs/%zz": false,
		"file:///docs/a%0ab": false, "https://x.example/find?a": true, "https://x.example/find": false,
	} {
		if got := j.ShowsResource(uri); got != want {
			t.Errorf("resource %s: got %t", uri, got)
		}
	}
	if !j.ShowsTool("none") || j.ShowsTool("") || j.ShowsTool("None") || !j.ShowsPrompt("greet") || j.ShowsPrompt("x") {
		t.Error("tools and prompts are shown by their exact names alone")
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := map[string]struct {
		why   string
		spec  Spec
		field string
	}{
		"zero":              {"nothing is granted", Spec{}, "revisions"},
		"no revision":       {"none is never all", Spec{MaxBytes: 1, Tools: []Tool{{Name: "t"}}}, "revisions"},
		"unknown revision":  {"it cannot be judged", Spec{MaxBytes: 1, Revisions: []string{"2024-11-05"}, Tools: []Tool{{Name: "t"}}}, "revisions"},
		"nothing":           {"it grants nothing", Spec{MaxBytes: 1, Revisions: []string{newest}}, "tools"},
		"tool without name": {"no call has it", Spec{MaxBytes: 1, Revisions: []string{newest}, Tools: []Tool{{}}}, "tools"},
		"tool twice":        {"which arguments", Spec{MaxBytes: 1, Revisions: []string{newest}, Tools: []Tool{{Name: "t"}, {Name: "t"}}}, "tools"},
		"prompt twice":      {"once is enough", Spec{MaxBytes: 1, Revisions: []string{newest}, Prompts: []string{"p", "p"}}, "prompts"},
		"bad glob":          {"no glob", Spec{MaxBytes: 1, Revisions: []string{newest}, Resources: []string{"a**"}}, "resources"},
		"bad matcher":       {"it bounds nothing", Spec{MaxBytes: 1, Revisions: []string{newest}, Tools: []Tool{{Name: "t", Arguments: map[string]match.Matcher{"a": {}}}}}, "tools[t].arguments.a"},
		"no bound":          {"messages are read into memory", Spec{Revisions: []string{newest}, Tools: []Tool{{Name: "t"}}}, "maxBytes"},
	}
	for name, test := range tests {
		found := false
		Compile(&test.spec, func(field, _, msg string) {
			found = found || field == test.field
			if msg == "" {
				t.Errorf("%s: %s: no instruction", name, field)
			}
		})
		if !found {
			t.Errorf("%s: %s: nothing is said of %s", name, test.why, test.field)
		}
	}
}

func TestShapes(t *testing.T) {
	methods := func(revisions ...string) (list []string) {
		s := spec
		s.Revisions = revisions
		for _, one := range Shapes(&s, func(field, _, msg string) { t.Error(field, msg) }) {
			if one.Path != "/mcp" {
				t.Errorf("got %+v", one)
			}
			list = append(list, one.Methods...)
		}
		return list
	}
	if got := strings.Join(methods("2025-03-26"), " "); got != "POST GET DELETE" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(methods(newest), " "); got != "POST" {
		t.Errorf("a revision without sessions: got %s", got)
	}
}

// FuzzJudge: what passes is one message of a granted method to something that
// is granted, as a reader sees it that keeps the last of two keys and compares
// them without letter case.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(call("")))
	f.Add([]byte(call("," + meta)))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","Name":"x"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"1","result":{}}`))
	j := compiled(f, &spec)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, version := range Revisions() {
			headers := fields("MCP-Protocol-Version: " + version)
			if version == newest {
				headers = append(headers, fields("Mcp-Method: tools/call", "Mcp-Name: search_docs")...)
			}
			if judged(j, headers, string(data)).Reason == body.Passes {
				isGranted(t, data, version)
			}
		}
	})
}
