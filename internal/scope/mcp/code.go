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
	is := methods[m.Method]
	switch {
	case detail != "" && m.Method == initialize:
		return CodeParams
	case detail != "" && h.asksForOther(granted):
		return CodeRevision
	case detail != "" || h.disagrees(m, era) != "":
		return CodeHeaderMismatch
	case m.Kind != Response && !is.takes(m, era):
		return CodeMethod
	}
	return CodeParams
}

// asksForOther reports whether the headers name a revision that is none of the
// granted ones.
func (h *Header) asksForOther(granted []string) bool {
	return h.Version != "" && !slices.Contains(granted, h.Version)
}
