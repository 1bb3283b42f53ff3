package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// holding is what a pod gets of one credential that it asks for: an offer that
// is served, or the reason why there is none. The zero holding serves nothing.
type holding struct {
	name  types.NamespacedName
	offer *offer // nil: nothing is served

	reason scope.Reason
	detail string // for the pod's condition

	since time.Time // when this replica saw the change that made it so; zero: not known
}

func (h *holding) served() bool { return h.offer != nil }

// withdrawn is why nothing is served, as an error.
type withdrawn struct {
	reason scope.Reason
	detail string
}

func (w *withdrawn) Error() string { return w.detail }

func withdraw(reason scope.Reason, format string, args ...any) error {
	return &withdrawn{reason, fmt.Sprintf(format, args...)}
}

// judge decides what pod gets of the credential called name. The error is about
// what cannot be known now; then whatever was served before goes on.
func (b *Broker) judge(d *dependencies, pod *corev1.Pod, name string) (holding, error) {
	h := holding{name: types.NamespacedName{Namespace: pod.Namespace, Name: name}}
	d.on(kindOffer, h.name)
	o := b.offers.of(h.name)
	if o != nil {
		h.since = o.since
	}
	err := o.to(account(pod), b.now())
	if err == nil {
		err = plaintext(o.document.Endpoints, pod)
	}
	var w *withdrawn
	switch {
	case errors.As(err, &w):
		h.reason, h.detail = w.reason, w.detail
		return h, nil
	case err != nil:
		h.reason, h.detail = scope.NotReady, "not known yet"
		return h, err
	}
	h.offer = o
	return h, nil
}

// offer judges the credential called name, as [offers] has it.
func (b *Broker) offer(ctx context.Context, d *dependencies, name types.NamespacedName, narrow func(*v1alpha1.ScopedCredential, error)) *offer {
	o := &offer{}
	if err := b.fill(ctx, d, name, o, narrow); err != nil {
		o.withdraw(err)
	}
	return o
}

// fill reads what o needs.
func (b *Broker) fill(ctx context.Context, d *dependencies, name types.NamespacedName, o *offer, narrow func(*v1alpha1.ScopedCredential, error)) (err error) {
	if o.live, err = b.credential(ctx, d, name); err != nil {
		return err
	}
	up, missing := b.shared(ctx, d, o.live)
	narrow(o.live, missing)
	o.accepted, err = b.records.ScopedCredential(ctx, o.live)
	if err := unaccepted(err, "ScopedCredential", name); err != nil {
		return err
	}
	if missing != nil {
		return missing
	}
	if up, err = b.inForce(ctx, up, o.live.Namespace); err != nil {
		return err
	}
	for _, name := range schemas.Names(up) {
		d.on(kindSchema, name)
	}
	compiler, versions, err := b.schemas.For(up)
	if err != nil {
		return err // pending: whatever was served before goes on
	}
	o.document, err = b.documents.compile(compiler, versions, o.accepted, up)
	if err != nil {
		return withdraw(scope.NotReady, "its accepted scope does not fit UpstreamSecret %s/%s any more: see its condition %s", up.Namespace, up.Name, v1alpha1.ConditionAccepted)
	}
	o.lifetime = compile.Lifetime(o.accepted)
	o.document.ExpiresAt = sooner(o.live.Spec.ExpiresAt, o.accepted.Spec.ExpiresAt)
	return b.fillSecret(d, up, &o.document)
}

// credential returns the live ScopedCredential.
func (b *Broker) credential(ctx context.Context, d *dependencies, name types.NamespacedName) (*v1alpha1.ScopedCredential, error) {
	live := &v1alpha1.ScopedCredential{}
	d.on(kindCredential, name)
	err := b.client.Get(ctx, name, live)
	if apierrors.IsNotFound(err) || (err == nil && live.DeletionTimestamp != nil) {
		return nil, withdraw(scope.Revoked, "there is no ScopedCredential %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ScopedCredential %s: %w", name, err)
	}
	d.onRecord(live.UID)
	return live, nil
}

// shared returns the UpstreamSecret of sc. One that is not shared with the
// namespace is as good as missing.
func (b *Broker) shared(ctx context.Context, d *dependencies, sc *v1alpha1.ScopedCredential) (*v1alpha1.UpstreamSecret, error) {
	name := types.NamespacedName{Namespace: sc.Spec.Upstream.Namespace, Name: sc.Spec.Upstream.Name}
	if name.Namespace == "" {
		name.Namespace = sc.Namespace
	}
	live := &v1alpha1.UpstreamSecret{}
	d.on(kindUpstream, name)
	err := b.client.Get(ctx, name, live)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading UpstreamSecret %s: %w", name, err)
	}
	if err != nil || live.DeletionTimestamp != nil || !compile.MayConsume(live, sc.Namespace) {
		return nil, notShared(name)
	}
	d.onRecord(live.UID)
	return live, nil
}

// inForce returns what was accepted of live, for a consumer in namespace.
func (b *Broker) inForce(ctx context.Context, live *v1alpha1.UpstreamSecret, namespace string) (*v1alpha1.UpstreamSecret, error) {
	name := client.ObjectKeyFromObject(live)
	accepted, err := b.records.UpstreamSecret(ctx, live)
	if err := unaccepted(err, "UpstreamSecret", name); err != nil {
		return nil, err
	}
	if !compile.MayConsume(accepted, namespace) {
		return nil, notShared(name)
	}
	b.refer(live, accepted)
	return accepted, nil
}

func notShared(up types.NamespacedName) error {
	return withdraw(scope.Revoked, "%s", compile.UpstreamNotFound(up.Namespace, up.Name))
}

// fillSecret puts the key of the upstream into c.
func (b *Broker) fillSecret(d *dependencies, up *v1alpha1.UpstreamSecret, c *bundle.Credential) error {
	for _, name := range b.source.Names(up) {
		d.on(kindSecret, name)
	}
	key, err := b.source.Key(up)
	switch {
	case errors.Is(err, secretwatch.ErrPending):
		return err
	case errors.Is(err, sourcekey.ErrUnminted):
		return withdraw(scope.NotReady, "no token of UpstreamSecret %s/%s is good now: see its condition %s", up.Namespace, up.Name, v1alpha1.ConditionResolvedRefs)
	case err != nil:
		// The words are for the owner of the Secret, who reads them in the
		// conditions of the UpstreamSecret.
		return withdraw(scope.NotReady, "the key of UpstreamSecret %s/%s cannot be read: see its condition %s", up.Namespace, up.Name, v1alpha1.ConditionResolvedRefs)
	}
	d.on(kindSecret, b.keys.Secret())
	keys, err := b.keys.Keys()
	if err != nil {
		return fmt.Errorf("reading token keys: %w", err)
	}
	c.Secret, c.SecretVersion, c.SecretExpires = key.Value, keys.SecretVersion(string(up.UID), key.Value), key.Expires
	return nil
}

// refer has the Secrets and schemas of an UpstreamSecret watched, those of both
// versions: the accepted one is used, the newest one may be next.
func (b *Broker) refer(versions ...*v1alpha1.UpstreamSecret) {
	var names []types.NamespacedName
	for _, up := range versions {
		names = append(names, b.source.Names(up)...)
	}
	who := owner(versions[0].Namespace, versions[0].Name)
	b.secrets.Refer(who, names...)
	b.schemas.Refer(who, schemas.Names(versions...)...)
}

func owner(namespace, name string) string { return "broker/" + namespace + "/" + name }

// holds says why account may not hold sc at now.
func holds(sc *v1alpha1.ScopedCredential, account string, now time.Time) error {
	switch {
	case !slices.Contains(sc.Spec.Holders.ServiceAccounts, account):
		return withdraw(scope.Revoked, "service account %s is no holder: add it to spec.holders.serviceAccounts", account)
	case sc.Spec.Suspend:
		return withdraw(scope.Suspended, "it is suspended")
	case sc.Spec.ExpiresAt != nil && !now.Before(sc.Spec.ExpiresAt.Time):
		return withdraw(scope.Expired, "it has expired")
	}
	return nil
}

// unaccepted tells what was never accepted, which serves nothing, from what
// could not be read, which changes nothing.
func unaccepted(err error, kind string, name types.NamespacedName) error {
	if errors.Is(err, record.ErrNone) || errors.Is(err, record.ErrInvalid) {
		return withdraw(scope.NotReady, "%s %s is not accepted: see its condition %s", kind, name, v1alpha1.ConditionAccepted)
	}
	return err
}

func account(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName == "" {
		return "default"
	}
	return pod.Spec.ServiceAccountName
}
