package metrics

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
)

// objectKey tells objects apart. One that was made anew under its name takes
// the place of the one before.
type objectKey struct {
	kind record.Kind
	name types.NamespacedName
}

// object is what is to be shown of one object. Of one that is settled nothing
// is, and it is not kept: in a quiet cluster there is none.
type object struct {
	uid        types.UID
	generation int64
	since      time.Time // when that was seen first; zero: it was judged
	pending    int32     // sidecars that have not let go yet
	behind     bool      // some sidecar does not enforce what it should
	enforced   int64     // the lowest generation that such a one enforces
}

func (o *object) settled() bool { return o.since.IsZero() && o.pending == 0 && !o.behind }

// watch hears of every change of our two kinds.
func (m *Metrics) watch(ctx context.Context, informers cache.Informers) error {
	for kind, example := range map[record.Kind]client.Object{
		record.ScopedCredential: &v1alpha1.ScopedCredential{}, record.UpstreamSecret: &v1alpha1.UpstreamSecret{},
	} {
		informer, err := informers.GetInformer(ctx, example)
		if err != nil {
			return fmt.Errorf("watching %s: %w", kind, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(now any) { m.see(kind, now) },
			UpdateFunc: func(_, now any) { m.see(kind, now) },
			DeleteFunc: func(last any) { m.forget(kind, last) },
		})
		if err != nil {
			return fmt.Errorf("watching %s: %w", kind, err)
		}
	}
	return nil
}

// see takes note of what an object is like now.
func (m *Metrics) see(kind record.Kind, now any) {
	var next object
	var observed int64
	switch o := now.(type) {
	case *v1alpha1.ScopedCredential:
		observed = o.Status.ObservedGeneration
		trail(&next, &o.Status)
	case *v1alpha1.UpstreamSecret:
		observed = o.Status.ObservedGeneration
	}
	o, ok := now.(client.Object)
	if !ok {
		return
	}
	key := objectKey{kind, client.ObjectKeyFromObject(o)}
	next.uid, next.generation = o.GetUID(), o.GetGeneration()
	m.mu.Lock()
	defer m.mu.Unlock()
	// What is being deleted is judged no more: the broker has withdrawn it.
	if observed != next.generation && o.GetDeletionTimestamp() == nil {
		next.since = m.options.Now()
		if before := m.unsettled[key]; before.uid == next.uid && !before.since.IsZero() {
			next.since = before.since // the oldest edit waits, whatever came after it
		}
	}
	if next.settled() {
		delete(m.unsettled, key)
	} else {
		m.unsettled[key] = next
	}
}

// trail reads which sidecars do not enforce what they should. Those that
// enforce nothing at all count as generation 0.
func trail(o *object, s *v1alpha1.ScopedCredentialStatus) {
	if c := s.Sidecars; c != nil && c.Enforcing+c.Outdated < c.Total {
		o.behind = true
	}
	if s.Revocation == nil {
		return
	}
	o.pending = s.Revocation.PendingTotal
	for _, p := range s.Revocation.Pending {
		if !o.behind || p.Generation < o.enforced {
			o.behind, o.enforced = true, p.Generation
		}
	}
}

func (m *Metrics) forget(kind record.Kind, last any) {
	if gone, ok := last.(toolscache.DeletedFinalStateUnknown); ok {
		last = gone.Obj
	}
	if o, ok := last.(client.Object); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.unsettled, objectKey{kind, client.ObjectKeyFromObject(o)})
	}
}

// objects sums up what is kept: those behind, how many revocations are pending,
// and for how long the oldest edit of each kind has waited.
func (m *Metrics) objects(now time.Time) (behind []object, pending int64, ages map[record.Kind]time.Duration) {
	ages = map[record.Kind]time.Duration{record.ScopedCredential: 0, record.UpstreamSecret: 0}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, o := range m.unsettled {
		pending += int64(o.pending)
		if o.behind {
			behind = append(behind, o)
		}
		if !o.since.IsZero() {
			ages[key.kind] = max(ages[key.kind], now.Sub(o.since))
		}
	}
	return behind, pending, ages
}

// lag is the largest distance between what was accepted and what is enforced.
// Accepted is what the record says: an edit that is refused lets nobody trail.
func (m *Metrics) lag(behind []object) int64 {
	var largest int64
	for _, o := range behind {
		largest = max(largest, m.options.Accepted(o.uid)-o.enforced)
	}
	return largest
}
