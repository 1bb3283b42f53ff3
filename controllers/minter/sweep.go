package minter

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// sweepEvery is how long the tokens of an UpstreamSecret that is gone may stay.
// They serve nobody meanwhile.
const sweepEvery = 30 * time.Second

// Sweeper deletes the Secrets whose UpstreamSecret is gone: an owner reference
// does not cross namespaces. It is a Runnable for the leader.
type Sweeper struct {
	Client client.Client // reads our kinds from a cache
	Live   client.Reader // reads from the API server
	// Namespace of the manager.
	Namespace string
}

// NeedLeaderElection is true: one broom is enough.
func (s *Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until ctx ends.
func (s *Sweeper) Start(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "sweeping minted tokens")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sweep deletes what is void now. It sees metadata alone.
func (s *Sweeper) Sweep(ctx context.Context) error {
	all := &metav1.PartialObjectMetadataList{}
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := s.Live.List(ctx, all, client.InNamespace(s.Namespace), client.MatchingLabels{LabelMinted: kindValue}); err != nil {
		return fmt.Errorf("listing minted tokens: %w", err)
	}
	for i := range all.Items {
		if err := s.sweep(ctx, &all.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sweeper) sweep(ctx context.Context, stored *metav1.PartialObjectMetadata) error {
	uid := types.UID(stored.Annotations[AnnotationUID])
	namespace, name, _ := strings.Cut(stored.Annotations[AnnotationObject], "/")
	if uid == "" || name == "" || stored.Name != mint.Prefix+string(uid) {
		return nil // one of another release is not ours to judge
	}
	void, err := s.void(ctx, types.NamespacedName{Namespace: namespace, Name: name}, uid)
	if err != nil || !void {
		return err
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: stored.Name}}
	err = s.Client.Delete(ctx, secret, client.Preconditions{UID: &stored.UID, ResourceVersion: &stored.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting minted tokens %s: %w", stored.Name, err)
	}
	return nil
}

// void asks the API server before it says yes.
func (s *Sweeper) void(ctx context.Context, name types.NamespacedName, uid types.UID) (bool, error) {
	for _, reader := range []client.Reader{s.Client, s.Live} {
		up := &v1alpha1.UpstreamSecret{}
		err := reader.Get(ctx, name, up)
		switch {
		case err == nil && up.UID == uid:
			return false, nil
		case meta.IsNoMatchError(err): // the definition is gone, and all objects with it
		case client.IgnoreNotFound(err) != nil:
			return false, fmt.Errorf("reading UpstreamSecret %s: %w", name, err)
		}
	}
	return true, nil
}
