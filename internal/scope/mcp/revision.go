package mcp

import "slices"

// eras are the forms that the protocol has had over streamable HTTP.
type eras uint8

const (
	// sessions: a handshake, perhaps with a session, and streams that the
	// server may send requests on.
	sessions eras = 1 << iota
	// stateless: every request says what it needs, and mirrors it in headers.
	stateless
)

const newest = "2026-07-28"

// unnamed is the revision of a request that does not name one: the header came
// with the next.
const unnamed = "2025-03-26"

// revisions are those that are understood, in order.
var revisions = []struct {
	name string
	era  eras
}{{unnamed, sessions}, {"2025-06-18", sessions}, {"2025-11-25", sessions}, {newest, stateless}}

// Revisions returns the revisions of the protocol that can be granted.
func Revisions() []string {
	var names []string
	for _, r := range revisions {
		names = append(names, r.name)
	}
	return names
}

// IsRevision reports whether name is one of [Revisions].
func IsRevision(name string) bool { return eraOf(name) != 0 }

func eraOf(name string) eras {
	for i := range revisions {
		if revisions[i].name == name {
			return revisions[i].era
		}
	}
	return 0
}

// speaks returns the era of a message, or why its revision is none of the
// given ones.
func speaks(m *Message, h *Header, granted []string) (era eras, detail string) {
	name := h.Version
	switch {
	case m.Method == initialize:
		return handshake(m, h, granted)
	case name == "" && m.revision() != "":
		return 0, "send the header " + VersionHeader + ": this revision of the protocol requires it"
	case name == "":
		name = unnamed
	}
	switch {
	case slices.Contains(granted, name):
		return m.agrees(name)
	case h.Version == "":
		return 0, "send the header " + VersionHeader + ": the granted revisions of the protocol require it"
	}
	return 0, "the revision of the protocol is not granted: use one of those that are"
}

// agrees returns the era of a revision, or why the message is none of it.
func (m *Message) agrees(name string) (era eras, detail string) {
	era = eraOf(name)
	switch said := m.revision(); {
	case said != "" && said != name:
		return 0, "the header " + VersionHeader + " and the message name two revisions: name one"
	case said == "" && era == stateless && m.Kind == Request:
		return 0, "name the revision in " + revisionKey + " of _meta, as this one requires"
	}
	return era, ""
}

// handshake is speaks for the message that agrees on a revision.
func handshake(m *Message, h *Header, granted []string) (era eras, detail string) {
	const other = "the revision of the protocol is not granted: ask for one that is"
	for _, name := range [...]string{m.proposal(), h.Version, m.revision()} {
		if name != "" && !slices.Contains(granted, name) {
			return 0, other
		}
		if name != "" && eraOf(name) != sessions {
			return 0, "this revision of the protocol has no " + initialize + ": send the request itself"
		}
	}
	return sessions, ""
}

// Agrees reports whether a server may answer a handshake with this revision.
func (j *Judge) Agrees(revision string) bool {
	return eraOf(revision) == sessions && slices.Contains(j.revisions, revision)
}

// MayBeUnnamed reports whether requests of this revision need not name it.
func MayBeUnnamed(revision string) bool { return revision == unnamed }

// Revisions returns those that the grant names.
func (j *Judge) Revisions() []string { return j.revisions }

// HasSessions reports whether servers of this revision may open sessions.
func HasSessions(revision string) bool { return eraOf(revision) == sessions }
