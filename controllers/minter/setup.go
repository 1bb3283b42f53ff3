package minter

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
)

// indexSecret finds UpstreamSecrets by namespace/name of the Secrets that their
// tokens are minted from, and of that which holds them.
const indexSecret = "minted-from"

// atOnce is how many token endpoints are asked at a time: one that is slow must
// not keep the others waiting.
const atOnce = 8

// indexSchema finds them by the ConfigMaps of their schemas.
const indexSchema = "minted-with"

// subscribed tells of changes.
type subscribed interface {
	Subscribe(func(types.NamespacedName)) (cancel func())
}

// SetupWithManager registers m with the leader.
func (m *Minter) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	for index, names := range map[string]func(*v1alpha1.UpstreamSecret) []types.NamespacedName{
		indexSecret: m.source.Names,
		indexSchema: func(up *v1alpha1.UpstreamSecret) []types.NamespacedName { return schemas.Names(up) },
	} {
		err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.UpstreamSecret{}, index, func(o client.Object) (found []string) {
			if up, ok := o.(*v1alpha1.UpstreamSecret); ok {
				for _, name := range names(up) {
					found = append(found, name.String())
				}
			}
			return found
		})
		if err != nil {
			return fmt.Errorf("indexing UpstreamSecrets: %w", err)
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("minter").
		For(&v1alpha1.UpstreamSecret{}).
		Watches(&v1alpha1.ScopedCredential{}, ofCredentials()).
		WatchesMetadata(record.Metadata(), m.ofRecords()).
		WatchesRawSource(m.changes(indexSecret, m.watched)).
		WatchesRawSource(m.changes(indexSchema, m.schemas)).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(m.forgetting(reconcile.AsReconciler(m.client, m)))
}

// forgetting ends what is known of an UpstreamSecret that is gone. Its Secret is
// swept away.
func (m *Minter) forgetting(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		if err := m.client.Get(ctx, req.NamespacedName, &v1alpha1.UpstreamSecret{}); apierrors.IsNotFound(err) {
			m.forget(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		return next.Reconcile(ctx, req)
	})
}

// changes is the source of changes of what is watched, of which index finds the
// UpstreamSecrets.
func (m *Minter) changes(index string, watched subscribed) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		cancel := watched.Subscribe(func(name types.NamespacedName) {
			var list v1alpha1.UpstreamSecretList
			if err := m.client.List(ctx, &list, client.MatchingFields{index: name.String()}); err != nil {
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
