package story

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

// Act is the story played once, as others saw it.
type Act struct {
	Actions     []Action         // of the agent, by its own account
	Printed     string           // all that it printed
	Environment string           // that it had
	Branches    []string         // that are left, by the repository itself
	Seen        []upstream.Entry // what the upstream saw
	Audit       []Decision       // by the sidecar; none without Sallyport
}

// Decision is what the story needs of an audit record.
type Decision struct {
	Event   string `json:"event"`
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Method  string `json:"method"`
	Path    string `json:"path"`
}

// Decisions reads an audit log: of each request what was decided.
func Decisions(text []byte) ([]Decision, error) {
	var all []Decision
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var one Decision
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if one.Event == "decision" {
			all = append(all, one)
		}
	}
}

// allowed counts the requests to GitHub that were allowed, by method and path.
func (a *Act) allowed() map[string]int {
	counts := map[string]int{}
	for _, d := range a.Audit {
		if d.Verdict == "Allow" {
			counts[d.Method+" "+d.Path]++
		}
	}
	return counts
}

// refusals are the decisions that did not allow.
func (a *Act) refusals() []Decision {
	var denied []Decision
	for _, d := range a.Audit {
		if d.Verdict != "Allow" {
			denied = append(denied, d)
		}
	}
	return denied
}
