// Package graphql reads GraphQL documents for the judge, which links no parser.
//
// The text is parsed by gqlparser, and only its syntax: what a document selects
// is for the judge to say, which gets it as plain values. Spellings that
// servers read differently are refused before.
package graphql

import (
	"container/list"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
)

// Bounds of what is remembered: clients send few documents, again and again.
const (
	maxKept  = 256       // documents
	maxText  = 16 << 10  // bytes of one
	maxTexts = 256 << 10 // bytes of all
)

// A Reader reads documents and remembers those that it has read of late, by
// their text. What is remembered is what the text says, not a decision: that is
// made each time. The zero Reader is ready for use, and safe for concurrent use.
type Reader struct {
	mu    sync.Mutex
	kept  map[string]*list.Element
	order list.List // of entries, the latest in front
	bytes int
}

type entry struct {
	text     string
	document *syntax.Document
}

// Read returns the document of a text, which it does not keep a view of.
func (r *Reader) Read(text string) (*syntax.Document, error) {
	if d := r.recall(text); d != nil {
		return d, nil
	}
	text = strings.Clone(text)
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	r.keep(text, d)
	return d, nil
}

func (r *Reader) recall(text string) *syntax.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.kept[text]
	if at == nil {
		return nil
	}
	r.order.MoveToFront(at)
	return at.Value.(*entry).document
}

func (r *Reader) keep(text string, d *syntax.Document) {
	if len(text) > maxText {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[string]*list.Element{}
	}
	if r.kept[text] != nil {
		return // another has read it meanwhile
	}
	r.kept[text] = r.order.PushFront(&entry{text, d})
	for r.bytes += len(text); r.bytes > maxTexts || len(r.kept) > maxKept; {
		last := r.order.Back()
		gone := r.order.Remove(last).(*entry)
		delete(r.kept, gone.text)
		r.bytes -= len(gone.text)
	}
}
