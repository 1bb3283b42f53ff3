package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// holding is what a pod gets of one credential that it asks for: a document to
// serve, or the reason why there is none. The zero holding serves nothing.
type holding struct {
	name types.NamespacedName
	// document lacks token and lease. It is served where reason is empty.
	document bundle.Credential
	lifetime time.Duration // of its tokens

	reason scope.Reason
	detail string // for the pod's condition
}

func (h *holding) served() bool { return h.reason == "" && h.document.UID != "" }

// withdrawn is a holding that serves nothing, as an error.
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
func (b *Broker) judge(ctx context.Context, d *dependencies, pod *corev1.Pod, name string) (holding, error) {
	h := holding{name: types.NamespacedName{Namespace: pod.Namespace, Name: name}}
	err := b.fill(ctx, d, pod, &h)
	var w *withdrawn
	if errors.As(err, &w) {
		return holding{name: h.name, reason: w.reason, detail: w.detail}, nil
	}
	if err != nil {
		return holding{name: h.name, reason: scope.NotReady, detail: "not known yet"}, err
	}
	return h, nil
}

// fill reads what h needs. Withdrawals are looked for in the newest objects
// and in the accepted ones: a refused edit may take away, and may not give
// back.
func (b *Broker) fill(ctx context.Context, d *dependencies, pod *corev1.Pod, h *holding) error {
	now := b.now()
	live, err := b.credential(ctx, d, h.name)
	if err != nil {
		return err
	}
	if err := holds(live, account(pod), now); err != nil {
		return err
	}
	accepted, err := b.records.ScopedCredential(ctx, live)
	if err := unaccepted(err, "ScopedCredential", h.name); err != nil {
		return err
	}
	if err := holds(accepted, account(pod), now); err != nil {
		return err
	}
	up, err := b.upstream(ctx, d, live)
	if err != nil {
		return err
	}
	h.document, err = b.documents.compile(accepted, up)
	if err != nil {
		return withdraw(scope.NotReady, "its accepted scope does not fit UpstreamSecret %s/%s any more: see its condition %s", up.Namespace, up.Name, v1alpha1.ConditionAccepted)
	}
	if err := plaintext(h.document.Endpoints, pod); err != nil {
		return withdraw(scope.Revoked, "%v", err)
	}
	h.lifetime = compile.Lifetime(accepted)
	h.document.ExpiresAt = sooner(live.Spec.ExpiresAt, accepted.Spec.ExpiresAt)
	return b.fillSecret(d, up, &h.document)
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

// upstream returns what is in force of the UpstreamSecret of sc. One that is
// not shared with the namespace is as good as missing.
func (b *Broker) upstream(ctx context.Context, d *dependencies, sc *v1alpha1.ScopedCredential) (*v1alpha1.UpstreamSecret, error) {
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
	missing := withdraw(scope.Revoked, "%s", compile.UpstreamNotFound(name.Namespace, name.Name))
	if err != nil || live.DeletionTimestamp != nil || !compile.MayConsume(live, sc.Namespace) {
		return nil, missing
	}
	d.onRecord(live.UID)
	accepted, err := b.records.UpstreamSecret(ctx, live)
	if err := unaccepted(err, "UpstreamSecret", name); err != nil {
		return nil, err
	}
	if !compile.MayConsume(accepted, sc.Namespace) {
		return nil, missing
	}
	b.refer(live, accepted)
	return accepted, nil
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

// refer has the Secrets of an UpstreamSecret watched, those of both versions:
// the accepted one is used, the newest one may be next.
func (b *Broker) refer(versions ...*v1alpha1.UpstreamSecret) {
	var names []types.NamespacedName
	for _, up := range versions {
		names = append(names, b.source.Names(up)...)
	}
	b.secrets.Refer(owner(versions[0].Namespace, versions[0].Name), names...)
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

// sooner returns the earlier of two ends; nil is never, and so is the zero
// result.
func sooner(a, b *metav1.Time) time.Time {
	switch {
	case a == nil && b == nil:
		return time.Time{}
	case a == nil || (b != nil && b.Before(a)):
		return b.UTC()
	}
	return a.UTC()
}
