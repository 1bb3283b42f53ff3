package compile

import (
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

const kindsUpstream = `
metadata: {name: rt, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints:
  - {name: rt, url: "https://rt.example", inject: {bearer: {}}}
  source: {secretRef: {name: key, key: token}}
  consumers: {namespaces: [agents]}
`

const kindsCredential = `
metadata: {name: it, namespace: agents, uid: sc-1, generation: 1}
spec:
  upstream: {namespace: platform, name: rt}
  holders: {serviceAccounts: [agent]}
`

// kindTests are grants of kinds besides http, a ceiling or never over them, and
// what is found.
var kindTests = map[string]struct{ why, grant, ceiling, never, reason, want string }{
	"websocket": {"nothing speaks against it", `websocket: {path: /ws, messages: {fields: {type: {in: [ping]}}}}`, "", "", "", ""},
	"websocket, within": {
		"the same path, and fewer messages", `websocket: {path: /ws, messages: {fields: {type: {in: [ping]}}}}`,
		`websocket: {path: /ws, messages: {fields: {type: {in: [ping, pong]}, id: {type: Integer}}}}`, "", "", "",
	},
	"websocket, other message": {
		"a type that the ceiling does not have", `websocket: {path: /ws, messages: {fields: {type: {in: [ping, drop]}}}}`,
		`websocket: {path: /ws, messages: {fields: {type: {in: [ping]}}}}`, "", v1alpha1.ReasonNotWithinCeiling,
		`spec.grants[0]: "it": it allows rt/websocket MESSAGE /ws with Content-Type: application/json and the body {"type": "drop"}, which is beyond`,
	},
	"websocket, no messages above": {
		"the ceiling lets an agent listen alone", `websocket: {path: /ws, messages: {media: Opaque}}`,
		`websocket: {path: /ws}`, "", v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": it allows rt/websocket MESSAGE /ws`,
	},
	"websocket under http": {
		"a ceiling of another kind is none for it", `websocket: {path: /ws}`,
		`http: {methods: [GET], paths: [/ws]}`, "", v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": it allows rt/websocket OPEN /ws, which`,
	},
	"websocket, never http": {
		"an entry of http is about its handshake", `websocket: {path: /ws}`, "", `http: {paths: [/ws]}`,
		v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt GET /ws`,
	},
	"websocket, never another path": {"it is not named", `websocket: {path: /ws}`, "", `http: {paths: [/other]}`, "", ""},
	"websocket, never that": {
		"it is named", `websocket: {path: /ws, messages: {fields: {type: {in: [ping, drop]}}}}`, "",
		`websocket: {messages: {fields: {type: {equals: drop}}}}`, v1alpha1.ReasonNeverViolated,
		`spec.grants[0]: "it": it allows rt/websocket MESSAGE /ws with Content-Type: application/json and the body {"type": "drop"}, which spec.never[0] names`,
	},
	"websocket, never another message": {
		"no message is named", `websocket: {path: /ws, messages: {fields: {type: {in: [ping]}}}}`, "",
		`websocket: {messages: {fields: {type: {equals: drop}}}}`, "", "",
	},
	"git": {"nothing speaks against it", `git: {repos: {in: [acme/docs]}, fetch: true, push: {refs: ["refs/heads/agent/**"], actions: [Create, Delete]}}`, "", "", "", ""},
	"git, within": {
		"fewer repositories, refs and actions", `git: {repos: {in: [acme/docs]}, fetch: true, push: {refs: ["refs/heads/agent/*"], actions: [Create]}}`,
		`git: {repos: {glob: "acme/*"}, fetch: true, push: {refs: ["refs/heads/**"], actions: [Create, Update]}}`, "", "", "",
	},
	"git, deletes": {
		"deleting is an action of its own", `git: {repos: {in: [acme/docs]}, push: {refs: ["refs/heads/agent/*"], actions: [Create, Delete]}}`,
		`git: {repos: {glob: "acme/*"}, push: {refs: ["refs/heads/**"], actions: [Create, Update]}}`, "", v1alpha1.ReasonNotWithinCeiling,
		`spec.grants[0]: "it": it allows rt/git PUSH-DELETE /acme/docs?ref=refs%2Fheads%2Fagent%2F`,
	},
	"git, other ref": {
		"not under refs/heads", `git: {repos: {in: [acme/docs]}, push: {refs: ["refs/**"], actions: [Create]}}`,
		`git: {repos: {glob: "acme/*"}, push: {refs: ["refs/heads/**"], actions: [Create]}}`, "", v1alpha1.ReasonNotWithinCeiling,
		`spec.grants[0]: "it": it allows rt/git PUSH-CREATE /acme/docs?ref=refs%2F`,
	},
	"git, two above": {
		"a push may hold both commands, and no grant of the ceiling allows both",
		`git: {repos: {in: [acme/docs]}, push: {refs: [refs/heads/a, refs/heads/b], actions: [Create]}}`,
		`git: {repos: {in: [acme/docs]}, push: {refs: [refs/heads/a], actions: [Create]}}}, {name: other, git: {repos: {in: [acme/docs]}, push: {refs: [refs/heads/b], actions: [Create]}}`,
		"", v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": whether it lies within the ceiling`,
	},
	"git, more commands": {
		"the ceiling bounds them", `git: {repos: {in: [acme/docs]}, push: {refs: [refs/heads/a], actions: [Create]}}`,
		`git: {repos: {in: [acme/docs]}, push: {refs: [refs/heads/a], actions: [Create], maxCommands: 5}}`, "", v1alpha1.ReasonNotWithinCeiling,
		`spec.grants[0]: "it": it allows rt/git PUSH /acme/docs?commands=6`,
	},
	"git, never releases": {
		"the glob takes them in", `git: {repos: {in: [acme/docs]}, push: {refs: ["refs/heads/*"], actions: [Delete]}}`, "",
		`git: {push: {refs: ["refs/heads/release-*"], actions: [Delete]}}`, v1alpha1.ReasonNeverViolated,
		`spec.grants[0]: "it": it allows rt/git PUSH-DELETE /acme/docs?ref=refs%2Fheads%2Frelease-`,
	},
	"git, never others":  {"other branches are named", `git: {repos: {in: [acme/docs]}, push: {refs: ["refs/heads/agent/*"], actions: [Delete]}}`, "", `git: {push: {refs: ["refs/heads/release-*"]}}`, "", ""},
	"git, never fetched": {"any fetch is named", `git: {repos: {in: [acme/docs]}, fetch: true}`, "", `git: {fetch: true}`, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt/git FETCH /acme/docs`},
	"git, never http": {
		"its requests are named", `git: {repos: {glob: "acme/*"}, push: {refs: [refs/heads/a], actions: [Create]}}`, "",
		`http: {methods: [POST], paths: ["/acme/docs.git/{service}"]}`, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt POST /acme/docs.git/git-receive-pack`,
	},
	"grpc":         {"nothing speaks against it", `grpc: {methods: [a.B/C, a.B/D]}, headers: {x-tenant: {in: [acme]}}, limits: {requests: {count: 5, per: 1m}}`, "", "", "", ""},
	"grpc, within": {"fewer methods, and a header less", `grpc: {methods: [a.B/C]}`, `grpc: {methods: [a.B/C, a.B/D]}, headers: {X-Tenant: {in: [acme]}}`, "", "", ""},
	"grpc, other method": {
		"the ceiling does not have it", `grpc: {methods: [a.B/C, a.B/E]}`, `grpc: {methods: [a.B/C, a.B/D]}`, "",
		v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": it allows rt/grpc CALL /a.B/E, which is beyond`,
	},
	"grpc, other header": {
		"the ceiling does not let it pass", `grpc: {methods: [a.B/C]}, headers: {X-Tenant: {in: [acme, other]}}`, `grpc: {methods: [a.B/C]}, headers: {X-Tenant: {in: [acme]}}`, "",
		v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": it allows rt/grpc CALL /a.B/C with X-Tenant: other`,
	},
	"grpc under http": {
		"a ceiling of another kind is none for it", `grpc: {methods: [a.B/C]}`, `http: {methods: [POST], paths: [/a.B/C]}, body: {media: Opaque}`, "",
		v1alpha1.ReasonNotWithinCeiling, `spec.grants[0]: "it": it allows rt/grpc CALL /a.B/C`,
	},
	"grpc, never that":      {"it is named", `grpc: {methods: [a.B/C, a.B/D]}`, "", `grpc: {methods: [a.B/D, a.B/E]}`, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt/grpc CALL /a.B/D, which spec.never[0] names`},
	"grpc, never any":       {"every call is named", `grpc: {methods: [a.B/C]}`, "", `grpc: {endpoint: rt}`, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt/grpc CALL /a.B/C`},
	"grpc, never another":   {"it is not named", `grpc: {methods: [a.B/C]}`, "", `grpc: {methods: [a.B/D, a.BC/D]}`, "", ""},
	"grpc, never http":      {"a call is a POST", `grpc: {methods: [a.B/C]}`, "", `http: {methods: [POST], paths: ["/a.B/{method}"]}`, v1alpha1.ReasonNeverViolated, `spec.grants[0]: "it": it allows rt POST /a.B/C`},
	"grpc, never GET":       {"no call is a GET", `grpc: {methods: [a.B/C]}`, "", `http: {methods: [GET]}`, "", ""},
	"http, never websocket": {"a plain request opens none", `http: {methods: [GET], paths: [/ws]}`, "", `websocket: {path: /ws}`, "", ""},
}

func TestKindProofs(t *testing.T) {
	for name, test := range kindTests {
		t.Run(name, func(t *testing.T) {
			up, sc := kindsUpstream, kindsCredential+"  grants:\n  - {name: it, "+test.grant+"}\n"
			if test.ceiling != "" {
				up += "  ceiling: {grants: [{name: all, " + test.ceiling + "}]}\n"
			}
			if test.never != "" {
				sc += "  never: [{" + test.never + "}]\n"
			}
			_, err := Credential(credentialOf(t, sc), upstreamOf(t, up))
			if test.want == "" {
				if err != nil {
					t.Errorf("%s: %v", test.why, err)
				}
				return
			}
			refusedFor(t, test.why, err, test.reason, test.want)
		})
	}
}
