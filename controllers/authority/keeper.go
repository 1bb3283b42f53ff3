// Package authority stores what internal/certs decides: the authority that
// webhook and broker are trusted by, the webhook's leaf, and the caBundle of
// the webhook's configuration. The leader writes, every replica reads.
package authority

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/internal/certs"
)

const (
	// SecretName is the Secret that holds the authorities.
	SecretName = "sallyport-ca"
	// WebhookSecret is the Secret that the webhook's replicas mount.
	WebhookSecret = "sallyport-webhook-tls"
	// Webhook names the configuration and the one webhook in it.
	Webhook = "agent.sallyport.dev"

	fieldManager = "sallyport-authority"

	keyCurrentCert = "tls.crt"
	keyCurrentKey  = "tls.key"
	keyNextCert    = "next.crt"
	keyNextKey     = "next.key"
	keyBundle      = "ca.crt"
	keyPast        = "past.crt"
)

// Bounds of the time between two looks: a Secret that was deleted and a
// caBundle that was emptied come back soon.
const (
	lookAgain  = 30 * time.Second
	afterError = 2 * time.Second
)

// Keeper makes the certificates and renews them. It is a Runnable for the
// leader.
type Keeper struct {
	Client    kubernetes.Interface
	Namespace string
	// WebhookNames are the names that the webhook is called by.
	WebhookNames []string
	Now          func() time.Time // nil: time.Now

	webhookEnds atomic.Pointer[time.Time]
}

// WebhookNotAfter is when the webhook's certificate ends that was kept last;
// zero: none was, as in replicas that do not lead.
func (k *Keeper) WebhookNotAfter() time.Time {
	if end := k.webhookEnds.Load(); end != nil {
		return *end
	}
	return time.Time{}
}

// NeedLeaderElection is true: two keepers would take turns at signing.
func (k *Keeper) NeedLeaderElection() bool { return true }

// Start keeps the certificates until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait := lookAgain
		if err := k.Keep(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "keeping certificates")
			wait = afterError
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Keep brings all three objects up to date, in the order in which a crash
// between two of them does no harm: who trusts first, who signs last.
func (k *Keeper) Keep(ctx context.Context) error {
	now := time.Now()
	if k.Now != nil {
		now = k.Now()
	}
	kept, err := k.keepAuthorities(ctx, now)
	if err != nil {
		return err
	}
	if err := k.publish(ctx, kept.Bundle); err != nil {
		return err
	}
	return k.keepLeaf(ctx, kept, now)
}

func (k *Keeper) keepAuthorities(ctx context.Context, now time.Time) (certs.Authorities, error) {
	stored, err := k.read(ctx, SecretName)
	if err != nil {
		return certs.Authorities{}, err
	}
	known := decode(data(stored))
	if stored == nil {
		// Pods that were made before the Secret was lost are still ours. Who wants
		// to disown them deletes both.
		published, err := k.read(ctx, WebhookSecret)
		if err != nil {
			return certs.Authorities{}, err
		}
		known.Bundle = data(published)[keyBundle]
	}
	kept, err := certs.Keep(known, now)
	if err != nil {
		return certs.Authorities{}, err
	}
	return kept, k.write(ctx, SecretName, stored, encode(kept))
}

func (k *Keeper) keepLeaf(ctx context.Context, by certs.Authorities, now time.Time) error {
	stored, err := k.read(ctx, WebhookSecret)
	if err != nil {
		return err
	}
	leaf := certs.Pair{Cert: data(stored)[corev1.TLSCertKey], Key: data(stored)[corev1.TLSPrivateKeyKey]}
	if leaf, err = certs.KeepLeaf(by, leaf, k.WebhookNames, now); err != nil {
		return err
	}
	err = k.write(ctx, WebhookSecret, stored, map[string][]byte{
		corev1.TLSCertKey: leaf.Cert, corev1.TLSPrivateKeyKey: leaf.Key, keyBundle: by.Bundle,
	})
	if err == nil {
		end := notAfter(leaf.Cert)
		k.webhookEnds.Store(&end)
	}
	return err
}

// publish sets caBundle, and nothing else, as a field manager of its own: who
// applies the manifests sees no drift.
func (k *Keeper) publish(ctx context.Context, bundle []byte) error {
	configurations := k.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	live, err := configurations.Get(ctx, Webhook, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // not installed, or being removed: never made here
	}
	if err != nil {
		return fmt.Errorf("reading webhook configuration %s: %w", Webhook, err)
	}
	if len(live.Webhooks) == 1 && bytes.Equal(live.Webhooks[0].ClientConfig.CABundle, bundle) {
		return nil
	}
	apply := admissionac.MutatingWebhookConfiguration(Webhook).WithUID(live.UID).WithWebhooks(
		admissionac.MutatingWebhook().WithName(Webhook).WithClientConfig(
			admissionac.WebhookClientConfig().WithCABundle(bundle...)))
	if _, err := configurations.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("publishing the authority in webhook configuration %s: %w", Webhook, err)
	}
	return nil
}

// read returns the Secret, or nil where there is none.
func (k *Keeper) read(ctx context.Context, name string) (*corev1.Secret, error) {
	s, err := k.Client.CoreV1().Secrets(k.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", k.Namespace, name, err)
	}
	return s, nil
}

// write stores data where it is not what is stored. The write names the
// version that was read, so that a leader that was replaced changes nothing.
func (k *Keeper) write(ctx context.Context, name string, stored *corev1.Secret, want map[string][]byte) error {
	if sameData(data(stored), want) {
		return nil
	}
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	var err error
	if stored == nil {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: name}, Data: want,
		}, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		stored = stored.DeepCopy()
		stored.Data = want
		_, err = secrets.Update(ctx, stored, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s/%s: %w", k.Namespace, name, err)
	}
	return nil
}

// data is what s holds; of none, nothing.
func data(s *corev1.Secret) map[string][]byte {
	if s == nil {
		return nil
	}
	return s.Data
}

func sameData(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		if w, ok := b[name]; !ok || !bytes.Equal(v, w) {
			return false
		}
	}
	return true
}

func decode(data map[string][]byte) certs.Authorities {
	return certs.Authorities{
		Current: certs.Pair{Cert: data[keyCurrentCert], Key: data[keyCurrentKey]},
		Next:    certs.Pair{Cert: data[keyNextCert], Key: data[keyNextKey]},
		Bundle:  data[keyBundle],
		Past:    data[keyPast],
	}
}

func encode(a certs.Authorities) map[string][]byte {
	data := map[string][]byte{keyCurrentCert: a.Current.Cert, keyCurrentKey: a.Current.Key, keyBundle: a.Bundle}
	if len(a.Next.Cert) > 0 {
		data[keyNextCert], data[keyNextKey] = a.Next.Cert, a.Next.Key
	}
	if len(a.Past) > 0 {
		data[keyPast] = a.Past
	}
	return data
}
