package webhooks

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"testing"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// certificates are what API server and replicas are given, by digest.
type certificates struct{ bundle, leaf string }

func digest(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// published reads what the keeper has written.
func published(t *testing.T) certificates {
	t.Helper()
	c := &admissionregv1.MutatingWebhookConfiguration{}
	if err := shared.API.Get(t.Context(), client.ObjectKey{Name: authority.Webhook}, c); err != nil {
		t.Fatal(err)
	}
	s := &corev1.Secret{}
	if err := shared.API.Get(t.Context(), client.ObjectKey{Namespace: fleet.Namespace, Name: authority.WebhookSecret}, s); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.Data[corev1.TLSCertKey])
	if block == nil || len(c.Webhooks[0].ClientConfig.CABundle) == 0 {
		t.Fatal("no certificate is published")
	}
	return certificates{bundle: digest(c.Webhooks[0].ClientConfig.CABundle), leaf: digest(block.Bytes)}
}

// served is the leaf that a replica shakes hands with.
func served(t *testing.T, r *Replica) string {
	t.Helper()
	conn, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // G402: it is looked at, not trusted
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return digest(conn.ConnectionState().PeerCertificates[0].Raw)
}
