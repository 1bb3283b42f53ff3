package mcp

import (
	"errors"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// ErrUnreadable is the error of an answer that is not passed on, since it
// cannot be read as what it has to be.
var ErrUnreadable = errors.New("the upstream's answer is not one message of the protocol, or not to be read")

// A Layer is one say in what an agent gets to see: it sees what any of the
// judges shows, and of several layers what each lets it see. Without a judge
// it sees nothing.
type Layer []*mcp.Judge

// A Filter passes on what an agent gets to see of an answer, message by
// message. The zero Filter is ready for [Filter.Start]; it is meant to be used
// again. It is not safe for concurrent use.
type Filter struct {
	layers    []Layer
	session   *Session
	handshake bool // the answer to one
	limit     int64
	hold      func(bytes int64) error
	stream    bool

	text     []byte // of an answer that is not a stream
	document json.Document
	message  mcp.Message
	key      []byte
	events   events
}

// Answer says what an answer is to.
type Answer struct {
	Layers  []Layer
	Session *Session // nil: none
	// Handshake says that the request was one.
	Handshake bool
	// Stream says that the answer is an event stream, else it is one message.
	Stream bool
	// Limit bounds a message.
	Limit int64
	// Hold is told how many bytes are held of what was not passed on yet. Its
	// error ends the answer. Nil: nobody is told.
	Hold func(bytes int64) error
}

// Start readies f for an answer.
func (f *Filter) Start(a Answer) {
	f.layers, f.session, f.handshake, f.limit, f.stream, f.hold = a.Layers, a.Session, a.Handshake, a.Limit, a.Stream, a.Hold
	f.text = f.text[:0]
	f.events.reset()
}

// Release lets go of the answer.
func (f *Filter) Release() {
	f.layers, f.session, f.hold = nil, nil, nil
	f.text = f.text[:0]
	f.events.reset()
	f.document.Reset()
}

// memory is what f takes, in bytes.
func (f *Filter) memory() int64 {
	return int64(cap(f.text)+cap(f.events.line)+cap(f.events.data)+cap(f.events.passed)) + f.document.Memory()
}

// Write reads a part of the answer, and appends to dst what can be passed on
// by now. After an error nothing more can.
func (f *Filter) Write(dst, part []byte) ([]byte, error) {
	if f.stream {
		return f.events.read(dst, part, f)
	}
	if int64(len(f.text)+len(part)) > f.limit {
		return dst, ErrUnreadable
	}
	f.text = append(f.text, part...)
	return dst, f.holds(2 * cap(f.text)) // what is passed on is as long as what was read
}

func (f *Filter) holds(bytes int) error {
	if f.hold == nil {
		return nil
	}
	return f.hold(int64(bytes))
}

// End appends to dst what is passed on of the answer at its end. A stream ends
// with its last whole event.
func (f *Filter) End(dst []byte) ([]byte, error) {
	if f.stream || len(f.text) == 0 {
		return dst, nil
	}
	return f.pass(dst, f.text)
}

// pass appends what is passed on of one message.
func (f *Filter) pass(dst, from []byte) ([]byte, error) {
	defer f.document.Reset()
	if f.document.Parse(from) != nil {
		return dst, ErrUnreadable
	}
	root := f.document.Root()
	m := &f.message
	if m.Read(root); m.Wrong() != "" {
		return dst, ErrUnreadable
	}
	if m.Kind == mcp.Request {
		f.key = m.AppendID(f.key[:0])
		f.session.Ask(string(f.key))
	}
	if m.Result.Kind() != json.Object {
		return append(dst, from...), nil
	}
	if f.handshake && !f.agree(m.Result) {
		return dst, ErrUnreadable
	}
	listed, ok := f.lists(m.Result)
	switch {
	case !ok:
		return dst, ErrUnreadable
	case !listed:
		return append(dst, from...), nil
	}
	return f.cut(dst, root), nil
}

// agree holds the revision that a server answers with to those granted.
func (f *Filter) agree(result json.Value) bool {
	v := result.Member("protocolVersion")
	if v.Kind() != json.String {
		return false
	}
	revision := v.Text(&f.key)
	for _, layer := range f.layers {
		if !layer.any(func(j *mcp.Judge) bool { return j.Agrees(revision) }) {
			return false
		}
	}
	f.session.Agree(string([]byte(revision)))
	return true
}

func (l Layer) any(shows func(*mcp.Judge) bool) bool {
	for _, j := range l {
		if shows(j) {
			return true
		}
	}
	return false
}

// listings are the members of results that list what a server has, with the
// member by which an entry is told.
var listings = map[string]struct {
	name  string
	shows func(j *mcp.Judge, name string) bool
}{
	"tools":             {"name", (*mcp.Judge).ShowsTool},
	"prompts":           {"name", (*mcp.Judge).ShowsPrompt},
	"resources":         {"uri", (*mcp.Judge).ShowsResource},
	"resourceTemplates": {"uriTemplate", (*mcp.Judge).ShowsTemplate},
}

// folded are the spellings by which second ones of the listings are found.
var folded = func() map[string]bool {
	keys := map[string]bool{}
	for name := range listings {
		keys[string(text.AppendKey(nil, name))] = true
	}
	return keys
}()

// lists reports whether a result lists what a server has. It is not ok where
// it does so in a way that readers could read differently.
func (f *Filter) lists(result json.Value) (listed, ok bool) {
	for key, v := range result.Members {
		if _, found := listings[key]; found {
			if v.Kind() != json.Array {
				return false, false
			}
			listed = true
			continue
		}
		if f.key = text.AppendKey(f.key[:0], key); folded[string(f.key)] {
			return false, false
		}
	}
	return listed, true
}

// cut appends a message with a result, whose lists are cut to what is shown.
func (f *Filter) cut(dst []byte, root json.Value) []byte {
	return rewrite(dst, root, func(dst []byte, key string, v json.Value) []byte {
		if key != "result" {
			return append(dst, v.Raw()...)
		}
		return rewrite(dst, v, func(dst []byte, key string, v json.Value) []byte {
			if _, found := listings[key]; !found {
				return append(dst, v.Raw()...)
			}
			return f.list(dst, key, v)
		})
	})
}

// rewrite appends an object with its keys as they stand.
func rewrite(dst []byte, object json.Value, value func(dst []byte, key string, v json.Value) []byte) []byte {
	dst = append(dst, '{')
	first := true
	for key, v := range object.Members {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, v.RawKey()...), ':')
		dst = value(dst, key, v)
	}
	return append(dst, '}')
}

// list appends the entries of a list that are shown.
func (f *Filter) list(dst []byte, key string, list json.Value) []byte {
	dst = append(dst, '[')
	first := true
	for entry := range list.Items {
		if !f.shows(key, entry) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, entry.Raw()...)
	}
	return append(dst, ']')
}

// shows reports whether an entry of a list is to be seen: it has one name, in
// one spelling, and that is granted.
func (f *Filter) shows(key string, entry json.Value) bool {
	by := listings[key]
	name := entry.Member(by.name)
	if name.Kind() != json.String {
		return false
	}
	want := string(text.AppendKey(nil, by.name))
	for k := range entry.Members {
		if f.key = text.AppendKey(f.key[:0], k); k != by.name && string(f.key) == want {
			return false
		}
	}
	called := name.Text(&f.key)
	for _, layer := range f.layers {
		if !layer.any(func(j *mcp.Judge) bool { return by.shows(j, called) }) {
			return false
		}
	}
	return len(f.layers) > 0
}
