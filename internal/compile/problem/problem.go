// Package problem collects what keeps an object from being accepted, for its
// conditions and for the command line.
package problem

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

// MaxValue bounds how many bytes of a value are repeated in a problem.
const MaxValue = 80

// A List collects what is wrong, in the order of the manifest. The zero List is
// empty. It is not safe for concurrent use.
type List struct{ found []Problem }

// Len returns how many problems there are.
func (l *List) Len() int { return len(l.found) }

// Add adds a problem with a reason of the Accepted condition. A long value is
// cut.
func (l *List) Add(reason string, field fmt.Stringer, value, msg string) {
	if len(value) > MaxValue {
		value = strings.ToValidUTF8(value[:MaxValue], "") + "..."
	}
	l.found = append(l.found, Problem{reason, field.String(), value, msg})
}

// Invalid adds a value that is to be put right.
func (l *List) Invalid(field fmt.Stringer, value, msg string) {
	l.Add(v1alpha1.ReasonInvalid, field, value, msg)
}

// Unsupported refuses a field that is present, unless it is not.
func (l *List) Unsupported(present bool, field fmt.Stringer, value string) {
	if present {
		l.Add(v1alpha1.ReasonUnsupported, field, value, "this release does not enforce it: remove it, or use a release that does")
	}
}

// Err is nil where nothing was collected, else a *[Refused].
func (l *List) Err() error {
	if len(l.found) == 0 {
		return nil
	}
	reason := l.found[0].Reason
	for _, problem := range l.found {
		if problem.Reason != v1alpha1.ReasonUnsupported {
			reason = problem.Reason
			break
		}
	}
	return &Refused{Reason: reason, Problems: l.found}
}
