package audit

import (
	"regexp"
	"strings"
	"testing"
)

func TestTraceOf(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for name, test := range map[string]struct {
		why, text string
		ok        bool
	}{
		"version 0":         {"the standard's own example", "00-" + trace + "-" + span + "-01", true},
		"not sampled":       {"the flag says nothing about ids", "00-" + trace + "-" + span + "-00", true},
		"later version":     {"it may say more", "01-" + trace + "-" + span + "-01-more", true},
		"later, run on":     {"what follows must be set apart", "01-" + trace + "-" + span + "-01more", false},
		"version 0, more":   {"version 0 has nothing more", "00-" + trace + "-" + span + "-01-more", false},
		"forbidden version": {"ff is invalid", "ff-" + trace + "-" + span + "-01", false},
		"upper case":        {"ids are in lower case", "00-" + strings.ToUpper(trace) + "-" + span + "-01", false},
		"zero trace":        {"it names nothing", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", false},
		"zero span":         {"it names nothing", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", false},
		"short":             {"the flags are missing", "00-" + trace + "-" + span, false},
		"other separator":   {"fields are set apart by -", "00_" + trace + "-" + span + "-01", false},
		"forged":            {"nothing but digits goes into a record", `00-` + trace[:30] + `"}` + "-" + span + "-01", false},
		"empty":             {"there is none", "", false},
	} {
		gotTrace, gotSpan, ok := TraceOf(test.text)
		if ok != test.ok || ok && (gotTrace != trace || gotSpan != span) || !ok && gotTrace+gotSpan != "" {
			t.Errorf("%s (%s): got %q, %q, %t", name, test.why, gotTrace, gotSpan, ok)
		}
	}
}

// FuzzTraceOf: a trace that is read stands so in the text, in the form that W3C
// Trace Context has, and is not all zeros.
func FuzzTraceOf(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what")
	f.Add("00-00000000000000000000000000000000-b7ad6b7169203331-01")
	ids := regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)
	f.Fuzz(func(t *testing.T, text string) {
		trace, span, ok := TraceOf(text)
		if !ok {
			return
		}
		if m := ids.FindStringSubmatch(strings.ReplaceAll(text, "\n", " ")); m == nil || m[1] != trace || m[2] != span || strings.Trim(trace, "0") == "" || strings.Trim(span, "0") == "" {
			t.Errorf("%q has %q, %q", text, trace, span)
		}
	})
}
