package record

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// sweepEvery is how long a void record may stay. It serves nobody meanwhile.
const sweepEvery = 30 * time.Second

// Sweeper deletes void records: those without a live object of their UID. It is
// a Runnable for the leader.
type Sweeper struct {
	Client client.Client // reads from a cache
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
			log.FromContext(ctx).Error(err, "sweeping records")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sweep deletes the records that are void now. Where the cache knows the object
// of a record, nothing is asked; before a deletion the API server is.
func (s *Sweeper) Sweep(ctx context.Context) error {
	records := &metav1.PartialObjectMetadataList{}
	records.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := s.Client.List(ctx, records, client.InNamespace(s.Namespace), client.HasLabels{LabelKind}); err != nil {
		return fmt.Errorf("listing records: %w", err)
	}
	for i := range records.Items {
		stored := &records.Items[i]
		r, err := DecodeMeta(stored)
		if err != nil || r.Object.Name == "" {
			continue // one of another release is not ours to judge
		}
		void, err := s.void(ctx, r)
		if err != nil {
			return err
		}
		if !void {
			continue
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: stored.Name}}
		err = s.Client.Delete(ctx, cm, client.Preconditions{UID: &stored.UID, ResourceVersion: &stored.ResourceVersion})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("deleting void record %s: %w", stored.Name, err)
		}
	}
	return nil
}

func (s *Sweeper) void(ctx context.Context, r Record) (bool, error) {
	for _, reader := range []client.Reader{s.Client, s.Live} {
		object := r.Kind.object()
		err := reader.Get(ctx, r.Object, object)
		switch {
		case err == nil && object.GetUID() == r.UID:
			return false, nil
		case meta.IsNoMatchError(err): // the definition is gone, and all objects with it
		case client.IgnoreNotFound(err) != nil:
			return false, fmt.Errorf("reading %s %s: %w", r.Kind, r.Object, err)
		}
	}
	return true, nil
}

func (k Kind) object() client.Object {
	if k == UpstreamSecret {
		return &v1alpha1.UpstreamSecret{}
	}
	return &v1alpha1.ScopedCredential{}
}
