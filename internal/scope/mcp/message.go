package mcp

import (
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Kind is what a message is. The zero Kind is none.
type Kind uint8

// The kinds of messages.
const (
	None Kind = iota
	Request
	Notification
	Response
)

// revisionKey is where a message names its revision (in _meta).
const revisionKey = "io.modelcontextprotocol/protocolVersion"

// Message is one message of JSON-RPC 2.0, of a client or of a server, read.
// The zero Message is ready for [Message.Read]; it is meant to be used again.
type Message struct {
	Kind Kind
	// ID is the id of a request or a response as it stands in the text: a
	// string or an integer; nil where there is none.
	ID []byte
	// Method is that of a request or notification. It and Target are valid
	// until the Message or the document is used again.
	Method string
	// Result is that of a response, of no kind where it is an error.
	Result json.Value

	wrong     string // why it is no message, if so
	id        json.Value
	params    json.Value
	arguments json.Value
	meta      json.Value

	method, target, version, key []byte // memory
}

// Wrong says why the text is not one message, with nothing beside; empty: it
// is one.
func (m *Message) Wrong() string { return m.wrong }

// Read reads the message that root is. What it can tell of one that is wrong
// it keeps, such as the id for an answer.
func (m *Message) Read(root json.Value) {
	*m = Message{method: m.method[:0], target: m.target[:0], version: m.version[:0], key: m.key[:0]}
	switch root.Kind() {
	case json.Object:
	case json.Array:
		m.wrong = "send each message by itself: a batch is refused"
		return
	default:
		m.wrong = "send a JSON-RPC message, which is an object"
		return
	}
	seen := m.members(root)
	m.settle(seen)
	m.meta = m.params.Member("_meta")
	if m.arguments = m.params.Member("arguments"); m.arguments.Kind() == json.Null {
		m.arguments = json.Value{} // there are none
	}
}

// members of a message, as a set.
type members uint8

const (
	hasVersion members = 1 << iota
	hasID
	hasMethod
	hasParams
	hasResult
	hasError
)

func (m *Message) members(root json.Value) (seen members) {
	for key, v := range root.Members {
		switch key {
		case "jsonrpc":
			seen |= hasVersion
			m.checkVersion(v)
		case "id":
			seen |= hasID
			m.id = v
			m.ID = id(v)
		case "method":
			seen |= hasMethod
			m.setMethod(v)
		case "params":
			seen |= hasParams
			if m.params = v; v.Kind() != json.Object {
				m.fail("params must be an object")
			}
		case "result":
			seen |= hasResult
			m.Result = v
		case "error":
			seen |= hasError
		default:
			m.fail("the message has a member that JSON-RPC does not have")
		}
	}
	return seen
}

func (m *Message) checkVersion(v json.Value) {
	if string(v.Raw()) != `"2.0"` && (v.Kind() != json.String || v.Text(&m.key) != "2.0") {
		m.fail("jsonrpc must be \"2.0\"")
	}
}

func (m *Message) setMethod(v json.Value) {
	if v.Kind() != json.String {
		m.fail("method must be a string")
		return
	}
	m.Method = v.Text(&m.method)
}

// fail keeps the first thing that is wrong.
func (m *Message) fail(why string) {
	if m.wrong == "" {
		m.wrong = why
	}
}

// settle tells what the message is by the members that it has.
func (m *Message) settle(seen members) {
	switch seen {
	case hasVersion | hasID | hasMethod, hasVersion | hasID | hasMethod | hasParams:
		m.Kind = Request
	case hasVersion | hasMethod, hasVersion | hasMethod | hasParams:
		m.Kind = Notification
	case hasVersion | hasID | hasResult, hasVersion | hasID | hasError:
		m.Kind = Response
	case hasVersion | hasError:
		m.Kind = Response
	default:
		m.fail("send a JSON-RPC request, notification or response, and not two in one")
	}
	// A server that could not read a request answers without its id, or with
	// null (JSON-RPC 2.0, 5.1).
	unread := seen&hasError != 0 && m.id.Kind() == json.Null
	if seen&hasID != 0 && m.ID == nil && !unread {
		m.fail("id must be a string or an integer, and short")
	}
}

// AppendID appends the id in the one spelling that it can be compared by. It
// appends nothing where there is none.
func (m *Message) AppendID(dst []byte) []byte {
	if m.ID == nil {
		return dst
	}
	if m.id.Kind() == json.String {
		dst = append(dst, '"')
	}
	return append(dst, m.id.Text(&m.key)...)
}

// longestID bounds an id: it is kept and sent back.
const longestID = 256

// id returns the text of an id, nil where it is not one.
func id(v json.Value) []byte {
	raw := v.Raw()
	if len(raw) > longestID {
		return nil
	}
	if v.Kind() == json.Number {
		if _, ok := text.ParseInteger(text.View(raw)); !ok {
			return nil
		}
		return raw
	}
	if v.Kind() == json.String {
		return raw
	}
	return nil
}

// Target returns what a request is about: the name of a tool or prompt, or the
// URI of a resource.
func (m *Message) Target() string {
	is := methods[m.Method]
	if is == nil || is.target == "" {
		return ""
	}
	v := m.params.Member(is.target)
	if v.Kind() != json.String {
		return ""
	}
	return v.Text(&m.target)
}

// revision returns the revision that the message names, if it does.
func (m *Message) revision() string { return m.metaText(revisionKey) }

// proposal returns the revision that a handshake asks for.
func (m *Message) proposal() string {
	v := m.params.Member("protocolVersion")
	if v.Kind() != json.String {
		return ""
	}
	return v.Text(&m.target)
}

func (m *Message) metaText(key string) string {
	v := m.meta.Member(key)
	if v.Kind() != json.String {
		return ""
	}
	return v.Text(&m.version)
}

// IsHandshake reports whether m asks for a revision and perhaps a session.
func (m *Message) IsHandshake() bool { return m.Kind == Request && m.Method == initialize }
