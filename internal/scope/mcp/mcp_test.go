package mcp

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

var spec = Spec{
	Path: "/mcp", MaxBytes: 1 << 20, Revisions: Revisions(),
	Tools: []Tool{
		{Name: "search_docs", Arguments: map[string]match.Matcher{
			"query": {Required: true, MaxLength: new(200)}, "limit": {Type: match.Integer, Min: new("1"), Max: new("20")},
		}},
		{Name: "read_file", Arguments: map[string]match.Matcher{"path": {Required: true, Kind: match.Path, Under: "docs/"}}},
		{Name: "open", UnlistedAllow: true, Arguments: map[string]match.Matcher{"mode": {Equals: new("r")}}},
		{Name: "none"},
	},
	Resources: []string{"file:///docs/**", "test://template/*/data", "https://x.example/find?*"},
	Prompts:   []string{"greet"},
}

// compiled compiles s, which must have nothing wrong with it.
func compiled(t testing.TB, s *Spec) *Judge {
	t.Helper()
	return Compile(s, func(field, value, msg string) { t.Fatalf("%s %q: %s", field, value, msg) })
}

// judged judges a text with these headers.
func judged(j *Judge, headers []body.Field, text string) body.Refusal {
	var h body.Header
	h.Add("Content-Type", "application/json")
	b := body.Read(body.Content{Data: []byte(text), Whole: true}, headers)
	defer b.Release()
	return body.OfJSON(1<<20, j).Judge(&h, b)
}

func fields(lines ...string) (list []body.Field) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		list = append(list, body.Field{Name: name, Value: value})
	}
	return list
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// call is a request of the tool search_docs, with a member beside.
func call(more string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_docs","arguments":{"query":"x"}` + more + `}}`
}

func TestMessagesRefused(t *testing.T) {
	tests := map[string]struct{ why, text string }{
		"batch":                  {"one message at a time", `[` + call("") + `]`},
		"empty batch":            {"no message", `[]`},
		"scalar":                 {"no message", `"tools/list"`},
		"other version":          {"read by other rules", `{"jsonrpc":"1.0","id":1,"method":"tools/list"}`},
		"version as a number":    {"read by other rules", `{"jsonrpc":2.0,"id":1,"method":"tools/list"}`},
		"no version":             {"read by other rules", `{"id":1,"method":"tools/list"}`},
		"object as id":           {"an answer could not be told apart", `{"jsonrpc":"2.0","id":{"a":1},"method":"tools/list"}`},
		"null as id":             {"a request to some, a notification to others", `{"jsonrpc":"2.0","id":null,"method":"tools/list"}`},
		"fraction as id":         {"readers round it differently", `{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}`},
		"exponent as id":         {"readers write it differently", `{"jsonrpc":"2.0","id":1e3,"method":"tools/list"}`},
		"large id":               {"beyond 64 bits readers round", `{"jsonrpc":"2.0","id":18446744073709551616,"method":"tools/list"}`},
		"long id":                {"it is kept", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 300) + `","method":"tools/list"}`},
		"call without id":        {"a call that nobody answers", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"search_docs","arguments":{"query":"x"}}}`},
		"notification with id":   {"a request to some", `{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}`},
		"method and result":      {"two messages in one", `{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}`},
		"result and error":       {"two answers in one", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`},
		"twin of method":         {"readers without letter case call the other", `{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}`},
		"twin with zero byte":    {"readers of C strings call the other", `{"jsonrpc":"2.0","id":1,"method":"tools/list","method\u0000":"tools/call"}`},
		"twin of params":         {"folded by some", `{"jsonrpc":"2.0","id":1,"method":"tools/list","paramſ":{}}`},
		"method twice":           {"readers take one or the other", `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`},
		"method as a number":     {"no method", `{"jsonrpc":"2.0","id":1,"method":1}`},
		"letter case of method":  {"another method", `{"jsonrpc":"2.0","id":1,"method":"Tools/List"}`},
		"space in method":        {"another method", `{"jsonrpc":"2.0","id":1,"method":"tools/list "}`},
		"array as params":        {"by position", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["search_docs"]}`},
		"parameter besides":      {"a server may know it", call(`,"task":{"ttl":60000}`)},
		"twin of name":           {"readers without letter case call the other", call(`,"Name":"delete_everything"`)},
		"name twice":             {"readers take one or the other", call(`,"name":"delete_everything"`)},
		"twin of arguments":      {"readers without letter case take the other", call(`,"Arguments":{"query":"x","index":"private"}`)},
		"retry of a later form":  {"this revision has no retries", call(`,"requestState":"s"`)},
		"tool not granted":       {"default deny", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_everything","arguments":{}}}`},
		"letter case of tool":    {"another tool", strings.Replace(call(""), "search_docs", "Search_Docs", 1)},
		"tool with Cyrillic a":   {"another tool", strings.Replace(call(""), "search", "se\u0430rch", 1)},
		"tool with hidden space": {"another tool", strings.Replace(call(""), "docs", "docs\u200b", 1)},
		"tool as an array":       {"no name", strings.Replace(call(""), `"search_docs"`, `["search_docs"]`, 1)},
		"no tool":                {"no name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"query":"x"}}}`},
		"no arguments":           {"one is required", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"}}`},
		"null arguments":         {"there are none, and one is required", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":null}}`},
		"arguments in a list":    {"not an object", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","arguments":[]}}`},
		"null as a parameter":    {"it stands for nothing elsewhere", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":null}}`},
		"null as an argument":    {"it is one", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","arguments":{"a":null}}}`},
		"unlisted argument":      {"default deny", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","arguments":{"a":1}}}`},
		"argument out of bounds": {"1 to 20", strings.Replace(call(""), `"x"`, `"x","limit":1000`, 1)},
		"number as a string":     {"other type", strings.Replace(call(""), `"x"`, `"x","limit":"2"`, 1)},
		"path climbs":            {"kind Path", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"docs/../etc"}}}`},
		"twin of an argument":    {"unlisted: Allow admits no second spelling", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":{"Mode":"w"}}}`},
		"twin of revision":       {"read as another revision", call(`,"_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}`)},
		"meta as a string":       {"wrong type", call(`,"_meta":"x"`)},
		"completion":             {"outside the language", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"a","value":"b"}}}`},
		"log level":              {"outside the language", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`},
		"task":                   {"outside the language", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"1"}}`},
		"sampling by a client":   {"a method of servers", `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}`},
		"discovery of later":     {"this revision does not have it", `{"jsonrpc":"2.0","id":1,"method":"server/discover"}`},
		"prompt not granted":     {"default deny", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}`},
		"resource not granted":   {"default deny", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}`},
		"resource climbs":        {"two segments less", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/../etc/passwd"}}`},
		"escaped climb":          {"decoded by the server", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/%2e%2e/etc"}}`},
		"escaped twice":          {"decoded twice", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/%252e%252e/etc"}}`},
		"subscription":           {"reads no more than reading", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///etc/passwd"}}`},
		"handshake, unknown":     {"no revision that is understood", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{}}}`},
		"handshake, none":        {"the revision is agreed on here", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`},
		"handshake, later":       {"it has none", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`},
	}
	j := compiled(t, &spec)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			why := judged(j, fields("MCP-Protocol-Version: 2025-11-25"), test.text)
			if why.Reason == body.Passes {
				t.Errorf("%s: it passes", test.why)
			}
			if why.Detail == "" {
				t.Error("nothing is said of why")
			}
		})
	}
}

func TestMessagesAllowed(t *testing.T) {
	tests := map[string]struct{ why, text string }{
		"call":            {"granted", call("")},
		"escaped name":    {"compared decoded", strings.Replace(call(""), "search_docs", `search\u005fdocs`, 1)},
		"string id":       {"of any text", strings.Replace(call(""), `"id":1`, `"id":"a\u00e4"`, 1)},
		"progress":        {"metadata is about the message", call(`,"_meta":{"progressToken":7,"vendor/x":{"method":"tools/call"}}`)},
		"nested method":   {"an argument is an argument", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":{"method":"tools/call","name":"x","params":[1]}}}`},
		"no arguments":    {"none is required", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none"}}`},
		"null arguments":  {"they are none, and none is required", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","arguments":null}}`},
		"null, any tool":  {"none of them is required", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":null}}`},
		"null of prompts": {"any arguments pass", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet","arguments":null}}`},
		"list":            {"discovery", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`},
		"no params":       {"discovery", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		"handshake":       {"implied", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"t","version":"1"}}}`},
		"initialized":     {"implied", `{"jsonrpc":"2.0","method":"notifications/initialized"}`},
		"ping":            {"implied", `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
		"cancelled":       {"implied", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"x"}}`},
		"progressed":      {"of what a server asked for", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}`},
		"prompt":          {"granted", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet","arguments":{"a":"b"}}}`},
		"prompts":         {"one is granted", `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`},
		"resource":        {"granted", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/a/b%20c.md"}}`},
		"resource, query": {"the glob has one", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"https://x.example/find?q=1"}}`},
		"templates":       {"one is granted", `{"jsonrpc":"2.0","id":1,"method":"resources/templates/list"}`},
		"subscribe":       {"to what may be read", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///docs/a"}}`},
		"response":        {"whether it was asked for is known elsewhere", `{"jsonrpc":"2.0","id":9,"result":{"action":"accept"}}`},
		"error":           {"likewise", `{"jsonrpc":"2.0","id":"9","error":{"code":-1,"message":"no"}}`},
	}
	j := compiled(t, &spec)
	for name, test := range tests {
		if why := judged(j, fields("MCP-Protocol-Version: 2025-06-18"), test.text); why.Reason != body.Passes {
			t.Errorf("%s: %s: %+v", name, test.why, why)
		}
	}
}

// What is not granted is not there: neither its list nor its use.
func TestNothingImplied(t *testing.T) {
	j := compiled(t, &Spec{Path: "/mcp", MaxBytes: 1, Revisions: []string{"2025-11-25"}, Tools: []Tool{{Name: "t"}}})
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`, `{"jsonrpc":"2.0","id":1,"method":"resources/templates/list"}`,
		`{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":""}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":""}}`,
	} {
		if judged(j, fields("MCP-Protocol-Version: 2025-11-25"), text).Reason == body.Passes {
			t.Errorf("%s passes", text)
		}
	}
	var zero Judge
	if judged(&zero, fields("MCP-Protocol-Version: 2025-11-25"), call("")).Reason == body.Passes {
		t.Error("the zero Judge lets a call pass")
	}
}

func TestHeaders(t *testing.T) {
	modern := call("," + meta)
	number := strings.Replace(modern, `"x"`, `"x","limit":5`, 1)
	v26, m, n := "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: search_docs"
	tests := map[string]struct {
		why    string
		header []string
		text   string
		passes bool
	}{
		"all there":               {"control", []string{v26, m, n}, modern, true},
		"other order and case":    {"names have no letter case", []string{"mcp-name: search_docs", "mcp-method: tools/call", "mcp-protocol-version: 2026-07-28"}, modern, true},
		"Base64":                  {"decoded before it is compared", []string{v26, m, "Mcp-Name: =?base64?c2VhcmNoX2RvY3M=?="}, modern, true},
		"Base64 of another":       {"hidden", []string{v26, m, "Mcp-Name: =?base64?ZGVsZXRlX2V2ZXJ5dGhpbmc=?="}, modern, false},
		"broken Base64":           {"not to be read", []string{v26, m, "Mcp-Name: =?base64?@@@?="}, modern, false},
		"Base64 without padding":  {"readers differ", []string{v26, m, "Mcp-Name: =?base64?c2VhcmNoX2RvY3M?="}, modern, false},
		"no method":               {"required", []string{v26, n}, modern, false},
		"other method":            {"the message counts", []string{v26, "Mcp-Method: tools/list", n}, modern, false},
		"no name":                 {"required", []string{v26, m}, modern, false},
		"other name":              {"the message counts", []string{v26, m, "Mcp-Name: read_file"}, modern, false},
		"letter case of name":     {"values have one", []string{v26, m, "Mcp-Name: Search_docs"}, modern, false},
		"empty name":              {"not absent to some", []string{v26, m, "Mcp-Name: "}, modern, false},
		"name twice":              {"readers take one or the other", []string{v26, m, n, n}, modern, false},
		"second spelling":         {"taken for it by gateways", []string{v26, m, n, "Mcp_Name: read_file"}, modern, false},
		"no version":              {"required", []string{m, n}, modern, false},
		"old version":             {"it does not switch checks off", []string{"MCP-Protocol-Version: 2025-11-25", m, n}, modern, false},
		"version of nobody":       {"not granted", []string{"MCP-Protocol-Version: 2024-11-05"}, call(""), false},
		"no version in message":   {"a reader would take it for an old one", []string{v26, m, n}, call(""), false},
		"argument":                {"equal", []string{v26, m, n, "Mcp-Param-Query: x"}, modern, true},
		"other argument":          {"the arguments count", []string{v26, m, n, "Mcp-Param-Query: y"}, modern, false},
		"argument of no name":     {"nothing is equal to it", []string{v26, m, n, "Mcp-Param-Index: x"}, modern, false},
		"argument twice":          {"readers take one or the other", []string{v26, m, n, "Mcp-Param-Query: x", "mcp-param-query: x"}, modern, false},
		"number":                  {"equal", []string{v26, m, n, "Mcp-Param-Limit: 5"}, number, true},
		"number, other spelling":  {"equal as numbers", []string{v26, m, n, "Mcp-Param-Limit: 5.0"}, number, true},
		"other number":            {"not equal", []string{v26, m, n, "Mcp-Param-Limit: 50"}, number, false},
		"second spelling, param":  {"taken for it by gateways", []string{v26, m, n, "Mcp_Param_Query: x"}, modern, false},
		"method of an old one":    {"if it is there, it agrees", []string{"MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list"}, call(""), false},
		"agreeing, of an old one": {"control", []string{"MCP-Protocol-Version: 2025-11-25", m}, call(""), true},
		"no version, old one":     {"the first revision did not have it", nil, call(""), true},
		"name for a list":         {"there is nothing to agree with", []string{v26, "Mcp-Method: tools/list", n}, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`, false},
		"retry":                   {"a full call", []string{v26, m, n}, call("," + meta + `,"inputResponses":{"r":{"action":"accept"}},"requestState":"s"`), true},
		"response":                {"clients send none", []string{v26}, `{"jsonrpc":"2.0","id":1,"result":{}}`, false},
		"handshake":               {"there is none", []string{v26, "Mcp-Method: initialize"}, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, false},
		"discovery":               {"implied", []string{v26, "Mcp-Method: server/discover"}, `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`, true},
		"listen":                  {"for lists and what may be read", []string{v26, "Mcp-Method: subscriptions/listen"}, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///docs/a"]},` + meta + `}}`, true},
		"listen to another":       {"not granted", []string{v26, "Mcp-Method: subscriptions/listen"}, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["file:///etc/a"]},` + meta + `}}`, false},
		"listen for more":         {"not known", []string{v26, "Mcp-Method: subscriptions/listen"}, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"all":true},` + meta + `}}`, false},
		"ping":                    {"removed", []string{v26, "Mcp-Method: ping"}, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + meta + `}}`, false},
	}
	j := compiled(t, &spec)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			why := judged(j, fields(test.header...), test.text)
			if passes := why.Reason == body.Passes; passes != test.passes {
				t.Errorf("%s: passes is %t: %s", test.why, passes, why.Detail)
			}
		})
	}
}

// A revision that is not granted is refused in every way to name it, and the
// one that a request means which names none is the first.
func TestRevisions(t *testing.T) {
	j := compiled(t, &Spec{Path: "/mcp", MaxBytes: 1, Revisions: []string{"2025-11-25"}, Tools: []Tool{{Name: "t"}}})
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for name, headers := range map[string][]string{
		"none": nil, "earlier": {"MCP-Protocol-Version: 2025-06-18"}, "later": {"MCP-Protocol-Version: 2026-07-28"},
		"two": {"MCP-Protocol-Version: 2025-11-25", "MCP-Protocol-Version: 2025-06-18"},
	} {
		if judged(j, fields(headers...), list).Reason == body.Passes {
			t.Errorf("%s: it passes", name)
		}
	}
	if why := judged(j, fields("MCP-Protocol-Version: 2025-11-25"), list); why.Reason != body.Passes {
		t.Errorf("the granted one: %+v", why)
	}
}

func TestCodes(t *testing.T) {
	tests := map[string]struct {
		headers []string
		text    string
		want    int
	}{
		"revision":   {[]string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: server/discover"}, `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`, CodeRevision},
		"handshake":  {nil, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, CodeParams},
		"headers":    {[]string{"MCP-Protocol-Version: 2025-11-25", "Mcp-Method: ping"}, call(""), CodeHeaderMismatch},
		"no meta":    {[]string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"}, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, CodeParams},
		"two":        {[]string{"MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list"}, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`, CodeHeaderMismatch},
		"removed":    {[]string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: resources/subscribe"}, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///docs/a",` + meta + `}}`, CodeMethod},
		"initialize": {[]string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: initialize"}, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`, CodeMethod},
		"method":     {[]string{"MCP-Protocol-Version: 2025-11-25"}, `{"jsonrpc":"2.0","id":1,"method":"completion/complete"}`, CodeMethod},
		"tool":       {[]string{"MCP-Protocol-Version: 2025-11-25"}, call(""), CodeParams},
		"no rpc":     {[]string{"MCP-Protocol-Version: 2025-11-25"}, `{"jsonrpc":"1.0","id":1,"method":"ping"}`, CodeInvalid},
	}
	for name, test := range tests {
		var m Message
		var h Header
		m.Read(parsed(t, test.text).Root())
		h.Read(fields(test.headers...))
		granted := []string{"2025-11-25"}
		if name != "revision" {
			granted = append(granted, "2026-07-28")
		}
		if got := Code(&m, &h, granted); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}
