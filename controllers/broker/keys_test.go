package broker

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestKeysOfSeveralSecrets serves keys whose parts lie in several Secrets: a part
// that is rotated is pushed, one that is lost withdraws.
func TestKeysOfSeveralSecrets(t *testing.T) {
	w := newWorld(t)
	part := func(name, value string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: name}, StringData: map[string]string{"value": value}}
	}
	for name, value := range map[string]string{"id": "AKIDEXAMPLE", "key": "first-key", "session": "a-session"} {
		w.create(part(name, value))
	}
	ref := func(name string) v1alpha1.KeyReference { return v1alpha1.KeyReference{Name: name, Key: "value"} }
	session := ref("session")
	up := w.getUpstream()
	up.Spec.Source = v1alpha1.Source{AWSKeys: &v1alpha1.AWSKeys{AccessKeyIDRef: ref("id"), SecretAccessKeyRef: ref("key"), SessionTokenRef: &session}}
	up.Spec.Endpoints[0].Inject = v1alpha1.Inject{AWSSigV4: &v1alpha1.AWSSigV4Injection{Region: "eu-central-1", Service: "execute-api"}}
	if err := admin.Update(w.ctx, up); err != nil {
		t.Fatal(err)
	}
	w.record(record.UpstreamSecret, up, &up.Spec)
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	var version string
	serves := func(key string) func(*bundle.State) bool {
		return func(st *bundle.State) bool {
			c := find(st, "notes")
			if c == nil || c.Endpoints[0].Inject.AWSSigV4 == nil || c.SecretVersion == version {
				return false
			}
			keys, err := bundle.AWSKeysOf(c.Secret)
			if err != nil || keys.SecretAccessKey.Reveal() != key || keys.SessionToken.Reveal() != "a-session" {
				return false
			}
			version = c.SecretVersion
			return true
		}
	}
	s.await("the keys", serves("first-key"))
	if err := admin.Update(w.ctx, part("key", "second-key")); err != nil {
		t.Fatal(err)
	}
	s.await("the rotated key", serves("second-key"))
	if err := admin.Delete(w.ctx, part("session", "")); err != nil {
		t.Fatal(err)
	}
	s.awaitDenied("notes", scope.NotReady)
	w.create(part("session", "a-session"))
	s.awaitServed("notes")
	if err := admin.Update(w.ctx, part("id", "AKID/EXAMPLE")); err != nil {
		t.Fatal(err)
	}
	s.awaitDenied("notes", scope.NotReady)
}
