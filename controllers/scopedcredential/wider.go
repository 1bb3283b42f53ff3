package scopedcredential

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/whole"
)

// reasonWidened is the reason of the event that tells of a wider scope.
const reasonWidened = "Widened"

// widened says what sc, which was judged, allows that the generation accepted
// before did not.
func widened(sc *v1alpha1.ScopedCredential, o *observation) string {
	if o.refused != nil || o.previous == nil || o.previous.Generation == sc.Generation {
		return ""
	}
	return wider(o, o.inForce)
}

// wider says what doc allows that the generation accepted before did not: one
// request for each of a few grants. It is empty where there is nothing, and
// where the one before fits its UpstreamSecret no more, so that nothing was
// served by it.
func wider(o *observation, doc *bundle.Credential) string {
	was, err := o.compiler.Credential(o.previous, o.upstream)
	if err != nil {
		return ""
	}
	generations := fmt.Sprintf("generation %d allows more than generation %d", doc.Generation, was.Generation)
	d := whole.Diff(prove.ScopeOf(&was), prove.ScopeOf(doc))
	switch {
	case len(d.Added) > 0:
		return generations + ": " + listed(d.Added)
	case len(d.Unknown) > 0:
		return "whether " + generations + " takes too much work to find out, because of the grants " + strings.Join(d.Unknown, ", ")
	}
	return ""
}

// mostListed bounds how many changes are told: a condition is no report.
const mostListed = 3

func listed(changes []prove.Change) string {
	var texts []string
	for i := range changes[:min(len(changes), mostListed)] {
		texts = append(texts, changes[i].String())
	}
	if more := len(changes) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// enforceable is the message of a spec that is accepted. What was told of a
// generation when it was accepted stays there until the next one.
func enforceable(sc *v1alpha1.ScopedCredential, o observation) string {
	const message = "the scope can be enforced"
	if o.wider != "" {
		return message + "; " + o.wider
	}
	told := meta.FindStatusCondition(sc.Status.Conditions, v1alpha1.ConditionAccepted)
	same := o.previous != nil && o.previous.Generation == sc.Generation
	if same && told != nil && told.Status == metav1.ConditionTrue && told.ObservedGeneration == sc.Generation {
		return told.Message
	}
	return message
}

// maxNote bounds the note of an event as the API server does.
const maxNote = 1024

// announceWider emits an event where the generation that was just accepted is
// wider than the one before.
func announceWider(recorder events.EventRecorder, sc *v1alpha1.ScopedCredential, o observation) {
	if o.wider == "" {
		return
	}
	note := o.wider
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-3], "") + "..."
	}
	recorder.Eventf(sc, nil, corev1.EventTypeWarning, reasonWidened, "Accept", "%s", note)
}
