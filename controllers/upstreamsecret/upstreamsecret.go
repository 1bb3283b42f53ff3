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
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// Minter tells why the last attempt to mint a token failed; nil: it did not.
// [minter.Minter] does.
type Minter interface {
	Source() sourcekey.Reader
	Trouble(types.NamespacedName) *mint.Failure
	Subscribe(func(types.NamespacedName)) (cancel func())
}

// Reconciler writes the status of UpstreamSecrets. It runs in the leader.
type Reconciler struct {
	Client  client.Client
	Secrets *secretwatch.Watcher
	Schemas *schemas.Watcher
	Source  sourcekey.Reader
	Keys    *tokenkey.Ring
	Minter  Minter
	Records *record.Writer
	InForce *record.Store
	Events  events.EventRecorder
}

// Reconcile judges up and records what it accepts. The broker serves the
// record.
func (r *Reconciler) Reconcile(ctx context.Context, up *v1alpha1.UpstreamSecret) (ctrl.Result, error) {
	if !up.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the broker has withdrawn it already
	}
	before := up.DeepCopy()
	o, err := r.judge(ctx, up)
	if errors.Is(err, schemas.ErrPending) {
		return ctrl.Result{}, nil // its watch has us look again
	}
	if err != nil {
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
	return ctrl.Result{RequeueAfter: untilEnd(&o, r.Source.Time())}, err
}

// untilEnd is when to look again, since time alone ends a key; 0: no need.
func untilEnd(o *observation, now time.Time) time.Duration {
	if o.key.Expires.IsZero() {
		return 0
	}
	return max(o.key.Expires.Sub(now), time.Second)
}

// judge compiles up, and records it or reads what stays in force.
func (r *Reconciler) judge(ctx context.Context, up *v1alpha1.UpstreamSecret) (o observation, err error) {
	r.Schemas.Refer(pending(client.ObjectKeyFromObject(up)), schemas.Names(up)...)
	err = r.compile(up)
	switch {
	case errors.As(err, &o.refused):
		err = r.gatherRefused(ctx, up, &o)
	case err != nil:
		err = fmt.Errorf("compiling: %w", err)
	default:
		err = r.accept(ctx, up, &o)
	}
	return o, err
}

// compile judges up with the schemas that it names.
func (r *Reconciler) compile(up *v1alpha1.UpstreamSecret) error {
	c, _, err := r.Schemas.For(up)
	if err != nil {
		return err
	}
	return c.Upstream(up)
}

// follow has the Secrets and the schemas watched that up and what is in force
// of it name.
func (r *Reconciler) follow(up, inForce *v1alpha1.UpstreamSecret) {
	who := owner(client.ObjectKeyFromObject(up))
	r.Secrets.Refer(who, append(r.Source.Names(up), r.Source.Names(inForce)...)...)
	r.Schemas.Refer(who, schemas.Names(up, inForce)...)
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
	if err != nil || o.inForce == nil {
		return err
	}
	// What another release accepted may be more than this one enforces, and a
	// schema may have gone.
	r.follow(up, o.inForce)
	if err := r.compile(o.inForce); errors.Is(err, schemas.ErrPending) {
		return err
	} else if err != nil {
		o.inForce = nil
	}
	return nil
}

// gather reads the Secrets and the consumers.
func (r *Reconciler) gather(ctx context.Context, up *v1alpha1.UpstreamSecret, o *observation) error {
	r.follow(up, o.inForce)
	o.key, o.secret = r.resolve(up)
	if o.secret == nil && o.inForce != nil && mint.Is(&o.inForce.Spec.Source) {
		o.key, o.secret = r.Source.Key(o.inForce)
		o.trouble = r.Minter.Trouble(client.ObjectKeyFromObject(up))
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

// resolve returns the key that up names, or says why it cannot be read or used.
// What is minted is none of these.
func (r *Reconciler) resolve(up *v1alpha1.UpstreamSecret) (sourcekey.Key, error) {
	if !mint.Is(&up.Spec.Source) {
		return r.Source.Key(up)
	}
	job, err := r.Source.Job(up)
	if err != nil {
		return sourcekey.Key{}, err
	}
	if err := job.Check(); err != nil {
		return sourcekey.Key{}, fmt.Errorf("%w: %w", secretwatch.ErrInvalid, err)
	}
	return sourcekey.Key{}, nil
}

// version tells versions of the key apart that is in use: the one of what is in
// force.
func (r *Reconciler) version(o *observation) error {
	if o.inForce == nil {
		return nil
	}
	value, err := r.Source.Basis(o.inForce)
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
	o.version = keys.SecretVersion(string(o.inForce.UID), value)
	return nil
}

func owner(name types.NamespacedName) string { return "upstreamsecret/" + name.String() }

// pending is who refers to the schemas of the newest version, which may not be
// in force.
func pending(name types.NamespacedName) string { return "newest " + owner(name) }
