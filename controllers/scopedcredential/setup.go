package scopedcredential

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// indexCredentials finds pods by namespace/name of the credentials they ask for.
const indexCredentials = "credentials"

// SetupWithManager registers the reconciler. namespace is the manager's. It
// needs the indexes that [upstreamsecret.SetupWithManager] adds.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespace string, schemata *schemas.Watcher) error {
	c := mgr.GetClient()
	r := &Reconciler{
		Client:  c,
		Records: &record.Writer{Client: c, Meta: c, Namespace: namespace},
		InForce: &record.Store{Meta: c, Bodies: mgr.GetAPIReader(), Namespace: namespace},
		Events:  mgr.GetEventRecorder("sallyport"),
		Schemas: schemata,
		Now:     time.Now,
	}
	err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, indexCredentials, func(o client.Object) []string {
		var keys []string
		for _, name := range asked(o) {
			keys = append(keys, name.String())
		}
		return keys
	})
	if err != nil {
		return fmt.Errorf("indexing pods: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("scopedcredential").
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		For(&v1alpha1.ScopedCredential{}).
		Watches(&v1alpha1.UpstreamSecret{}, handler.EnqueueRequestsFromMapFunc(r.consumers)).
		Watches(&corev1.Pod{}, pods()).
		WatchesMetadata(record.Metadata(), record.Requests(record.ScopedCredential)).
		WatchesMetadata(record.Metadata(), handler.EnqueueRequestsFromMapFunc(r.consumersOfRecord)).
		WatchesRawSource(upstreamsecret.Schemas(c, schemata, func(queue workqueue.TypedRateLimitingInterface[reconcile.Request], up *v1alpha1.UpstreamSecret) {
			for _, request := range r.using(ctx, client.ObjectKeyFromObject(up)) {
				queue.Add(request)
			}
		})).
		Complete(reconcile.AsReconciler(c, r))
}

// atOnce is how many credentials are judged at once: none waits for the API
// server to store the status of another one.
const atOnce = 4

// podsSettle is how long news of pods are collected before the credential that
// they ask for is looked at again. After an edit there is one for each sidecar,
// and what is made of them are counts.
const podsSettle = 500 * time.Millisecond

// pods has the credentials that a pod asks for looked at again, by and by. An
// edit does not wait for that.
func pods() handler.EventHandler {
	later := func(queue workqueue.TypedRateLimitingInterface[reconcile.Request], pods ...client.Object) {
		for _, pod := range pods {
			for _, request := range requests(asked(pod)) {
				addLater(queue, request)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(q, e.Object)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(q, e.ObjectOld, e.ObjectNew) // it may ask no more
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(q, e.Object)
		},
	}
}

// addLater adds what comes after everything else that is due.
func addLater(queue workqueue.TypedRateLimitingInterface[reconcile.Request], request reconcile.Request) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{After: podsSettle, Priority: new(handler.LowPriority)}, request)
		return
	}
	queue.AddAfter(request, podsSettle)
}

// asked are the credentials that a pod asks for. An annotation that cannot be
// read asks for none: its pod was never injected.
func asked(pod client.Object) []types.NamespacedName {
	a, err := inject.ParseAnnotations(pod.GetAnnotations())
	if err != nil {
		return nil
	}
	names := make([]types.NamespacedName, 0, len(a.Credentials))
	for _, name := range a.Credentials {
		names = append(names, types.NamespacedName{Namespace: pod.GetNamespace(), Name: name})
	}
	return names
}

// consumers has those looked at again that name an UpstreamSecret, wherever they
// are: the one that is missed may have come.
func (r *Reconciler) consumers(ctx context.Context, up client.Object) []reconcile.Request {
	return r.using(ctx, client.ObjectKeyFromObject(up))
}

// consumersOfRecord does so for an UpstreamSecret that was accepted.
func (r *Reconciler) consumersOfRecord(ctx context.Context, o client.Object) []reconcile.Request {
	if accepted, err := record.DecodeMeta(o); err == nil && accepted.Kind == record.UpstreamSecret {
		return r.using(ctx, accepted.Object)
	}
	return nil
}

func (r *Reconciler) using(ctx context.Context, up types.NamespacedName) []reconcile.Request {
	var list v1alpha1.ScopedCredentialList
	if err := r.Client.List(ctx, &list, client.MatchingFields{upstreamsecret.IndexUpstream: up.String()}); err != nil {
		log.FromContext(ctx).Error(err, "listing ScopedCredentials", "upstream", up)
		return nil
	}
	names := make([]types.NamespacedName, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, client.ObjectKeyFromObject(&list.Items[i]))
	}
	return requests(names)
}

func requests(names []types.NamespacedName) []reconcile.Request {
	all := make([]reconcile.Request, 0, len(names))
	for _, name := range names {
		all = append(all, reconcile.Request{NamespacedName: name})
	}
	return all
}
