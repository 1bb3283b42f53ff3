// Package secretwatch reads the Secrets that are referred to, and no other; see
// package follow.
package secretwatch

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sallyport-dev/sallyport/controllers/follow"
)

// Grant names what a platform team binds so that Secrets of a namespace, and
// ConfigMaps with schemas, can be read. It stands in messages alone.
type Grant struct {
	Role    string               // a ClusterRole
	Account types.NamespacedName // the manager's service account
}

// Watcher watches Secrets. It is a Runnable for a manager, and runs in every
// replica. It is safe for concurrent use.
type Watcher struct {
	*follow.Watcher[*corev1.Secret, Secret]
	grant Grant
}

// watchFor is how long one watch lasts, in seconds; nil: as usual.
var watchFor func() int64

// New returns a Watcher that watches nothing yet.
func New(secrets corev1client.SecretsGetter, grant Grant) *Watcher {
	return &Watcher{grant: grant, Watcher: follow.New(follow.Source[*corev1.Secret, Secret]{
		Example: &corev1.Secret{},
		List: func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
			return secrets.Secrets(namespace).List(ctx, options)
		},
		Watch: func(ctx context.Context, namespace string, options metav1.ListOptions) (watch.Interface, error) {
			return secrets.Secrets(namespace).Watch(ctx, options)
		},
		Read: read, Equal: equal, WatchFor: watchFor,
	})}
}

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
