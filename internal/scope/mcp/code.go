package mcp

import "slices"

// Codes of JSON-RPC errors: those of JSON-RPC 2.0 (5.1) and of the protocol.
const (
	CodeInvalid        = -32600
	CodeMethod         = -32601
	CodeParams         = -32602
	CodeHeaderMismatch = -32020
	CodeRevision       = -32022
)

// Code returns the code of the JSON-RPC error by which m is refused with these
// headers, where the given revisions are granted. A client reads from it
// whether another revision or another method would do.
func Code(m *Message, h *Header, granted []string) int {
	if m.wrong != "" {
		return CodeInvalid
	}
	era, detail := speaks(m, h, granted)
	switch {
	case detail != "":
		return codeOfRevision(m, h, granted)
	case m.Kind != Response && !methods[m.Method].takes(m, era):
		return CodeMethod
	case h.disagrees(m, era) != "":
		return CodeHeaderMismatch
	}
	return CodeParams
}

// codeOfRevision is the code for a message whose revision is not granted, or
// not said as it has to be.
func codeOfRevision(m *Message, h *Header, granted []string) int {
	other := h.asksForOther(granted)
	switch {
	case m.Method == initialize && h.Stateless() && !other:
		return CodeMethod // which this revision does not have
	case m.Method == initialize:
		return CodeParams
	case other:
		return CodeRevision
	case h.Stateless() && m.revision() == "":
		return CodeParams
	}
	return CodeHeaderMismatch
}

// Requested returns the revision that a message asks for, nothing where it is
// too long for one.
func Requested(m *Message, h *Header) string {
	name := h.Version
	if m.Method == initialize {
		name = m.proposal()
	}
	if len(name) > longestID {
		return ""
	}
	return name
}

// asksForOther reports whether the headers name a revision that is none of the
// granted ones.
func (h *Header) asksForOther(granted []string) bool {
	return h.Version != "" && !slices.Contains(granted, h.Version)
}
