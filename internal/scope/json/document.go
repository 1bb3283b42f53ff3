// Package json reads JSON once, strictly, into a form that can be judged.
//
// What is read is RFC 8259 within the bounds of I-JSON (RFC 7493): UTF-8
// without a byte order mark, no lone surrogates and no noncharacters, no key
// twice in one object, nothing behind the document. Besides, depth is bounded.
// Two readers that accept such a document see the same values at the same
// places, which is what makes a decision about it worth something.
//
// Nothing is converted: a [Value] is a place in the text. Numbers keep the
// spelling that they came with, and strings are decoded when they are asked
// for.
package json

import (
	"math"
	"unsafe"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// maxDepth bounds how deep arrays and objects may nest: below the bounds of
// the readers in use, so that none of them gives up where we went on.
const maxDepth = 128

// Kind is what a value is. The zero Kind is none.
type Kind uint8

// The kinds of values.
const (
	None Kind = iota
	Null
	Boolean
	Number
	String
	Array
	Object
)

// A Document is one text, read. The zero Document is empty and ready for
// [Document.Parse]; it is meant to be used again, so that reading costs no
// memory. It is not safe for concurrent use.
type Document struct {
	src   []byte
	nodes []node

	// depth is how many arrays and objects are open while the text is read.
	depth int

	// plain holds the keys that were written with escapes, without them, and
	// decoded where each of them stands.
	plain   []byte
	decoded []span
	keys    keySet
}

// node is one value or key, in the order of the text: an object is followed by
// its keys, each with its value behind it, an array by its elements.
type node struct {
	start, end uint32 // of the text; of a string without its quotation marks
	// next is the node behind this value and all that it holds; of an escaped
	// key, whose value is the next node anyway, its place in Document.decoded.
	next uint32
	kind Kind // of a string perhaps with escaped
}

// escaped marks a string that holds escapes.
const escaped Kind = 1 << 7

// span is a part of Document.plain.
type span struct{ start, end uint32 }

// Parse reads src, which may not change while d is in use. The error is a
// constant that says what is wrong and quotes nothing.
func (d *Document) Parse(src []byte) error {
	d.Reset()
	if int64(len(src)) >= math.MaxUint32 {
		return errLarge
	}
	d.src = src
	if err := d.scan(); err != nil {
		d.Reset()
		return err
	}
	return nil
}

// keptNodes bounds the memory that is kept for the next text.
const keptNodes = 4 << 10

// Reset lets go of the text.
func (d *Document) Reset() {
	d.src, d.nodes, d.plain, d.decoded = nil, d.nodes[:0], d.plain[:0], d.decoded[:0]
	d.depth = 0
	if max(cap(d.nodes), cap(d.plain), cap(d.decoded)) > keptNodes {
		d.nodes, d.plain, d.decoded = nil, nil, nil
	}
	d.keys.reset()
}

// Memory is what d takes besides the text, in bytes.
func (d *Document) Memory() int64 {
	n := uintptr(cap(d.nodes))*unsafe.Sizeof(node{}) + uintptr(cap(d.decoded))*unsafe.Sizeof(span{})
	return int64(n) + int64(cap(d.plain)) + d.keys.memory() //nolint:gosec // G115: a process has no more memory than that
}

// Root returns the value that the text is. It is None where nothing was read.
func (d *Document) Root() Value { return Value{d, 0} }

// Value is a value of a document. The zero Value is of no kind. It is valid
// until the document is used for another text.
type Value struct {
	d  *Document
	at uint32
}

// Kind returns what v is.
func (v Value) Kind() Kind {
	if v.d == nil || int(v.at) >= len(v.d.nodes) {
		return None
	}
	return v.d.nodes[v.at].kind &^ escaped
}

// Raw returns the text of v as it stands in the document, of a string with its
// quotation marks.
func (v Value) Raw() []byte {
	if v.Kind() == None {
		return nil
	}
	n := &v.d.nodes[v.at]
	if n.kind&^escaped == String {
		return v.d.src[n.start-1 : n.end+1]
	}
	return v.d.src[n.start:n.end]
}

// Text returns a string decoded, and of any other value the text as it stands.
// It may use scratch for memory, and is valid until that is used again.
func (v Value) Text(scratch *[]byte) string {
	if v.Kind() == None {
		return ""
	}
	n := &v.d.nodes[v.at]
	raw := v.d.src[n.start:n.end]
	if n.kind&escaped == 0 {
		return text.View(raw)
	}
	*scratch = appendUnescaped((*scratch)[:0], raw)
	return text.View(*scratch)
}

// Items calls yield for each element of an array, in order, until that returns
// false. Anything else has none.
func (v Value) Items(yield func(Value) bool) {
	if v.Kind() != Array {
		return
	}
	end := v.d.nodes[v.at].next
	for i := v.at + 1; i < end; i = v.d.nodes[i].next {
		if !yield(Value{v.d, i}) {
			return
		}
	}
}

// Members calls yield for each member of an object, in order, until that
// returns false. Anything else has none. Keys are decoded.
func (v Value) Members(yield func(key string, value Value) bool) {
	if v.Kind() != Object {
		return
	}
	end := v.d.nodes[v.at].next
	for i := v.at + 1; i < end; i = v.d.nodes[i+1].next {
		if !yield(v.d.key(i), Value{v.d, i + 1}) {
			return
		}
	}
}

// Member returns the value of a key, which is None where there is none.
func (v Value) Member(key string) Value {
	for k, member := range v.Members {
		if k == key {
			return member
		}
	}
	return Value{}
}

// RawKey returns the key of a member as it stands in the document, with its
// quotation marks. v must have come from [Value.Members].
func (v Value) RawKey() []byte {
	n := &v.d.nodes[v.at-1]
	return v.d.src[n.start-1 : n.end+1]
}

// key returns the key that node i is.
func (d *Document) key(i uint32) string {
	n := &d.nodes[i]
	if n.kind&escaped != 0 {
		at := d.decoded[n.next]
		return text.View(d.plain[at.start:at.end])
	}
	return text.View(d.src[n.start:n.end])
}
