package podwebhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// liveTimeout bounds the one read that follows a miss of the cache.
const liveTimeout = 500 * time.Millisecond

// notFound is a refusal in the words of a condition.
type notFound struct{ credential, text string }

func (e *notFound) Error() string {
	return fmt.Sprintf("annotation %s asks for %q: %s", inject.AnnotationCredentials, e.credential, e.text)
}

// objects reads our two kinds: from the cache, and once from the API server
// where the cache does not have what is needed, since the objects of one
// `kubectl apply` arrive within moments of each other.
type objects struct{ cached, live client.Reader }

// read reports whether there is an object that fits. An object that does not
// fit is looked at again as one that is missing, so that neither answer nor
// time tells the two apart.
func (o objects) read(ctx context.Context, key types.NamespacedName, into client.Object, fits func() bool) (bool, error) {
	err := o.cached.Get(ctx, key, into)
	if err == nil && fits() {
		return true, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	err = o.live.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && fits(), err
}

func (o objects) credential(ctx context.Context, key types.NamespacedName) (*v1alpha1.ScopedCredential, error) {
	sc := &v1alpha1.ScopedCredential{}
	found, err := o.read(ctx, key, sc, func() bool { return true })
	if err != nil {
		return nil, fmt.Errorf("reading ScopedCredential %s: %w", key, err)
	}
	if !found {
		return nil, &notFound{key.Name, fmt.Sprintf("ScopedCredential %q not found: create it, or take its name off the annotation", key)}
	}
	return sc, nil
}

// upstream reads the UpstreamSecret of sc. One that is not shared with the
// namespace is as good as missing.
func (o objects) upstream(ctx context.Context, sc *v1alpha1.ScopedCredential) (*v1alpha1.UpstreamSecret, error) {
	key := types.NamespacedName{Namespace: sc.Spec.Upstream.Namespace, Name: sc.Spec.Upstream.Name}
	if key.Namespace == "" {
		key.Namespace = sc.Namespace
	}
	up := &v1alpha1.UpstreamSecret{}
	found, err := o.read(ctx, key, up, func() bool { return compile.MayConsume(up, sc.Namespace) })
	if err != nil {
		return nil, fmt.Errorf("reading UpstreamSecret %s: %w", key, err)
	}
	if !found {
		return nil, &notFound{sc.Name, compile.UpstreamNotFound(key.Namespace, key.Name)}
	}
	return up, nil
}

// credentials looks up what pod asks for, in the order of its annotation.
func (o objects) credentials(ctx context.Context, namespace string, pod *corev1.Pod) ([]inject.Credential, []string, error) {
	asked, err := inject.ParseAnnotations(pod.Annotations)
	if err != nil {
		return nil, nil, err
	}
	var all []inject.Credential
	var warnings []string
	handles := inject.Handles(pod)
	for _, name := range asked.Credentials {
		sc, err := o.credential(ctx, types.NamespacedName{Namespace: namespace, Name: name})
		if err != nil {
			return nil, nil, err
		}
		up, err := o.upstream(ctx, sc)
		if err != nil {
			return nil, nil, err
		}
		handle := handles[name]
		if handle == "" {
			handle = token.NewHandle()
		}
		one := inject.Credential{Name: name, Handle: handle, Env: compile.Variables(sc, up)}
		for _, e := range up.Spec.Endpoints {
			one.Endpoints, one.URLs = append(one.Endpoints, e.Name), append(one.URLs, e.URL)
		}
		all = append(all, one)
		warnings = append(warnings, doubts(sc, pod)...)
	}
	return all, warnings, nil
}

// doubts are reasons why the sidecar will deny all, which is no reason to
// refuse the pod: they may be gone when it runs.
func doubts(sc *v1alpha1.ScopedCredential, pod *corev1.Pod) (warnings []string) {
	if !meta.IsStatusConditionTrue(sc.Status.Conditions, v1alpha1.ConditionAccepted) {
		warnings = append(warnings, fmt.Sprintf("ScopedCredential %s is not accepted: its sidecar denies every request until it is", sc.Name))
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	if !slices.Contains(sc.Spec.Holders.ServiceAccounts, account) {
		warnings = append(warnings, fmt.Sprintf("service account %s is no holder of ScopedCredential %s: its sidecar denies every request until it is", account, sc.Name))
	}
	return warnings
}
