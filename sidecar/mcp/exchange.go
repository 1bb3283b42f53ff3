package mcp

import (
	"errors"
	"io"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// An Exchange is one request to an MCP server and the answer to it. The zero
// Exchange is ready for [Exchange.Read]; it is meant to be used again. It is not
// safe for concurrent use.
type Exchange struct {
	// Layers have a say in what the agent gets to see of the answer. Without
	// one, the exchange is not of this protocol.
	Layers []Layer

	post     bool
	read     bool // the body is one JSON text
	document json.Document
	message  mcp.Message
	header   mcp.Header
	sessions *Sessions
	session  *Session
	path     string
	filter   Filter
}

// Reset lets go of the exchange before.
func (x *Exchange) Reset() {
	x.Layers, x.read, x.sessions, x.session, x.path = x.Layers[:0], false, nil, nil, ""
	x.document.Reset()
	x.filter.Release()
	if x.document.Memory()+x.filter.memory() > kept {
		*x = Exchange{Layers: x.Layers}
	}
}

// kept is how much memory an exchange keeps for the next one, in bytes: usual
// messages fit in.
const kept = 8 << 10

// Read reads a request with this body, which is empty where it has none.
// Neither may change while the exchange lasts.
func (x *Exchange) Read(method string, fields []scope.Field, body []byte) {
	x.header.Read(fields)
	x.post = method == "POST"
	if x.read = x.post && x.document.Parse(body) == nil; x.read {
		x.message.Read(x.document.Root())
	}
}

// Memory is what the document of the request takes besides its text, in bytes.
func (x *Exchange) Memory() int64 { return x.document.Memory() }

// Admission is what a memory of earlier messages says of a request. The zero
// Admission refuses it.
type Admission uint8

// The admissions.
const (
	Refused Admission = iota
	Admitted
	// Unknown: nobody has opened the session, or it has ended.
	Unknown
)

// Admit judges a request that its message and headers allow, by what is known
// of its session. The detail says what to change.
func (x *Exchange) Admit(sessions *Sessions, path string) (a Admission, detail string) {
	x.sessions, x.path = sessions, path
	if x.post && (!x.read || x.message.Wrong() != "") {
		return Refused, "the message could not be read"
	}
	if x.header.Stateless() {
		return Admitted, "" // a session means nothing to it, and is not sent on
	}
	// What has no session is one for all that have none.
	if x.session = sessions.Find(path, x.header.Session); x.session == nil {
		if x.header.Session != "" {
			return Unknown, "no answer has given this session to this credential, or it has ended: initialize another"
		}
		x.session = sessions.Open(path, "")
	}
	return x.admitTo()
}

// admitTo judges the request by the session that it is of.
func (x *Exchange) admitTo() (a Admission, detail string) {
	wrong := x.wrongRevision()
	switch {
	case x.post && x.message.IsHandshake():
	case wrong != "":
		return Refused, wrong
	case x.post && !x.asked():
		return Refused, "the server has not asked for this, or was answered already"
	case x.header.Event != "" && !x.session.Passed(x.header.Event):
		return Refused, "no stream of this session has come as far as " + mcp.EventHeader + " says: open a new one"
	}
	return Admitted, ""
}

// wrongRevision returns why what the session has agreed on does not go with
// the revision that the request names; empty: it does. One that it names is
// granted, and it is judged by that: it need not be the same.
func (x *Exchange) wrongRevision() string {
	agreed := x.session.Revision()
	switch {
	case x.header.Session == "":
		return ""
	case agreed == "":
		return "the session has agreed on no revision of the protocol: initialize another"
	case x.header.Version == "" && !mcp.MayBeUnnamed(agreed):
		return "name the revision that the session has agreed on in " + mcp.VersionHeader
	}
	return ""
}

// asked reports whether a message is one that may come unasked, or answers what
// the server has asked for.
func (x *Exchange) asked() bool {
	return x.message.Kind != mcp.Response || x.session.Answer(string(x.message.AppendID(nil)))
}

// Mirror calls yield for each header of the protocol that goes upstream with an
// admitted message.
func (x *Exchange) Mirror(yield func(name, value string)) {
	if !x.post || !x.read {
		return
	}
	x.header.Mirror(&x.message, yield)
	if id := x.session.ID(); id != "" {
		yield(mcp.SessionHeader, id)
	}
}

// ID returns the id of a request as it stands in the text, nil where there is
// no request to answer.
func (x *Exchange) ID() []byte {
	if !x.read || x.message.Kind != mcp.Request || x.message.Method == "" {
		return nil
	}
	return x.message.ID
}

// Message is the request's, and Header what its headers say.
func (x *Exchange) Message() (*mcp.Message, *mcp.Header) { return &x.message, &x.header }

// Expects reports whether the answer has to be a message, or a stream of them.
func (x *Exchange) Expects(method string) bool { return method == "GET" || x.ID() != nil }

// Opened takes note of the head of an answer, and reports whether the session
// that it names is passed on: one that a handshake opens, or goes on.
func (x *Exchange) Opened(method string, status int, fields []scope.Field) bool {
	id, n := sessionOf(fields)
	gone := status == 404 || method == "DELETE" && status/100 == 2
	if gone && x.session.ID() != "" {
		x.sessions.End(x.session)
	}
	switch {
	case n != 1 || x.session == nil || !mcp.IsSession(id):
		return false
	case x.IsHandshake() && status/100 == 2:
		x.session = x.sessions.Open(x.path, id)
		return true
	}
	return id == x.session.ID()
}

// sessionOf returns the session that an answer names, and how often it does.
func sessionOf(fields []scope.Field) (id string, n int) {
	for i := range fields {
		if text.EqualFold(fields[i].Name, mcp.SessionHeader) {
			id = fields[i].Value
			n++
		}
	}
	return id, n
}

// Answers returns what is passed on of an answer, a stream of events or one
// message, of which each has at most limit bytes. For hold see [Answer].
func (x *Exchange) Answers(from io.Reader, stream bool, limit int64, hold func(bytes int64) error) *Answers {
	x.filter.Start(Answer{
		Layers: x.Layers, Session: x.session, Handshake: x.IsHandshake(), Stream: stream, Limit: limit, Hold: hold,
	})
	return &Answers{from: from, filter: &x.filter}
}

// Answers reads what is passed on of an answer. A read fails with
// [ErrUnreadable] where something else came, behind what had come before it.
type Answers struct {
	from   io.Reader
	filter *Filter
	part   []byte
	ready  []byte // passed, and not read yet
	out    []byte
	err    error
}

// atOnce is how much is read at once.
const atOnce = 16 << 10

// Read reads what is passed on, as soon as there is something.
func (a *Answers) Read(p []byte) (int, error) {
	if a.part == nil {
		a.part = make([]byte, atOnce)
	}
	for len(a.ready) == 0 && a.err == nil {
		n, err := a.from.Read(a.part)
		a.out, a.err = a.filter.Write(a.out[:0], a.part[:n])
		if a.err == nil && errors.Is(err, io.EOF) {
			a.out, a.err = a.filter.End(a.out)
		}
		if a.err == nil {
			a.err = err
		}
		a.ready = a.out
	}
	n := copy(p, a.ready)
	a.ready = a.ready[n:]
	if len(a.ready) > 0 {
		return n, nil
	}
	return n, a.err
}

// IsHandshake reports whether the message of the request is one.
func (x *Exchange) IsHandshake() bool { return x.ID() != nil && x.message.IsHandshake() }

// Media is what an answer is. The zero Media is not to be read.
type Media uint8

// The media of answers.
const (
	Unreadable Media = iota
	Message          // JSON
	Stream           // of events
)

// MediaOf returns what an answer with these fields is, by its one media type.
func MediaOf(fields []scope.Field) Media {
	kind := Unreadable
	types := 0
	for i := range fields {
		if !text.EqualFold(fields[i].Name, "Content-Type") {
			continue
		}
		types++
		switch t, err := media.Parse(fields[i].Value); {
		case err != nil || !t.IsUTF8():
		case t.Is("application/json"):
			kind = Message
		case t.Is("text/event-stream"):
			kind = Stream
		}
	}
	if types != 1 {
		return Unreadable
	}
	return kind
}
