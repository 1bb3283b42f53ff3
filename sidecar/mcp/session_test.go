package mcp

import (
	"strconv"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
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
	if s.Revision() != "" {
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
	if none.Answer("1") || none.Passed("1") || none.Revision() != "" || none.ID() != "" {
		t.Error("something is known")
	}
}

// In a session, a request names a revision that is granted, which the judge
// sees to, or none where the one that was agreed on asks for none.
func TestRevisionOfSession(t *testing.T) {
	for name, test := range map[string]struct {
		why, agreed, named string
		want               Admission
	}{
		"agreed on":        {"the usual", "2025-11-25", "2025-11-25", Admitted},
		"another":          {"it is judged alike", "2025-11-25", "2025-03-26", Admitted},
		"none":             {"the revision asks for the header", "2025-11-25", "", Refused},
		"none, the first":  {"it had no such header", "2025-03-26", "", Admitted},
		"no agreement yet": {"the handshake has not ended, or not well", "", "2025-11-25", Refused},
		"nothing at all":   {"likewise", "", "", Refused},
	} {
		var all Sessions
		all.Open("/mcp", "s").Agree(test.agreed)
		fields := []scope.Field{{Name: "Mcp-Session-Id", Value: "s"}}
		if test.named != "" {
			fields = append(fields, scope.Field{Name: "MCP-Protocol-Version", Value: test.named})
		}
		for method, text := range map[string]string{"POST": `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "GET": "", "DELETE": ""} {
			var x Exchange
			x.Read(method, fields, []byte(text))
			if got, detail := x.Admit(&all, "/mcp"); got != test.want || (got == Admitted) != (detail == "") {
				t.Errorf("%s %s: %s: got %d %s", method, name, test.why, got, detail)
			}
		}
	}
}
