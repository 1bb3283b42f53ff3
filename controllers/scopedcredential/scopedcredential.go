// Package scopedcredential says of each ScopedCredential whether it is accepted
// and where it is enforced, and keeps what was accepted of it.
package scopedcredential

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// Reconciler writes the status of ScopedCredentials. It runs in the leader.
type Reconciler struct {
	Client  client.Client
	Records *record.Writer
	InForce *record.Store
	Schemas *schemas.Watcher
	Events  events.EventRecorder
	Now     func() time.Time
}

// Reconcile judges sc and records what it accepts. The broker serves the
// record. A refusal is no error: condition and event tell its author, only an
// edit can help, and the end of what is in force must be looked for all the
// same.
func (r *Reconciler) Reconcile(ctx context.Context, sc *v1alpha1.ScopedCredential) (ctrl.Result, error) {
	if !sc.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the broker has withdrawn it already
	}
	before := sc.DeepCopy()
	o, err := r.gather(ctx, sc)
	if errors.Is(err, schemas.ErrPending) {
		return ctrl.Result{}, nil // its watch has us look again
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	judge(sc, &o)
	if o.refused == nil {
		if _, err := r.Records.Accept(ctx, record.ScopedCredential, sc, &sc.Spec); err != nil {
			return ctrl.Result{}, err
		}
	}
	// Sidecars are being served by now: whatever is only told comes after.
	o.wider = widened(sc, &o)
	announceWider(r.Events, sc, o) // from now on this generation is the one before
	if err := r.asking(ctx, sc, &o); err != nil {
		return ctrl.Result{}, err
	}
	now := r.Now()
	decide(sc, o, now)
	wrote, err := condition.Patch(ctx, r.Client, before, sc)
	if wrote {
		condition.Announce(r.Events, sc, before.Status.Conditions, sc.Status.Conditions)
	}
	return ctrl.Result{RequeueAfter: untilExpiry(sc, o, now)}, err
}

// gather reads what sc is judged by.
func (r *Reconciler) gather(ctx context.Context, sc *v1alpha1.ScopedCredential) (observation, error) {
	var o observation
	if err := r.upstream(ctx, sc, &o); err != nil {
		return o, err
	}
	previous, err := r.InForce.ScopedCredential(ctx, sc)
	switch {
	case err == nil:
		o.previous = previous
	case !errors.Is(err, record.ErrNone) && !errors.Is(err, record.ErrInvalid):
		return o, err
	}
	return o, nil
}

// asking reads the pods that ask for sc. They are many, and not copied: nobody
// writes to them.
func (r *Reconciler) asking(ctx context.Context, sc *v1alpha1.ScopedCredential, o *observation) error {
	var pods corev1.PodList
	key := client.ObjectKeyFromObject(sc).String()
	err := r.Client.List(ctx, &pods, client.InNamespace(sc.Namespace), client.MatchingFields{indexCredentials: key}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	o.pods = pods.Items
	return nil
}

// upstream reads the UpstreamSecret and what is in force of it. One that is not
// shared with us is as good as missing; so says the newest version, since
// taking away never waits.
func (r *Reconciler) upstream(ctx context.Context, sc *v1alpha1.ScopedCredential, o *observation) error {
	live := &v1alpha1.UpstreamSecret{}
	err := r.Client.Get(ctx, upstreamsecret.Upstream(sc), live)
	if apierrors.IsNotFound(err) || (err == nil && (live.DeletionTimestamp != nil || !compile.MayConsume(live, sc.Namespace))) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading upstream: %w", err)
	}
	accepted, err := r.InForce.UpstreamSecret(ctx, live)
	if errors.Is(err, record.ErrNone) || errors.Is(err, record.ErrInvalid) {
		accepted, err = live, nil // its own reconciler is about to judge it, or has refused it
	}
	if err != nil {
		return fmt.Errorf("reading upstream: %w", err)
	}
	o.upstream, o.upstreamConditions = accepted, live.Status.Conditions
	// The reconciler of UpstreamSecrets has them watched.
	if o.compiler, _, err = r.Schemas.For(accepted); err != nil {
		return fmt.Errorf("reading upstream: %w", err)
	}
	return nil
}
