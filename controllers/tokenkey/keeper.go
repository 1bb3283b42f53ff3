package tokenkey

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Bounds of the time between two looks at the Secret: one that was deleted
// comes back soon, and a failure is no reason to hammer the API server.
const (
	lookAgain  = time.Minute
	afterError = 5 * time.Second
)

// Keeper makes the keys and rotates them. It is a Runnable for the leader.
type Keeper struct {
	Secrets   corev1client.SecretsGetter
	Namespace string
	Now       func() time.Time // nil: time.Now
}

// NeedLeaderElection is true: two keepers would overwrite each other's keys.
func (k *Keeper) NeedLeaderElection() bool { return true }

// Start keeps the keys until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait, err := k.Keep(ctx)
		if err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "keeping token keys")
			wait = afterError
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Keep makes the keys if there are none that can be read, and rotates them when
// they are due. It returns when to look again. Every write names the version
// that was read, so that a leader that was replaced meanwhile changes nothing.
func (k *Keeper) Keep(ctx context.Context) (time.Duration, error) {
	now := time.Now
	if k.Now != nil {
		now = k.Now
	}
	secrets := k.Secrets.Secrets(k.Namespace)
	stored, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: SecretName},
			Data:       Generate(now()).Encode(),
		}, metav1.CreateOptions{})
		if err != nil {
			return 0, fmt.Errorf("creating Secret %s/%s: %w", k.Namespace, SecretName, err)
		}
		return lookAgain, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading Secret %s/%s: %w", k.Namespace, SecretName, err)
	}
	next, due := follow(ctx, stored, now())
	if !due {
		return min(lookAgain, max(next.Due().Sub(now()), 0)), nil
	}
	stored.Data = next.Encode()
	if _, err := secrets.Update(ctx, stored, metav1.UpdateOptions{}); err != nil {
		return 0, fmt.Errorf("rotating Secret %s/%s: %w", k.Namespace, SecretName, err)
	}
	return lookAgain, nil
}

// follow returns the keys that are to be stored, and whether they are new. Keys
// that cannot be read sign and verify nothing, so others take their place.
func follow(ctx context.Context, stored *corev1.Secret, now time.Time) (Keys, bool) {
	keys, err := Decode(func(key string) ([]byte, bool) { v, ok := stored.Data[key]; return v, ok })
	switch {
	case err != nil:
		log.FromContext(ctx).Error(err, "replacing token keys")
		return Generate(now), true
	// A clock that was far ahead when it rotated must not stop rotation.
	case !now.Before(keys.Due()), keys.Rotated.After(now.Add(Lifetime)):
		return keys.Rotate(now), true
	}
	return keys, false
}
