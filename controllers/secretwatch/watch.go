package secretwatch

import (
	"context"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// retry is how often a Secret that cannot be read is asked for again. Adding
// a RoleBinding is seen by asking, hence the bound.
var retry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 10 * time.Second}

// watchFor is how long one watch lasts, in seconds: the API server asks for
// permission when it begins, so a grant that is lost is noticed when it ends.
var watchFor = func() int64 { return 45 + rand.Int64N(31) }

// watch follows one Secret until ctx ends. What it hears afterwards is not
// recorded: the Secret may be watched anew by then.
func (w *Watcher) watch(ctx context.Context, name types.NamespacedName) {
	record := func(s state, value *corev1.Secret) {
		if ctx.Err() == nil {
			w.set(name, s, value)
		}
	}
	backoff := retry
	cache.NewReflectorWithOptions(w.listWatch(name, record), &corev1.Secret{}, &store{name, record}, cache.ReflectorOptions{
		Name: "secretwatch", Backoff: &backoff,
	}).RunWithContext(ctx)
}

// listWatch asks for one Secret by its name, which a Role with resourceNames
// allows too (Kubernetes, "Using RBAC Authorization").
func (w *Watcher) listWatch(name types.NamespacedName, record record) *cache.ListWatch {
	secrets := w.secrets.Secrets(name.Namespace)
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ask context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := secrets.List(ask, options)
			judge(err, record)
			return list, err
		},
		WatchFuncWithContext: func(ask context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector, options.TimeoutSeconds = selector, new(watchFor())
			events, err := secrets.Watch(ask, options)
			judge(err, record)
			return events, err
		},
	}
}

// judge takes a Secret away that may no longer be read. Other errors pass: an
// API server that is away has withdrawn nothing.
func judge(err error, record record) {
	if apierrors.IsForbidden(err) {
		record(forbidden, nil)
	}
}

// record takes what is known of a Secret now.
type record func(state, *corev1.Secret)

// store is where a reflector puts what it hears of one Secret.
type store struct {
	name   types.NamespacedName
	record record
}

var _ cache.ReflectorStore = (*store)(nil)

func (s *store) put(object any) error {
	if value, ok := object.(*corev1.Secret); ok && client.ObjectKeyFromObject(value) == s.name {
		s.record(known, value)
	}
	return nil
}

// Add records the Secret.
func (s *store) Add(object any) error { return s.put(object) }

// Update records the Secret.
func (s *store) Update(object any) error { return s.put(object) }

// Delete records that there is none.
func (s *store) Delete(any) error {
	s.record(known, nil)
	return nil
}

// Replace records the answer to a list.
func (s *store) Replace(objects []any, _ string) error {
	for _, object := range objects {
		if value, ok := object.(*corev1.Secret); ok && client.ObjectKeyFromObject(value) == s.name {
			return s.put(object)
		}
	}
	return s.Delete(nil)
}

// Resync has nothing to do.
func (s *store) Resync() error { return nil }

// Events calls back until ctx ends, with a metadata object for each Secret that
// changed, in the form that sources of controller-runtime take:
//
//	source.Func(func(ctx context.Context, queue workqueue) error {
//		watcher.Events(ctx, func(e event.GenericEvent) { queue.Add(...) })
//		return nil
//	})
//
// f must not block.
func (w *Watcher) Events(ctx context.Context, f func(event.GenericEvent)) {
	cancel := w.Subscribe(func(name types.NamespacedName) {
		f(event.GenericEvent{Object: &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		}})
	})
	context.AfterFunc(ctx, cancel)
}
