package minter

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/narrow"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// narrow has job ask for no more than the consumers of up need, where that can be
// asked for.
func (m *Minter) narrow(ctx context.Context, up *v1alpha1.UpstreamSecret, job *mint.Job) error {
	app := up.Spec.Source.GitHubApp
	if app == nil {
		return nil
	}
	compiler, schemata, err := m.schemas.For(up)
	if err != nil {
		return err
	}
	consumers, err := m.consumers(ctx, up)
	if err != nil {
		return err
	}
	var all []narrow.Need
	for _, sc := range consumers {
		if need, ok := m.needs.of(compiler, schemata, up, sc); ok {
			all = append(all, need)
		}
	}
	job.Narrow(narrow.To(*app, all))
	return nil
}

// consumers are the ScopedCredentials of up, as they are in force. Those whose time
// is over are served nothing any more.
func (m *Minter) consumers(ctx context.Context, up *v1alpha1.UpstreamSecret) (all []*v1alpha1.ScopedCredential, err error) {
	name := client.ObjectKeyFromObject(up)
	var list v1alpha1.ScopedCredentialList
	if err := m.client.List(ctx, &list, client.MatchingFields{upstreamsecret.IndexUpstream: name.String()}); err != nil {
		return nil, fmt.Errorf("listing consumers of UpstreamSecret %s: %w", name, err)
	}
	for i := range list.Items {
		live := &list.Items[i]
		if live.DeletionTimestamp != nil || !compile.MayConsume(up, live.Namespace) {
			continue
		}
		accepted, err := m.inForce.ScopedCredential(ctx, live)
		switch {
		case errors.Is(err, record.ErrNone), errors.Is(err, record.ErrInvalid):
			continue
		case err != nil:
			return nil, err
		}
		if !m.over(live) && !m.over(accepted) {
			all = append(all, accepted)
		}
	}
	return all, nil
}

// over tells whether the time of sc is.
func (m *Minter) over(sc *v1alpha1.ScopedCredential) bool {
	return sc.Spec.ExpiresAt != nil && !m.source.Time().Before(sc.Spec.ExpiresAt.Time)
}

// needs remembers what was found out. It is safe for concurrent use.
type needs struct {
	mu  sync.Mutex
	all map[needKey]needed
}

// needKey names what a need follows from.
type needKey struct {
	credential, upstream           types.UID
	generation, upstreamGeneration int64
	schemas                        string // versions of those that the upstream names
}

type needed struct {
	need narrow.Need
	ok   bool
}

// maxNeeds bounds what is remembered.
const maxNeeds = 4096

// of returns what sc needs of up; not ok: it does not fit up any more, and is
// served nothing.
func (n *needs) of(c compile.Compiler, schemas string, up *v1alpha1.UpstreamSecret, sc *v1alpha1.ScopedCredential) (narrow.Need, bool) {
	key := needKey{sc.UID, up.UID, sc.Generation, up.Generation, schemas}
	n.mu.Lock()
	found, known := n.all[key]
	n.mu.Unlock()
	if known {
		return found.need, found.ok
	}
	if credential, err := c.Credential(sc, up); err == nil {
		found = needed{narrow.Of(up, &credential), true}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil || len(n.all) >= maxNeeds {
		n.all = map[needKey]needed{}
	}
	n.all[key] = found
	return found.need, found.ok
}

// ofCredentials has the UpstreamSecret looked at again that a ScopedCredential
// names.
func ofCredentials() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		sc, ok := o.(*v1alpha1.ScopedCredential)
		if !ok {
			return nil
		}
		return []reconcile.Request{{NamespacedName: upstreamsecret.Upstream(sc)}}
	})
}

// ofRecords does where a record says what is in force: of an UpstreamSecret, or of
// a ScopedCredential that names one.
func (m *Minter) ofRecords() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		r, err := record.DecodeMeta(o)
		if err != nil {
			return nil
		}
		name := r.Object
		if r.Kind == record.ScopedCredential {
			sc := &v1alpha1.ScopedCredential{}
			if err := m.client.Get(ctx, r.Object, sc); err != nil {
				return nil // it is gone, which is told by itself
			}
			name = upstreamsecret.Upstream(sc)
		}
		return []reconcile.Request{{NamespacedName: name}}
	})
}
