// Package upstreamsecret says of each UpstreamSecret whether it can be served,
// and keeps what was accepted of it.
package upstreamsecret

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
)

// Reconciler writes the status of UpstreamSecrets. It runs in the leader.
type Reconciler struct {
	Client  client.Client
	Secrets *secretwatch.Watcher
	Keys    *tokenkey.Ring
	Records *record.Writer
	InForce *record.Store
	Events  events.EventRecorder
	Now     func() time.Time
}

// Reconcile judges up and records what it accepts. The broker serves the
// record.
func (r *Reconciler) Reconcile(ctx context.Context, up *v1alpha1.UpstreamSecret) (ctrl.Result, error) {
	if !up.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the broker has withdrawn it already
	}
	before := up.DeepCopy()
	var o observation
	if err := compile.Upstream(up); errors.As(err, &o.refused) {
		if err := r.gatherRefused(ctx, up, &o); err != nil {
			return ctrl.Result{}, err
		}
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("compiling: %w", err)
	} else if err := r.accept(ctx, up, &o); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.gather(ctx, up, &o); err != nil {
		return ctrl.Result{}, err
	}
	decide(up, o)
	wrote, err := condition.Patch(ctx, r.Client, before, up)
	if wrote {
		condition.Announce(r.Events, up, before.Status.Conditions, up.Status.Conditions)
	}
	return ctrl.Result{RequeueAfter: r.untilEnd(o)}, err
}

// untilEnd is when to look again, since time alone ends a key; 0: no need.
func (r *Reconciler) untilEnd(o observation) time.Duration {
	if o.ends.IsZero() {
		return 0
	}
	return max(o.ends.Sub(r.Now()), time.Second)
}

// accept records up, which compiles.
func (r *Reconciler) accept(ctx context.Context, up *v1alpha1.UpstreamSecret, o *observation) error {
	if _, err := r.Records.Accept(ctx, record.UpstreamSecret, up, &up.Spec); err != nil {
		return err
	}
	o.inForce = up
	return nil
}

// gatherRefused reads what stays in force of up.
func (r *Reconciler) gatherRefused(ctx context.Context, up *v1alpha1.UpstreamSecret, o *observation) (err error) {
	o.inForce, err = r.InForce.UpstreamSecret(ctx, up)
	if errors.Is(err, record.ErrNone) || errors.Is(err, record.ErrInvalid) {
		o.inForce, err = nil, nil
	}
	// What another release accepted may be more than this one enforces.
	if err == nil && o.inForce != nil && compile.Upstream(o.inForce) != nil {
		o.inForce = nil
	}
	return err
}

// gather reads the Secrets and the consumers.
func (r *Reconciler) gather(ctx context.Context, up *v1alpha1.UpstreamSecret, o *observation) error {
	r.Secrets.Refer(owner(client.ObjectKeyFromObject(up)), secretwatch.Names(up, o.inForce)...)
	if len(material.References(up)) > 0 {
		var key material.Key
		key, o.secret = r.Secrets.Key(up, r.Now())
		o.ends = key.Ends
	}
	if err := r.version(o); err != nil {
		return err
	}
	var users v1alpha1.ScopedCredentialList
	if err := r.Client.List(ctx, &users, client.MatchingFields{IndexUpstream: client.ObjectKeyFromObject(up).String()}); err != nil {
		return fmt.Errorf("listing consumers: %w", err)
	}
	for i := range users.Items {
		if compile.MayConsume(up, users.Items[i].Namespace) && o.consumers < math.MaxInt32 {
			o.consumers++
		}
	}
	return nil
}

// version tells versions of the key apart that is in use: the one of what is in
// force.
func (r *Reconciler) version(o *observation) error {
	if o.inForce == nil {
		return nil
	}
	key, err := r.Secrets.Key(o.inForce, r.Now())
	if err != nil {
		return nil //nolint:nilerr // no key, no version: the conditions say why
	}
	keys, err := r.Keys.Keys()
	if errors.Is(err, tokenkey.ErrMissing) {
		o.keyless = true
		return nil
	}
	if err != nil {
		return err
	}
	o.version = keys.SecretVersion(string(o.inForce.UID), key.Value)
	return nil
}

func owner(name types.NamespacedName) string { return "upstreamsecret/" + name.String() }
