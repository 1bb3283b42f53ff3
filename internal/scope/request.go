package scope

// Field is one header field as it was read. Names are compared without regard
// to case.
type Field struct{ Name, Value string }

// Head is a request as a strict reader hands it over: one method, one target
// in origin form, all header fields in the order they came. HTTP/1.1 and
// HTTP/2 both end in it.
type Head struct {
	Method string
	Target string
	Fields []Field
	// HasBody says that the message carries a body of at least one byte, or of
	// a length not known in advance.
	HasBody bool
}
