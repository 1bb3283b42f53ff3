package record

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Metadata is the object to watch records by.
func Metadata() *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	return meta
}

// Requests has the objects of a kind looked at again whose records change, so
// that one that is lost is written anew.
func Requests(kind Kind) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		r, err := DecodeMeta(o)
		if err != nil || r.Kind != kind {
			return nil
		}
		return []reconcile.Request{{NamespacedName: r.Object}}
	})
}

// Generations returns a function that tells the accepted generation of the object
// with a UID; 0: none, or not known. meta reads metadata from a cache that selects
// [LabelKind] in namespace, until ctx ends.
func Generations(ctx context.Context, meta client.Reader, namespace string) func(types.UID) int64 {
	return func(uid types.UID) int64 {
		found := Metadata()
		if err := meta.Get(ctx, types.NamespacedName{Namespace: namespace, Name: Name(uid)}, found); err != nil {
			return 0
		}
		r, err := DecodeMeta(found)
		if err != nil || r.UID != uid {
			return 0
		}
		return r.Generation
	}
}
