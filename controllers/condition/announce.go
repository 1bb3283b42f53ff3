package condition

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// maxNote bounds the note of an event as the API server does.
const maxNote = 1024

// Announce emits one event where Ready has got another status or reason since
// before, a warning where an object has to be changed.
func Announce(recorder events.EventRecorder, object runtime.Object, before, after []metav1.Condition) {
	was := meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
		return
	}
	kind, reason := corev1.EventTypeNormal, is.Reason
	switch {
	case is.Status == metav1.ConditionTrue:
		reason = v1alpha1.ConditionReady
	case is.Reason == v1alpha1.ReasonPending:
		return
	default:
		kind = corev1.EventTypeWarning
	}
	note := is.Message
	if len(note) > maxNote {
		note = note[:maxNote-3] + "..."
	}
	recorder.Eventf(object, nil, kind, reason, "Reconcile", "%s", note)
}
