package compile

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// An MCP server behind the endpoint rest, with and without bounds.
const (
	mcpCeiling = `  ceiling:
    grants:
    - name: tools
      mcp:
        endpoint: rest
        path: /mcp
        revisions: ["2025-11-25", "2026-07-28"]
        tools: [{name: find, arguments: {q: {maxLength: 100}, n: {type: Integer, min: 1, max: 20}}}, {name: open, unlisted: Allow}]
        resources: ["file:///docs/**"]
        prompts: [greet]
  consumers:`
	mcpScope = `  grants:
  - name: it
    mcp: {path: /mcp, endpoint: rest, revisions: ["2025-11-25"], %s}
`
)

func TestMCPWithinCeiling(t *testing.T) {
	tests := map[string]struct {
		why, grant string
		within     bool
	}{
		"less":           {"control", `tools: [{name: find, arguments: {q: {maxLength: 50}}}]`, true},
		"all":            {"control", `tools: [{name: find, arguments: {q: {maxLength: 100}, n: {type: Integer, min: 1, max: 20}}}, {name: open, arguments: {a: {type: Any}}}], resources: ["file:///docs/a/*"], prompts: [greet]`, true},
		"other tool":     {"it is not there", `tools: [{name: drop}]`, false},
		"other argument": {"it is not listed", `tools: [{name: find, arguments: {index: {type: String}}}]`, false},
		"longer":         {"it is bounded", `tools: [{name: find, arguments: {q: {maxLength: 101}}}]`, false},
		"unlisted":       {"others are not allowed", `tools: [{name: find, unlisted: Allow}]`, false},
		"resource":       {"it is not below docs", `resources: ["file:///**"]`, false},
		"prompt":         {"it is not there", `prompts: [other]`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			up := upstreamOf(t, strings.Replace(upstreamText, "  consumers:", mcpCeiling, 1))
			_, err := Credential(credentialOf(t, provedText+strings.Replace(mcpScope, "%s", test.grant, 1)), up)
			if test.within && err != nil {
				t.Errorf("%s: %v", test.why, err)
			}
			if !test.within {
				refusedFor(t, test.why, err, v1alpha1.ReasonNotWithinCeiling, "spec.grants[0]")
			}
		})
	}
	text := strings.Replace(mcpScope, `"2025-11-25"`, `"2025-06-18"`, 1)
	up := upstreamOf(t, strings.Replace(upstreamText, "  consumers:", mcpCeiling, 1))
	_, err := Credential(credentialOf(t, provedText+strings.Replace(text, "%s", "prompts: [greet]", 1)), up)
	refusedFor(t, "another revision", err, v1alpha1.ReasonNotWithinCeiling, "spec.grants[0]")
}

func TestMCPNever(t *testing.T) {
	const grant = `tools: [{name: find, arguments: {q: {in: [a, b]}, n: {type: Integer, min: 1, max: 20}}}, {name: open}], resources: ["file:///docs/**"], prompts: [greet]`
	tests := map[string]struct {
		why, never string
		violated   bool
	}{
		"tool":             {"it is granted", `{mcp: {tools: [{name: open}]}}`, true},
		"other tool":       {"it is not", `{mcp: {tools: [{name: drop}]}}`, false},
		"argument":         {"it may be given", `{mcp: {tools: [{name: find, arguments: {q: {equals: b}}}]}}`, true},
		"other value":      {"it may not", `{mcp: {tools: [{name: find, arguments: {q: {equals: c}}}]}}`, false},
		"other argument":   {"it is not listed", `{mcp: {tools: [{name: find, arguments: {index: {type: Any}}}]}}`, false},
		"resource":         {"some are", `{mcp: {resources: ["file:///docs/secret/*"]}}`, true},
		"other resource":   {"none is", `{mcp: {resources: ["file:///etc/**"]}}`, false},
		"prompt":           {"it is granted", `{mcp: {prompts: [greet]}}`, true},
		"one of two":       {"one is enough", `{mcp: {tools: [{name: drop}, {name: open}]}}`, true},
		"other revision":   {"it is not spoken", `{mcp: {revisions: ["2026-07-28"], tools: [{name: open}]}}`, false},
		"the revision":     {"it is spoken", `{mcp: {revisions: ["2025-11-25"]}}`, true},
		"other path":       {"another server", `{mcp: {path: /other}}`, false},
		"other endpoint":   {"another server", `{mcp: {endpoint: files}}`, false},
		"anything":         {"something is said", `{mcp: {}}`, true},
		"as http":          {"a message is a POST", `{http: {methods: [POST], paths: [/mcp]}}`, true},
		"as http, a field": {"a message has one", `{http: {}, body: {fields: {method: {equals: tools/call}}}}`, true},
		"as other http":    {"no message is a PUT", `{http: {methods: [PUT], paths: [/mcp]}}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sc := credentialOf(t, provedText+strings.Replace(mcpScope, "%s", grant, 1)+"  never:\n  - "+test.never+"\n")
			_, err := Credential(sc, upstreamOf(t, upstreamText))
			if !test.violated && err != nil {
				t.Errorf("%s: %v", test.why, err)
			}
			if test.violated {
				refusedFor(t, test.why, err, v1alpha1.ReasonNeverViolated, "spec.grants[0]")
			}
		})
	}
}
