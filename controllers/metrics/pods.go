package metrics

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// A look for pods without a sidecar reads the metadata of all pods that do not
// bear our label, a page at a time, and keeps none of it: the caches hold pods
// that were injected alone.
const (
	lookEvery = 5 * time.Minute
	pageSize  = 500
)

// uninjectedPods looks for pods that ask for credentials and have no sidecar.
// They have no access; their authors wait for it in vain. It is a Runnable for
// the leader.
type uninjectedPods struct {
	metrics      *Metrics
	cached, live client.Reader // pods that bear our label; metadata of others
	every        time.Duration
}

// NeedLeaderElection is true: one look does for all replicas.
func (*uninjectedPods) NeedLeaderElection() bool { return true }

// Start looks until ctx ends.
func (u *uninjectedPods) Start(ctx context.Context) error {
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	for {
		if err := u.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "looking for pods without a sidecar")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look counts, and shows the count if it is whole.
func (u *uninjectedPods) look(ctx context.Context) error {
	unlabelled, err := u.unlabelled(ctx)
	if err != nil {
		return err
	}
	bare, err := u.bare(ctx)
	if err != nil {
		return err
	}
	u.metrics.mu.Lock()
	defer u.metrics.mu.Unlock()
	u.metrics.uninjected, u.metrics.looked = unlabelled+bare, true
	return nil
}

// unlabelled counts pods that ask and were not seen by the webhook. Those that
// have ended ask no more.
func (u *uninjectedPods) unlabelled(ctx context.Context) (count int, err error) {
	without, err := labels.NewRequirement(inject.LabelInjected, selection.NotEquals, []string{"true"})
	if err != nil {
		return 0, fmt.Errorf("selecting pods: %w", err)
	}
	options := &client.ListOptions{
		Limit: pageSize, LabelSelector: labels.NewSelector().Add(*without),
		FieldSelector: fields.AndSelectors(
			fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
			fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed))),
	}
	for {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if err := u.live.List(ctx, page, options); err != nil {
			return 0, fmt.Errorf("listing pods: %w", err)
		}
		for i := range page.Items {
			if asks(&page.Items[i]) {
				count++
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return count, nil
		}
	}
}

// bare counts pods that bear our label and yet have no sidecar.
func (u *uninjectedPods) bare(ctx context.Context) (count int, err error) {
	var pods corev1.PodList
	if err := u.cached.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("listing injected pods: %w", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		sidecar := slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == inject.ContainerName })
		if asks(p) && !ended && !sidecar {
			count++
		}
	}
	return count, nil
}

func asks(pod client.Object) bool {
	_, asks := pod.GetAnnotations()[inject.AnnotationCredentials]
	return asks
}
