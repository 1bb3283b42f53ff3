package broker

import (
	"context"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/denied"
)

// TestStaleCache wants one condition, another and the first again while the
// cache still shows the first: the pod must not keep the one in between.
func TestStaleCache(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "a", UID: "uid-1"}}
	writes := 0
	trailing := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(pod).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			writes++
			return nil // the cache does not show it
		},
	}).Build()
	c := newConditions(trailing, trailing, events.NewFakeRecorder(1))
	write := func(status corev1.ConditionStatus, want int) {
		t.Helper()
		w := wantedCondition{pod: client.ObjectKeyFromObject(pod), condition: corev1.PodCondition{Type: ConditionScopeEnforced, Status: status}}
		if err := c.write(t.Context(), pod.UID, w); err != nil {
			t.Fatal(err)
		}
		if writes != want {
			t.Errorf("%d writes, want %d", writes, want)
		}
	}
	cached := func(status corev1.ConditionStatus) {
		t.Helper()
		pod.Status.Conditions = []corev1.PodCondition{{Type: ConditionScopeEnforced, Status: status}}
		if err := trailing.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	cached(corev1.ConditionTrue)
	write(corev1.ConditionTrue, 0) // after a restart nothing is known, and the cache is believed
	write(corev1.ConditionFalse, 1)
	write(corev1.ConditionTrue, 2)
	write(corev1.ConditionTrue, 2)
	cached(corev1.ConditionFalse) // by another replica, or late: it is written once more
	write(corev1.ConditionTrue, 3)
	c.forget(pod.UID)
	if len(c.written) > 0 {
		t.Error("what is gone is remembered")
	}
}

// TestServeFails serves on a listener that fails: whoever started the broker
// has to hear of it at once.
func TestServeFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	b := &Broker{index: newIndex(), conditions: newConditions(admin, admin, events.NewFakeRecorder(1)), denied: denied.New(admin, time.Now)}
	b.offers = newOffers(b)
	if err := b.Serve(t.Context(), listener); err == nil {
		t.Error("no error")
	}
}

// TestStatusIsNoEdit holds which updates of our kinds are judged by: all but
// those that write the status alone.
func TestStatusIsNoEdit(t *testing.T) {
	before := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{UID: "uid-1", Generation: 3}}
	for name, tc := range map[string]struct {
		why    string
		change func(*v1alpha1.ScopedCredential)
		same   bool
	}{
		"status":   {"the leader counts sidecars", func(sc *v1alpha1.ScopedCredential) { sc.Status.ObservedGeneration = 3 }, true},
		"spec":     {"a withdrawal acts at once", func(sc *v1alpha1.ScopedCredential) { sc.Generation = 4 }, false},
		"deletion": {"so does this one", func(sc *v1alpha1.ScopedCredential) { now := metav1.Now(); sc.DeletionTimestamp = &now }, false},
		"another":  {"a deletion that was missed", func(sc *v1alpha1.ScopedCredential) { sc.UID = "uid-2" }, false},
	} {
		after := before.DeepCopy()
		tc.change(after)
		if got := sameSpec(before, after); got != tc.same {
			t.Errorf("%s: passed over %v, want %v: %s", name, got, tc.same, tc.why)
		}
	}
	if pod := (&corev1.Pod{}); sameSpec(pod, pod) {
		t.Error("a pod has no generation, and every event counts")
	}
}
