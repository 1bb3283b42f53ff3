package http1

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Field is one header field. Name keeps the letter case that it came with;
// Value is without the white space around it and may hold bytes above 0x7f.
// What is read here is judged without being copied.
type Field = scope.Field

// ownField is a field that belongs to this hop or frames the message. The
// reader keeps them out of Fields and the writer refuses them from the caller:
// what they say is carried by members of the heads and chosen anew.
type ownField uint8

const (
	notOwn ownField = iota
	ownHost
	ownLength
	ownCoding
	ownConnection
	ownUpgrade
	ownExpect
	ownDropped // read by nobody
)

// ownFields has the own fields by the length of their name, at most two for
// each, so that most names are told apart without being compared.
var ownFields = [...][2]struct {
	name string
	own  ownField
}{
	2:  {{"te", ownDropped}},
	4:  {{"host", ownHost}},
	6:  {{"expect", ownExpect}},
	7:  {{"upgrade", ownUpgrade}, {"trailer", ownDropped}},
	10: {{"connection", ownConnection}, {"keep-alive", ownDropped}},
	14: {{"content-length", ownLength}},
	16: {{"proxy-connection", ownDropped}},
	17: {{"transfer-encoding", ownCoding}},
}

func whichOwn(name string) ownField {
	if len(name) >= len(ownFields) {
		return notOwn
	}
	for _, f := range &ownFields[len(name)] {
		if f.own != notOwn && fold(name, f.name) {
			return f.own
		}
	}
	return notOwn
}

// emptied returns fs without elements, and without holding on to the last
// message's text.
func emptied(fs []Field) []Field {
	clear(fs)
	return fs[:0]
}

// fields reads the header fields of text behind its first line: those of this
// hop into own, all others behind dst.
func (r *Reader) fields(dst []Field, text string, own *ownValues) ([]Field, *Error) {
	for i := 1; i+1 < len(r.lines); i++ {
		name, value, err := cutField(text[r.lines[i] : r.lines[i+1]-2])
		if err != nil {
			return dst, err
		}
		if which := whichOwn(name); which != notOwn {
			own.add(which, value)
			continue
		}
		dst = append(dst, Field{Name: name, Value: value})
	}
	return dst, nil
}

// cutField cuts a line, in which there are no control characters, into name
// and value. A line that begins with white space is a folded one and has no
// proper name.
func cutField(line string) (name, value string, err *Error) {
	i := strings.IndexByte(line, ':')
	if i < 0 || !only(line[:i], tokenByte) {
		return "", "", errFieldName
	}
	return line[:i], trimSpace(line[i+1:]), nil
}

// ownValues has what the fields of this hop say.
type ownValues struct {
	count [ownDropped + 1]uint16
	value [ownDropped + 1]string // the last one

	// What the Connection fields name. extra: anything else than the three;
	// malformed: something that is no name.
	close, keepAlive, upgrade, extra, malformed bool
}

func (o *ownValues) add(which ownField, value string) {
	o.count[which]++
	o.value[which] = value
	if which != ownConnection {
		return
	}
	for more := true; more; {
		var item string
		item, value, more = strings.Cut(value, ",")
		item = trimSpace(item)
		switch {
		case fold(item, "close"):
			o.close = true
		case fold(item, "keep-alive"):
			o.keepAlive = true
		case fold(item, "upgrade"):
			o.upgrade = true
		default:
			o.extra = true
			o.malformed = o.malformed || !only(item, tokenByte)
		}
	}
}

// framing decides how the body ends, or that no two readers need agree on it.
func (o *ownValues) framing() (Framing, *Error) {
	lengths, codings := o.count[ownLength], o.count[ownCoding]
	switch {
	case lengths > 0 && codings > 0:
		return Framing{}, errBothFramings
	case codings > 1:
		return Framing{}, errCoding
	case codings == 1:
		return Framing{Kind: Chunked}, checkCoding(o.value[ownCoding])
	case lengths > 1:
		return Framing{}, errLengthTwice
	case lengths == 0:
		return Framing{}, nil
	}
	n, ok := parseLength(o.value[ownLength])
	if !ok {
		return Framing{}, errLength
	}
	return Framing{Kind: Sized, Length: n}, nil
}
