package upstreamsecret

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
)

// Indexes of the cache.
const (
	// IndexUpstream finds ScopedCredentials by namespace/name of the
	// UpstreamSecret that they name.
	IndexUpstream = "upstream"
	// IndexSchema finds UpstreamSecrets by namespace/name of the ConfigMaps that
	// hold their schemas.
	IndexSchema = "schema"
	indexSecret = "secret"
)

// Upstream is the UpstreamSecret that sc names.
func Upstream(sc *v1alpha1.ScopedCredential) types.NamespacedName {
	name := types.NamespacedName{Namespace: sc.Spec.Upstream.Namespace, Name: sc.Spec.Upstream.Name}
	if name.Namespace == "" {
		name.Namespace = sc.Namespace
	}
	return name
}

// SetupWithManager registers the reconciler, and IndexUpstream for the one of
// ScopedCredentials. namespace is the manager's.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespace string, secrets *secretwatch.Watcher, schemata *schemas.Watcher, keys *tokenkey.Ring, minter Minter) error {
	c := mgr.GetClient()
	r := &Reconciler{
		Client: c, Secrets: secrets, Schemas: schemata, Keys: keys, Minter: minter, Source: minter.Source(),
		Records: &record.Writer{Client: c, Meta: c, Namespace: namespace},
		InForce: &record.Store{Meta: c, Bodies: mgr.GetAPIReader(), Namespace: namespace},
		Events:  mgr.GetEventRecorder("sallyport"),
	}
	if err := r.addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("upstreamsecret").
		For(&v1alpha1.UpstreamSecret{}).
		Watches(&v1alpha1.ScopedCredential{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			sc, ok := o.(*v1alpha1.ScopedCredential)
			if !ok {
				return nil
			}
			return []reconcile.Request{{NamespacedName: Upstream(sc)}}
		})).
		WatchesMetadata(record.Metadata(), record.Requests(record.UpstreamSecret)).
		WatchesRawSource(r.changes()).
		WatchesRawSource(Schemas(c, schemata, func(queue workqueue.TypedRateLimitingInterface[reconcile.Request], up *v1alpha1.UpstreamSecret) {
			queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(up)})
		})).
		WatchesRawSource(r.troubles()).
		Complete(r.forgetting(reconcile.AsReconciler(c, r)))
}

func (r *Reconciler) addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &v1alpha1.ScopedCredential{}, IndexUpstream, func(o client.Object) []string {
		if sc, ok := o.(*v1alpha1.ScopedCredential); ok {
			return []string{Upstream(sc).String()}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("indexing ScopedCredentials: %w", err)
	}
	if err := indexer.IndexField(ctx, &v1alpha1.UpstreamSecret{}, indexSecret, func(o client.Object) (names []string) {
		if up, ok := o.(*v1alpha1.UpstreamSecret); ok {
			for _, name := range r.Source.Names(up) {
				names = append(names, name.String())
			}
		}
		return names
	}); err != nil {
		return fmt.Errorf("indexing UpstreamSecrets: %w", err)
	}
	if err := indexer.IndexField(ctx, &v1alpha1.UpstreamSecret{}, IndexSchema, func(o client.Object) []string {
		var names []string
		if up, ok := o.(*v1alpha1.UpstreamSecret); ok {
			for _, name := range schemas.Names(up) {
				names = append(names, name.String())
			}
		}
		return names
	}); err != nil {
		return fmt.Errorf("indexing UpstreamSecrets: %w", err)
	}
	return nil
}

// Schemas is the source of changes of schemas: add is called with each
// UpstreamSecret that names one that has changed.
func Schemas(c client.Client, w *schemas.Watcher, add func(workqueue.TypedRateLimitingInterface[reconcile.Request], *v1alpha1.UpstreamSecret)) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		cancel := w.Subscribe(func(name types.NamespacedName) {
			var list v1alpha1.UpstreamSecretList
			if err := c.List(ctx, &list, client.MatchingFields{IndexSchema: name.String()}); err != nil {
				return // the cache has stopped, and so have we
			}
			for i := range list.Items {
				add(queue, &list.Items[i])
			}
		})
		context.AfterFunc(ctx, cancel)
		return nil
	})
}

// forgetting ends the watches for an UpstreamSecret that is gone.
func (r *Reconciler) forgetting(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		if err := r.Client.Get(ctx, req.NamespacedName, &v1alpha1.UpstreamSecret{}); apierrors.IsNotFound(err) {
			r.Secrets.Refer(owner(req.NamespacedName))
			r.Schemas.Refer(owner(req.NamespacedName))
			r.Schemas.Refer(pending(req.NamespacedName))
			return reconcile.Result{}, nil
		}
		return next.Reconcile(ctx, req)
	})
}

// changes is the source of changes of Secrets: who names one is looked at
// again; of the manager's own keys, everybody.
func (r *Reconciler) changes() source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		cancel := r.Secrets.Subscribe(func(name types.NamespacedName) {
			var filter []client.ListOption
			if name != r.Keys.Secret() {
				filter = append(filter, client.MatchingFields{indexSecret: name.String()})
			}
			var list v1alpha1.UpstreamSecretList
			if err := r.Client.List(ctx, &list, filter...); err != nil {
				return // the cache has stopped, and so have we
			}
			for i := range list.Items {
				queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
			}
		})
		context.AfterFunc(ctx, cancel)
		return nil
	})
}

// troubles is the source of news about minting.
func (r *Reconciler) troubles() source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		cancel := r.Minter.Subscribe(func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) })
		context.AfterFunc(ctx, cancel)
		return nil
	})
}
