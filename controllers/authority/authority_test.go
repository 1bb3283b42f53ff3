package authority

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const (
	namespace = "sallyport-system"
	name      = "sallyport-webhook.sallyport-system.svc"
)

// TestKeepMakesAllThenNothing shows that a first look makes everything fit
// together and a second look writes nothing.
func TestKeepMakesAllThenNothing(t *testing.T) {
	client := fake.NewClientset(&admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: Webhook, UID: "1"},
		Webhooks:   []admissionv1.MutatingWebhook{{Name: Webhook}},
	})
	now := time.Now()
	k := &Keeper{Client: client, Namespace: namespace, WebhookNames: []string{name}, Now: func() time.Time { return now }}
	if err := k.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	live, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), Webhook, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := client.CoreV1().Secrets(namespace).Get(t.Context(), WebhookSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.Data["tls.crt"], leaf.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(live.Webhooks[0].ClientConfig.CABundle)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
		t.Errorf("caBundle does not trust the webhook's leaf: %v", err)
	}

	client.ClearActions()
	if err := k.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range client.Actions() {
		if a.GetVerb() != "get" {
			t.Errorf("a second look did %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
}

// TestKeepHeals shows that what was deleted, emptied or expired comes back.
func TestKeepHeals(t *testing.T) {
	client := fake.NewClientset(&admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: Webhook}, Webhooks: []admissionv1.MutatingWebhook{{Name: Webhook}},
	})
	now := time.Now()
	k := &Keeper{Client: client, Namespace: namespace, WebhookNames: []string{name}, Now: func() time.Time { return now }}
	for range 3 {
		if err := k.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Secrets(namespace).Get(t.Context(), WebhookSecret, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := client.CoreV1().Secrets(namespace).Delete(t.Context(), WebhookSecret, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(3 * 365 * 24 * time.Hour)
	}
}

func TestNoConfigurationIsMade(t *testing.T) {
	client := fake.NewClientset()
	k := &Keeper{Client: client, Namespace: namespace, WebhookNames: []string{name}}
	if err := k.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("made %d configurations, %v: it must stay removed", len(list.Items), err)
	}
}

// TestLostSecret loses the authority's Secret: sidecars that were told of the
// one that was in it are still ours, since the webhook's Secret tells of it.
// Without both, they are not.
func TestLostSecret(t *testing.T) {
	client := fake.NewClientset()
	k := &Keeper{Client: client, Namespace: namespace, WebhookNames: []string{name}}
	secrets := client.CoreV1().Secrets(namespace)
	known := func() (bundle, past string) {
		t.Helper()
		if err := k.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.Data[keyBundle]), string(s.Data[keyPast])
	}
	lose := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, past := known()
	if past != "" {
		t.Errorf("the first authority has a past:\n%s", past)
	}
	lose(SecretName)
	if second, past := known(); second == first || past != first {
		t.Errorf("the past of the second authority is\n%q, want\n%q", past, first)
	}
	lose(SecretName, WebhookSecret)
	if third, past := known(); third == first || past != "" {
		t.Errorf("what was disowned is remembered:\n%s", past)
	}
}

// TestEndsAreTold compares what is told of the webhook's certificate with the one
// that is stored: that of the leader's last look.
func TestEndsAreTold(t *testing.T) {
	client := fake.NewClientset()
	now := time.Now()
	k := &Keeper{Client: client, Namespace: namespace, WebhookNames: []string{name}, Now: func() time.Time { return now }}
	if end := k.WebhookNotAfter(); !end.IsZero() {
		t.Errorf("a certificate that nobody has made ends at %v", end)
	}
	for range 2 {
		if err := k.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := client.CoreV1().Secrets(namespace).Get(t.Context(), WebhookSecret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
		if err != nil {
			t.Fatal(err)
		}
		if end := k.WebhookNotAfter(); !end.Equal(pair.Leaf.NotAfter) || !end.After(now) {
			t.Errorf("told %v, the certificate ends at %v", end, pair.Leaf.NotAfter)
		}
		now = now.Add(200 * 24 * time.Hour)
	}
}
