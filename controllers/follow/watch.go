package follow

import (
	"context"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// retry is how often an object that cannot be read is asked for again. Adding
// a RoleBinding is seen by asking, hence the bound.
var retry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 10 * time.Second}

// aboutAMinute is how long one watch lasts, in seconds: the API server asks for
// permission when it begins, so a grant that is lost is noticed when it ends.
func aboutAMinute() int64 { return 45 + rand.Int64N(31) }

// watch follows one object until ctx ends. What it hears afterwards is not
// recorded: the object may be watched anew by then.
func (w *Watcher[T, V]) watch(ctx context.Context, name types.NamespacedName) {
	s := &store[T, V]{name: name, read: w.source.Read, record: func(s State, value V) {
		if ctx.Err() == nil {
			w.set(name, s, value)
		}
	}}
	backoff := retry
	cache.NewReflectorWithOptions(w.listWatch(s), w.source.Example, s, cache.ReflectorOptions{
		Name: "follow", Backoff: &backoff,
	}).RunWithContext(ctx)
}

// listWatch asks for one object by its name, which a Role with resourceNames
// allows too (Kubernetes, "Using RBAC Authorization").
func (w *Watcher[T, V]) listWatch(s *store[T, V]) *cache.ListWatch {
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, s.name.Name).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ask context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := w.source.List(ask, s.name.Namespace, options)
			s.judge(err)
			return list, err
		},
		WatchFuncWithContext: func(ask context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector, options.TimeoutSeconds = selector, new(w.source.WatchFor())
			events, err := w.source.Watch(ask, s.name.Namespace, options)
			s.judge(err)
			return events, err
		},
	}
}

// store is where a reflector puts what it hears of one object.
type store[T client.Object, V any] struct {
	name   types.NamespacedName
	read   func(T) V
	record func(State, V)
}

// judge takes an object away that may no longer be read. Other errors pass: an
// API server that is away has withdrawn nothing.
func (s *store[T, V]) judge(err error) {
	if apierrors.IsForbidden(err) {
		s.lost(Forbidden)
	}
}

func (s *store[T, V]) lost(state State) {
	var none V
	s.record(state, none)
}

// put records object if it is the one, and tells whether it is.
func (s *store[T, V]) put(object any) bool {
	value, ok := object.(T)
	if !ok || client.ObjectKeyFromObject(value) != s.name {
		return false
	}
	s.record(Known, s.read(value))
	return true
}

// Add records the object.
func (s *store[T, V]) Add(object any) error {
	s.put(object)
	return nil
}

// Update records the object.
func (s *store[T, V]) Update(object any) error {
	s.put(object)
	return nil
}

// Delete records that there is none.
func (s *store[T, V]) Delete(any) error {
	s.lost(Missing)
	return nil
}

// Replace records the answer to a list.
func (s *store[T, V]) Replace(objects []any, _ string) error {
	for _, object := range objects {
		if s.put(object) {
			return nil
		}
	}
	return s.Delete(nil)
}

// Resync has nothing to do.
func (s *store[T, V]) Resync() error { return nil }
