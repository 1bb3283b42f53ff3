package scopedcredential

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// asks is a pod that asks for notes.
func asks(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "agents", Name: name, Annotations: map[string]string{inject.AnnotationCredentials: "notes"},
	}}
}

// TestAcceptanceComesFirst edits a credential: sidecars are served by the
// record, so nothing that is only told of it is read, worked out or written
// before.
func TestAcceptanceComesFirst(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	sc := credential(func(sc *v1alpha1.ScopedCredential) { sc.Generation = 3 })
	var order []string
	note := func(what string) { order = append(order, what) }
	recorder := noting{FakeRecorder: events.NewFakeRecorder(8), note: note}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(sc, upstream(), asks("a")).WithStatusSubresource(sc).
		WithIndex(&corev1.Pod{}, indexCredentials, func(client.Object) []string { return []string{"agents/notes"} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				note("record")
				return c.Create(ctx, o, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				note("record")
				return c.Apply(ctx, o, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				note("pods")
				return c.List(ctx, list, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, name string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				note("status")
				return c.SubResource(name).Patch(ctx, o, p, opts...)
			},
		}).Build()
	r := &Reconciler{
		Client: c, Events: recorder, Now: func() time.Time { return now },
		Records: &record.Writer{Client: c, Meta: c, Namespace: "system"},
		InForce: &record.Store{Meta: c, Bodies: c, Namespace: "system"},
	}
	for generation, methods := range [][]v1alpha1.Method{{"GET"}, {"GET", "PUT"}} {
		live := &v1alpha1.ScopedCredential{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(sc), live); err != nil {
			t.Fatal(err)
		}
		live.Generation, live.Spec.Grants[0].HTTP.Methods = int64(3+generation), methods
		if err := c.Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		order = nil
		if _, err := r.Reconcile(t.Context(), live); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"record", "event Widened", "pods", "status"}; !cmp.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// noting tells of events as they are emitted.
type noting struct {
	*events.FakeRecorder
	note func(string)
}

func (n noting) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	n.note("event " + reason)
}

// queue tells what was added at once, and what by and by.
type queue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	now   []reconcile.Request
	later map[reconcile.Request][]time.Duration
}

func (q *queue) Add(r reconcile.Request) { q.now = append(q.now, r) }

func (q *queue) AddAfter(r reconcile.Request, d time.Duration) { q.later[r] = append(q.later[r], d) }

// TestNewsOfPodsAreCollected: after an edit each sidecar acknowledges, and each
// pod shows it. The queue keeps one request for all that come within a while,
// and an edit, which is added at once, is not held up by them.
func TestNewsOfPodsAreCollected(t *testing.T) {
	q := &queue{later: map[reconcile.Request][]time.Duration{}}
	h := pods()
	other := asks("a")
	other.Annotations[inject.AnnotationCredentials] = "web"
	h.Create(t.Context(), event.CreateEvent{Object: asks("a")}, q)
	h.Update(t.Context(), event.UpdateEvent{ObjectOld: asks("a"), ObjectNew: other}, q)
	h.Delete(t.Context(), event.DeleteEvent{Object: other}, q)
	h.Delete(t.Context(), event.DeleteEvent{Object: &corev1.Pod{}}, q)
	if len(q.now) > 0 {
		t.Errorf("%v is looked at again at once", q.now)
	}
	counts := map[string]int{}
	for r, delays := range q.later {
		counts[r.String()] = len(delays)
		if slices.ContainsFunc(delays, func(d time.Duration) bool { return d != podsSettle }) {
			t.Errorf("%s is looked at after %v", r, delays)
		}
	}
	if want := map[string]int{"agents/notes": 2, "agents/web": 2}; !cmp.Equal(counts, want) {
		t.Errorf("looked at again: %v, want %v", counts, want)
	}
}

// priorities notes how requests are added to a queue that has them.
type priorities struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	added []priorityqueue.AddOpts
}

func (p *priorities) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	for range requests {
		p.added = append(p.added, o)
	}
}

// TestEditsComeBeforeCounts: where the queue has priorities, what pods show of
// one credential waits for the edits of others.
func TestEditsComeBeforeCounts(t *testing.T) {
	q := &priorities{}
	pods().Update(t.Context(), event.UpdateEvent{ObjectOld: asks("a"), ObjectNew: asks("a")}, q)
	if len(q.added) == 0 {
		t.Fatal("nothing is looked at again")
	}
	for _, o := range q.added {
		if o.After != podsSettle || o.Priority == nil || *o.Priority >= 0 {
			t.Errorf("added with %+v", o)
		}
	}
}
