package compile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// ErrRefused is what every refusal is: only a change of an object can help.
var ErrRefused = errors.New("refused")

// A Problem is one thing that keeps an object from being accepted.
type Problem struct {
	Reason string // of the Accepted condition: Invalid, Unsupported, ...
	Field  string // such as spec.grants[0].http.paths[1]
	Value  string // as it was read; empty where there is none worth showing
	Msg    string // what is wrong and what to do about it
}

// String is the problem as field: "value": message.
func (p Problem) String() string {
	if p.Value == "" {
		return p.Field + ": " + p.Msg
	}
	return fmt.Sprintf("%s: %q: %s", p.Field, p.Value, p.Msg)
}

// Refused says why an object is not accepted. It has at least one problem.
type Refused struct {
	// Reason is that of the first problem, but for Unsupported, which gives way
	// to any other: what cannot be read is to be put right first.
	Reason string
	// Problems are in the order of the manifest; maps are sorted by key.
	Problems []Problem
}

// Error is every problem, separated by semicolons.
func (r *Refused) Error() string {
	var texts []string
	for _, p := range r.Problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// Is makes errors.Is(err, [ErrRefused]) true.
func (r *Refused) Is(target error) bool { return target == ErrRefused }

// maxValue bounds how much of a value is repeated in a problem.
const maxValue = 80

// problems collects what is wrong. The zero value is empty.
type problems struct{ list []Problem }

func (p *problems) add(reason string, field fmt.Stringer, value, msg string) {
	if len(value) > maxValue {
		value = strings.ToValidUTF8(value[:maxValue], "") + "..."
	}
	p.list = append(p.list, Problem{reason, field.String(), value, msg})
}

func (p *problems) invalid(field fmt.Stringer, value, msg string) {
	p.add(v1alpha1.ReasonInvalid, field, value, msg)
}

// unsupported refuses a field that is present, unless it is not.
func (p *problems) unsupported(present bool, field fmt.Stringer, value string) {
	if present {
		p.add(v1alpha1.ReasonUnsupported, field, value, "this release does not enforce it: remove it, or use a release that does")
	}
}

// err is nil where nothing was collected.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	reason := p.list[0].Reason
	for _, problem := range p.list {
		if problem.Reason != v1alpha1.ReasonUnsupported {
			reason = problem.Reason
			break
		}
	}
	return &Refused{Reason: reason, Problems: p.list}
}
