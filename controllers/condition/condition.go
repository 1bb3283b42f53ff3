// Package condition writes the conditions that both kinds have, in the words of
// kstatus: Ready sums the others up, Reconciling and Stalled are there only
// while they hold. It is pure.
package condition

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// maxMessage bounds a message as the schema of conditions does.
const maxMessage = 32768

// Outcome is what a condition says. The zero value is Unknown, reason Pending.
type Outcome struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// Met says that what the condition asks for holds.
func Met(message string) Outcome {
	return Outcome{metav1.ConditionTrue, v1alpha1.ReasonAccepted, message}
}

// Failed says that it does not hold, and why.
func Failed(reason, message string) Outcome {
	return Outcome{metav1.ConditionFalse, reason, message}
}

// Refused says that a spec is refused and why, and which generation stays in
// force; 0 is none.
func Refused(reason string, why error, inForce int64) Outcome {
	if inForce == 0 {
		return Failed(reason, why.Error()+"; nothing that was accepted before is in force: every request is refused")
	}
	return Failed(reason, fmt.Sprintf("%v; generation %d stays in force", why, inForce))
}

// Pending says that nobody knows yet.
func Pending(message string) Outcome {
	return Outcome{metav1.ConditionUnknown, v1alpha1.ReasonPending, message}
}

// Named is the outcome of the condition of a type.
type Named struct {
	Type string
	Outcome
}

// waits tells whether work on it goes on. Else only a change of an object helps.
func (o Outcome) waits() bool {
	switch o.Reason {
	case v1alpha1.ReasonPending, v1alpha1.ReasonUpstreamUnreachable, v1alpha1.ReasonUpstreamTimeout:
		return true
	}
	return o.Status != metav1.ConditionFalse
}

// Write sets the named conditions, their summary Ready, and Reconciling or
// Stalled. Where withdrawn is not nil, the credential is intact and serves
// nobody: Ready says that instead. Conditions that say what they said before
// keep their times.
func Write(conditions *[]metav1.Condition, generation int64, named []Named, withdrawn *Outcome) {
	ready := summary(named)
	if withdrawn != nil {
		ready = *withdrawn
	}
	for _, n := range named {
		set(conditions, generation, n.Type, n.Outcome)
	}
	set(conditions, generation, v1alpha1.ConditionReady, ready)
	doing(conditions, generation, ready)
}

// summary is the first outcome that no waiting will change, else the first that
// is not True: who is told that something is missing need not be told too that
// the rest waits for it.
func summary(named []Named) Outcome {
	var first *Outcome
	for i := range named {
		o := &named[i].Outcome
		switch {
		case o.Status == metav1.ConditionTrue:
		case !o.waits():
			return *o
		case first == nil:
			first = o
		}
	}
	if first != nil {
		return *first
	}
	return Met("accepted, resolved and enforced where it is used")
}

// doing keeps at most one of Reconciling and Stalled.
func doing(conditions *[]metav1.Condition, generation int64, ready Outcome) {
	wanted := v1alpha1.ConditionStalled
	switch {
	case ready.Status == metav1.ConditionTrue:
		wanted = ""
	case ready.waits():
		wanted = v1alpha1.ConditionReconciling
	}
	for _, name := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if name == wanted {
			set(conditions, generation, name, Outcome{metav1.ConditionTrue, ready.Reason, ready.Message})
		} else {
			meta.RemoveStatusCondition(conditions, name)
		}
	}
}

func set(conditions *[]metav1.Condition, generation int64, name string, o Outcome) {
	if o.Status == "" {
		o = Pending(o.Message)
	}
	if len(o.Message) > maxMessage {
		o.Message = o.Message[:maxMessage-3] + "..."
	}
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: name, Status: o.Status, ObservedGeneration: generation, Reason: o.Reason, Message: o.Message,
	})
}
