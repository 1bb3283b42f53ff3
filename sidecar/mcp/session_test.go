package mcp

import (
	"strconv"
	"testing"
)

// A session is known where a server has opened it, and there alone.
func TestSessions(t *testing.T) {
	var all Sessions
	if all.Find("/mcp", "s") != nil || all.Find("", "") != nil {
		t.Error("nothing was opened")
	}
	s := all.Open("/mcp", "s")
	if all.Find("/mcp", "s") != s || all.Open("/mcp", "s") != s || s.ID() != "s" {
		t.Error("it is another one")
	}
	if all.Find("/other", "s") != nil || all.Find("/mcp", "S") != nil {
		t.Error("a session is of one server, and names have letter case")
	}
	if s.Speaks("") || s.Speaks("2025-11-25") {
		t.Error("nothing was agreed on")
	}
	all.End(s)
	if all.Find("/mcp", "s") != nil {
		t.Error("it has ended")
	}
	again := all.Open("/mcp", "s")
	all.End(s)
	if all.Find("/mcp", "s") != again {
		t.Error("a new one of the same name has not ended")
	}
	all.End(nil)
}

// No server makes the sidecar remember without end.
func TestBounds(t *testing.T) {
	var all Sessions
	for i := range maxSessions {
		all.Open("/mcp", strconv.Itoa(i))
	}
	first := all.Find("/mcp", "0") // used: no longer the oldest
	all.Open("/mcp", "more")
	if all.Find("/mcp", "0") != first || all.Find("/mcp", "1") != nil || len(all.open) != maxSessions || all.order.Len() != maxSessions {
		t.Error("it is not the oldest that was forgotten")
	}
	for i := range maxAsked + 1 {
		first.Ask(strconv.Itoa(i))
		first.Ask(strconv.Itoa(i))
	}
	if first.Answer("0") || !first.Answer("1") || !first.Answer(strconv.Itoa(maxAsked)) || len(first.asked) != maxAsked-2 {
		t.Errorf("asked: %v", first.asked)
	}
	for i := range maxEvents + 1 {
		first.Pass(strconv.Itoa(i))
	}
	if first.Passed("0") || !first.Passed("1") || len(first.events) != maxEvents {
		t.Errorf("events: %v", first.events)
	}
}

// Without a session nothing is remembered, and nothing known.
func TestNoSession(t *testing.T) {
	var none *Session
	none.Ask("1")
	none.Pass("1")
	none.Agree("2025-11-25")
	if none.Answer("1") || none.Passed("1") || none.Speaks("2025-11-25") || none.ID() != "" {
		t.Error("something is known")
	}
}
