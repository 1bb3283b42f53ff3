package envtest

func credentialRules() map[string]rule {
	const credential = "ScopedCredential"
	return map[string]rule{
		"lifetime": {
			why: "short-lived, and renewable in time", kind: credential, pointer: "/spec/lifetime",
			given: map[string]string{"/spec/maxOffline": `"0s"`},
			takes: []string{`"1m"`, `"60s"`, `"1h"`, `"59m60s"`}, refuses: []string{`"59s"`, `"59.999s"`, `"1h1ms"`, `"61m"`, `"0s"`},
			says: "set lifetime between 1m and 1h",
		},
		"maxOffline": {
			why: "the longest that a revocation can wait", kind: credential, pointer: "/spec/maxOffline",
			given: map[string]string{"/spec/lifetime": `"1h"`},
			takes: []string{`"0s"`, `"1h"`}, refuses: []string{`"1h1ms"`, `"2h"`},
			says: "set maxOffline between 0s and 1h",
		},
		"maxOffline and lifetime": {
			why: "a lease never outlives its token", kind: credential, pointer: "/spec/maxOffline",
			given: map[string]string{"/spec/lifetime": `"5m"`},
			takes: []string{`"5m"`, `"300s"`, ``}, refuses: []string{`"5m1ms"`, `"10m"`},
			says: "set maxOffline to at most lifetime: a lease never outlives its token",
		},
		"maxOffline and the default of lifetime": {
			why: "the rule sees the default", kind: credential, pointer: "/spec/maxOffline",
			takes: []string{`"10m"`}, refuses: []string{`"11m"`},
			says: "set maxOffline to at most lifetime: a lease never outlives its token",
		},
		"client": {
			why: "a variable that carries nothing of ours is a mistake", kind: credential, pointer: "/spec/client",
			takes: []string{
				`{"env": [{"name": "A", "value": "{token}"}]}`, `{"env": [{"name": "A", "value": "Bearer {token}"}]}`,
				`{"env": [{"name": "A", "value": "{url:rest}/v1"}]}`,
			},
			refuses: []string{
				`{"env": [{"name": "A", "value": "token"}]}`, `{"env": [{"name": "A", "value": "{url}"}]}`,
				`{"env": [{"name": "A", "value": "{url:}"}]}`, `{"env": [{"name": "A", "value": "{TOKEN}"}]}`, `{"env": [{"name": "A", "value": ""}]}`,
			},
			says: "write {token} or {url:ENDPOINT} in value",
		},
		"limits": {
			why: "limits that limit nothing are a mistake", kind: credential, pointer: "/spec/limits",
			takes:   []string{`{"concurrency": 1}`, `{"requests": {"count": 1, "per": "1s"}}`},
			refuses: []string{`{}`},
			says:    "set requests, concurrency, or both",
		},
		"per": {
			why: "bounds of bounds", kind: credential, pointer: "/spec/limits",
			takes:   []string{`{"requests": {"count": 1, "per": "24h"}}`},
			refuses: []string{`{"requests": {"count": 1, "per": "999ms"}}`, `{"requests": {"count": 1, "per": "24h1ms"}}`},
			says:    "set per between 1s and 24h",
		},
	}
}

// grants of each kind, to be completed with more of a grant.
const (
	aGit       = `{"name": "a", "git": {"repos": {"in": ["a/b"]}, "fetch": true}`
	aGraphQL   = `{"name": "a", "graphql": {"path": "/graphql", "operations": ["Query"], "select": [{"on": "Query.a"}]}`
	anMCP      = `{"name": "a", "mcp": {"path": "/mcp", "revisions": ["2025-11-25"]}`
	aGRPC      = `{"name": "a", "grpc": {"methods": ["a.B/C"]}`
	aWebSocket = `{"name": "a", "websocket": {"path": "/ws"}`
	anHTTP     = `{"name": "a", "http": {"methods": ["GET"], "paths": ["/{x}"]}`
)

func grantRules() map[string]rule {
	const credential, grant = "ScopedCredential", "/spec/grants/0"
	return map[string]rule{
		"grant": {
			why: "a grant is of one kind", kind: credential, pointer: grant,
			takes: []string{anHTTP + `}`, aGit + `}`, aGraphQL + `}`, anMCP + `}`, aGRPC + `}`, aWebSocket + `}`},
			refuses: []string{
				`{"name": "a"}`, anHTTP + `, "grpc": {"methods": ["a.B/C"]}}`, aGit + `, "websocket": {"path": "/ws"}}`,
				aGraphQL + `, "mcp": {"path": "/mcp", "revisions": ["2025-11-25"]}}`,
			},
			says: "set exactly one of http, git, graphql, mcp, grpc or websocket",
		},
		"where": {
			why: "only http has captures", kind: credential, pointer: grant,
			takes:   []string{anHTTP + `, "where": {"x": {"equals": "y"}}}`},
			refuses: []string{aGit + `, "where": {"x": {"equals": "y"}}}`, aWebSocket + `, "where": {"x": {"equals": "y"}}}`},
			says:    "where goes with http alone: remove it, or grant by http",
		},
		"body": {
			why: "the other kinds know their bodies", kind: credential, pointer: grant,
			takes:   []string{anHTTP + `, "body": {}}`},
			refuses: []string{aGraphQL + `, "body": {}}`, anMCP + `, "body": {}}`},
			says:    "body goes with http alone: remove it, or grant by http",
		},
		"response": {
			why: "cutting an answer needs a plain one", kind: credential, pointer: grant,
			takes:   []string{anHTTP + `, "response": {"keep": []}}`},
			refuses: []string{aGRPC + `, "response": {"keep": []}}`, aGraphQL + `, "response": {"keep": []}}`},
			says:    "response goes with http alone: remove it, or grant by http",
		},
		"query": {
			why: "the other kinds have no query of their own", kind: credential, pointer: grant,
			takes:   []string{anHTTP + `, "query": {}}`, aWebSocket + `, "query": {}}`},
			refuses: []string{aGit + `, "query": {}}`, anMCP + `, "query": {}}`},
			says:    "query goes with http and websocket alone: remove it, or grant by one of them",
		},
		"methods": {
			why: "a tunnel and an echo are no calls", kind: credential, pointer: grant + "/http/methods",
			takes:   []string{`["OPTIONS", "PROPFIND", "VERSION-CONTROL", "TRACES"]`},
			refuses: []string{`["GET", "CONNECT"]`, `["TRACE"]`},
			says:    "CONNECT and TRACE cannot be granted: remove the method",
		},
		"fields": {
			why: "only JSON and forms have fields", kind: credential, pointer: grant + "/body",
			takes:   []string{`{"fields": {"a": {"type": "Any"}}}`, `{"media": "Form", "fields": {"a": {"type": "Any"}}}`},
			refuses: []string{`{"media": "Opaque", "fields": {"a": {"type": "Any"}}}`, `{"media": "Multipart", "fields": {}}`},
			says:    "fields go with media JSON or Form: remove fields, or change media",
		},
		"parts": {
			why: "only multipart bodies have parts", kind: credential, pointer: grant + "/body",
			takes:   []string{`{"media": "Multipart", "parts": {"a": {}}}`},
			refuses: []string{`{"parts": {"a": {}}}`, `{"media": "Form", "parts": {"a": {}}}`, `{"media": "Opaque", "parts": {}}`},
			says:    "parts go with media Multipart: remove parts, or change media",
		},
		"opaque": {
			why: "what is not looked at has no names", kind: credential, pointer: grant + "/body",
			takes:   []string{`{"media": "Opaque", "maxBytes": 1}`, `{"media": "Opaque", "unlisted": "Deny"}`, `{"unlisted": "Allow"}`},
			refuses: []string{`{"media": "Opaque", "unlisted": "Allow"}`},
			says:    "an Opaque body has no names that could be unlisted: remove unlisted",
		},
	}
}

func kindRules() map[string]rule {
	const credential, grants = "ScopedCredential", "/spec/grants/0"
	selection := map[string]string{grants: aGraphQL + `}`}
	const one = grants + "/graphql/select/0"
	return map[string]rule{
		"git": {
			why: "a grant that allows nothing is a mistake", kind: credential, pointer: grants + "/git", given: map[string]string{grants: aGit + `}`},
			takes: []string{
				`{"repos": {"in": ["a/b"]}, "fetch": true}`, `{"repos": {"in": ["a/b"]}, "push": {"refs": ["refs/heads/a"], "actions": ["Create"]}}`,
			},
			refuses: []string{`{"repos": {"in": ["a/b"]}}`, `{"repos": {"in": ["a/b"]}, "fetch": false}`},
			says:    "set fetch: true, push, or both",
		},
		"fields of one field": {
			why: "Type.field already names the field", kind: credential, pointer: one, given: selection,
			takes: []string{`{"on": "A.b"}`, `{"on": "A", "fields": ["b"]}`}, refuses: []string{`{"on": "A.b", "fields": ["c"]}`},
			says: "on names one field: remove fields, or name the type alone",
		},
		"type without fields": {
			why: "empty never means all", kind: credential, pointer: one, given: selection,
			takes: []string{`{"on": "A", "fields": ["b"]}`}, refuses: []string{`{"on": "A"}`},
			says: "on names a type: list its fields, or name one as Type.field",
		},
		"args of a type": {
			why: "arguments belong to a field", kind: credential, pointer: one, given: selection,
			takes: []string{`{"on": "A.b", "args": {"c": {"equals": "d"}}}`}, refuses: []string{`{"on": "A", "fields": ["b"], "args": {"c": {"equals": "d"}}}`},
			says: "args go with one field: name it as Type.field",
		},
		"messages": {
			why: "what is not looked at has no fields", kind: credential, pointer: grants, given: selection,
			takes: []string{
				`{"name": "a", "websocket": {"path": "/ws", "messages": {"fields": {"a": {"type": "Any"}}}}}`,
				`{"name": "a", "websocket": {"path": "/ws", "messages": {"media": "Opaque"}}}`,
			},
			refuses: []string{`{"name": "a", "websocket": {"path": "/ws", "messages": {"media": "Opaque", "fields": {}}}}`},
			says:    "Opaque messages have no fields: remove fields, or set media: JSON",
		},
	}
}

func neverRules() map[string]rule {
	const credential, entry = "ScopedCredential", "/spec/never/0"
	given := map[string]string{"/spec/never": `[{"http": {}}]`}
	return map[string]rule{
		"never": {
			why: "an entry is of one kind", kind: credential, pointer: entry, given: given,
			takes:   []string{`{"http": {}}`, `{"git": {}}`, `{"graphql": {}}`, `{"mcp": {}}`, `{"grpc": {}}`, `{"websocket": {}}`},
			refuses: []string{`{}`, `{"http": {}, "git": {}}`},
			says:    "set exactly one of http, git, graphql, mcp, grpc or websocket",
		},
		"never where": {
			why: "only http has captures", kind: credential, pointer: entry, given: given,
			takes: []string{`{"http": {}, "where": {}}`}, refuses: []string{`{"git": {}, "where": {}}`},
			says: "where goes with http alone: remove it, or name the requests by http",
		},
		"never body": {
			why: "the other kinds know their bodies", kind: credential, pointer: entry, given: given,
			takes: []string{`{"http": {}, "body": {}}`}, refuses: []string{`{"mcp": {}, "body": {}}`},
			says: "body goes with http alone: remove it, or name the requests by http",
		},
		"never query": {
			why: "the other kinds have no query of their own", kind: credential, pointer: entry, given: given,
			takes: []string{`{"http": {}, "query": {}}`, `{"websocket": {}, "query": {}}`}, refuses: []string{`{"git": {}, "query": {}}`},
			says: "query goes with http and websocket alone: remove it, or name the requests by one of them",
		},
		"never parts": {
			why: "only multipart bodies have parts", kind: credential, pointer: entry, given: given,
			takes:   []string{`{"http": {}, "body": {"parts": {"a": {}}}}`, `{"http": {}, "body": {"media": "Multipart", "parts": {}}}`},
			refuses: []string{`{"http": {}, "body": {"media": "JSON", "parts": {}}}`},
			says:    "parts go with media Multipart: remove parts, or change media",
		},
		"never selection": {
			why: "a whole type may be named", kind: credential, pointer: entry, given: given,
			takes:   []string{`{"graphql": {"select": [{"on": "A"}]}}`, `{"graphql": {"select": [{"on": "A.b", "args": {}}]}}`},
			refuses: []string{`{"graphql": {"select": [{"on": "A.b", "fields": ["c"]}]}}`},
			says:    "on names one field: remove fields, or name the type alone",
		},
	}
}
