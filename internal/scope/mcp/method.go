package mcp

import (
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

const initialize = "initialize"

// about is what a method is about, which a grant has to name.
type about uint8

const (
	nothing about = iota
	tool          // one of them, with arguments
	prompt
	oneResource
	prompts   // that some are granted
	resources // that some are granted
	subscription
)

// method is one that a client may use.
type method struct {
	kind   Kind
	eras   eras
	about  about
	target string // the parameter that says which one
	params []member
}

// member is a parameter. Those that are not listed are refused: a server may
// know more of them than we do.
type member struct {
	name     string
	kind     json.Kind // None: any
	required bool
	eras     eras // 0: all of the method
	// orNull: null stands for its absence. A nil map of a client in Go is sent so.
	orNull bool
}

var (
	cursor = []member{{name: "cursor", kind: json.String}}
	uri    = []member{{name: "uri", kind: json.String, required: true}}
	// retry are those of a request that is sent again with what was asked for.
	retry = []member{
		{name: "inputResponses", kind: json.Object, eras: stateless},
		{name: "requestState", kind: json.String, eras: stateless},
	}
	named = append([]member{
		{name: "name", kind: json.String, required: true}, {name: "arguments", kind: json.Object, orNull: true},
	}, retry...)
)

// methods are the handshake, the discovery and what can be granted. Others are
// refused: completion/complete and logging/setLevel take values that nobody
// judges, tasks outlive the request that was judged, and what servers ask of
// clients is no business of a client.
var methods = map[string]*method{
	initialize: {kind: Request, eras: sessions, params: []member{
		{name: "protocolVersion", kind: json.String, required: true},
		{name: "capabilities", kind: json.Object}, {name: "clientInfo", kind: json.Object},
	}},
	"notifications/initialized":        {kind: Notification, eras: sessions},
	"notifications/roots/list_changed": {kind: Notification, eras: sessions},
	"notifications/cancelled": {kind: Notification, eras: sessions | stateless, params: []member{
		{name: "requestId"}, {name: "reason", kind: json.String},
	}},
	"notifications/progress": {kind: Notification, eras: sessions, params: []member{
		{name: "progressToken", required: true}, {name: "progress", kind: json.Number, required: true},
		{name: "total", kind: json.Number}, {name: "message", kind: json.String},
	}},
	"ping":            {kind: Request, eras: sessions},
	"server/discover": {kind: Request, eras: stateless},

	"tools/list": {kind: Request, eras: sessions | stateless, params: cursor},
	"tools/call": {kind: Request, eras: sessions | stateless, about: tool, target: "name", params: named},

	"prompts/list": {kind: Request, eras: sessions | stateless, about: prompts, params: cursor},
	"prompts/get":  {kind: Request, eras: sessions | stateless, about: prompt, target: "name", params: named},

	"resources/list":           {kind: Request, eras: sessions | stateless, about: resources, params: cursor},
	"resources/templates/list": {kind: Request, eras: sessions | stateless, about: resources, params: cursor},
	"resources/read": {kind: Request, eras: sessions | stateless, about: oneResource, target: "uri",
		params: append(retry[:2:2], uri...)},
	// Whoever may read a resource may be told that it has changed.
	"resources/subscribe":   {kind: Request, eras: sessions, about: oneResource, target: "uri", params: uri},
	"resources/unsubscribe": {kind: Request, eras: sessions, about: oneResource, target: "uri", params: uri},
	"subscriptions/listen": {kind: Request, eras: stateless, about: subscription, params: []member{
		{name: "notifications", kind: json.Object, required: true},
	}},
}

// mirrored reports whether the header with a name is required in a request.
func (is *method) mirrored() bool {
	return is != nil && (is.about == tool || is.about == prompt || is.about == oneResource)
}

// takes reports whether m is of the method in an era. A nil method takes
// nothing.
func (is *method) takes(m *Message, era eras) bool {
	return is != nil && is.kind == m.Kind && is.eras&era != 0
}

// members holds the parameters of a message to those of its method.
func (is *method) members(m *Message, era eras) string {
	required := 0
	for key, v := range m.params.Members {
		if key == "_meta" {
			if detail := m.checkMeta(v); detail != "" {
				return detail
			}
			continue
		}
		one := is.param(key, era)
		if one == nil {
			return "the method has no such parameter as the message gives it: send those of the protocol alone"
		}
		if !one.takes(v.Kind()) {
			return "the parameter " + one.name + " has the wrong type"
		}
		if one.required {
			required++
		}
	}
	if required < is.required() {
		return "a parameter of the method is missing"
	}
	return ""
}

// takes reports whether a value of this kind may stand there.
func (one *member) takes(kind json.Kind) bool {
	return one.kind == json.None || kind == one.kind || kind == json.Null && one.orNull
}

// required counts the parameters that must be there.
func (is *method) required() int {
	n := 0
	for i := range is.params {
		if is.params[i].required {
			n++
		}
	}
	return n
}

func (is *method) param(name string, era eras) *member {
	for i := range is.params {
		if one := &is.params[i]; one.name == name && (one.eras == 0 || one.eras&era != 0) {
			return one
		}
	}
	return nil
}

// checkMeta refuses what some readers take for the revision. All else in
// there is not looked at: it is about the message, not part of it.
func (m *Message) checkMeta(v json.Value) string {
	if v.Kind() != json.Object {
		return "the parameter _meta has the wrong type"
	}
	for key, inner := range v.Members {
		if key == revisionKey {
			if inner.Kind() != json.String {
				return "name the revision in _meta as a string"
			}
			continue
		}
		if len(key) < len(revisionKey) {
			continue // no spelling is shorter: letters fold to one of ASCII, never to fewer
		}
		if m.key = text.AppendKey(m.key[:0], key); string(m.key) == foldedRevisionKey {
			return "_meta names the revision in a second spelling"
		}
	}
	return ""
}

var foldedRevisionKey = string(text.AppendKey(nil, revisionKey))
