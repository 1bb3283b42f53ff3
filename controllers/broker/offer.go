package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// offer is what one credential gives to whoever may hold it. It is judged once
// for all streams that ask for it, and never changed. The zero offer gives
// nothing.
type offer struct {
	// The newest version and the accepted one; nil: there is none.
	live, accepted *v1alpha1.ScopedCredential
	// err says why nothing is served: a withdrawal, or what is not known now.
	err error

	document bundle.Credential // without token and lease
	encoded  *bundle.Encoded   // the same; nil before it is published
	lifetime time.Duration     // of its tokens

	since time.Time // when the change was seen that made it so
}

// errUnjudged is what a credential is before its first judgement.
var errUnjudged = errors.New("not judged yet")

// to says why account gets nothing of o at now. Withdrawals are looked for in
// the newest version and in the accepted one: a refused edit may take away, and
// may not give back.
func (o *offer) to(account string, now time.Time) error {
	if o == nil {
		return errUnjudged
	}
	for _, version := range []*v1alpha1.ScopedCredential{o.live, o.accepted} {
		if version == nil {
			continue
		}
		if err := holds(version, account, now); err != nil {
			return err
		}
	}
	if end := o.document.SecretExpires; o.err == nil && !end.IsZero() && !now.Before(end) {
		return withdraw(scope.NotReady, "its key has come to its end, and there is no other yet: see the conditions of its UpstreamSecret")
	}
	return o.err
}

// withdraw has o serve nothing, because of err.
func (o *offer) withdraw(err error) {
	o.err, o.document, o.encoded, o.lifetime = err, bundle.Credential{}, nil, 0
}

// same tells whether o and p give the same to everybody.
func (o *offer) same(p *offer) bool {
	if o == nil || p == nil {
		return o == p
	}
	return sameTerms(o.live, p.live) && sameTerms(o.accepted, p.accepted) && sameError(o.err, p.err) &&
		o.lifetime == p.lifetime && sameDocument(&o.document, &p.document)
}

// sameTerms compares what [holds] looks at.
func sameTerms(a, b *v1alpha1.ScopedCredential) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && slices.Equal(a.Spec.Holders.ServiceAccounts, b.Spec.Holders.ServiceAccounts) &&
		a.Spec.Suspend == b.Spec.Suspend && a.Spec.ExpiresAt.Equal(b.Spec.ExpiresAt)
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	var w, v *withdrawn
	if errors.As(a, &w) != errors.As(b, &v) {
		return false
	}
	return a.Error() == b.Error() && (w == nil || w.reason == v.reason)
}

// sameDocument compares by versions: what is compiled of the same ones is the
// same.
func sameDocument(a, b *bundle.Credential) bool {
	return a.Object == b.Object && a.Upstream == b.Upstream && a.ExpiresAt.Equal(b.ExpiresAt) && a.SecretExpires.Equal(b.SecretExpires) &&
		a.SecretVersion == b.SecretVersion && a.Secret.Equal(b.Secret)
}

// offers judges each credential that some stream asks for, once for all of
// them, and has them look again where the offer is another one. It is safe for
// concurrent use. Where the lock of an index is held as well, that comes first.
type offers struct {
	// judge returns the offer of a credential. Before it reads what may take
	// time, it calls narrow with the newest version, and what is missing by
	// the newest objects.
	judge  func(ctx context.Context, d *dependencies, name types.NamespacedName, narrow func(*v1alpha1.ScopedCredential, error)) *offer
	encode func(*bundle.Credential) (*bundle.Encoded, error)
	index  *index
	now    func() time.Time
	wake   chan struct{} // has room for one

	mu    sync.Mutex
	all   map[types.NamespacedName]*offering
	stale []*offering // that nobody judges yet
}

// offering is the offer of one credential, as it changes.
type offering struct {
	offers  *offers
	name    types.NamespacedName
	current atomic.Pointer[offer]

	// Under the lock of offers.
	stale, busy, unused bool
	judged              time.Time
	touched             time.Time // when the first change was seen that is not judged

	// Of whoever judges.
	seen time.Time // when the change was seen that is being judged
	edit edit
}

// edit is the newest edit of a ScopedCredential that was seen, which is in force
// once it is accepted.
type edit struct {
	uid        types.UID
	generation int64
	seen       time.Time // zero: it was there before, or was refused
}

func newOffers(b *Broker) *offers {
	return &offers{
		judge: b.offer, encode: bundle.EncodeCredential, index: b.index, now: b.now,
		wake: make(chan struct{}, 1), all: map[types.NamespacedName]*offering{},
	}
}

// of returns the newest offer of a credential; nil: it is about to be judged.
// Whoever asks depends on it already: see [index.changed]. What is not known is
// looked for again.
func (o *offers) of(name types.NamespacedName) *offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.all[name]
	if f == nil {
		f = &offering{offers: o, name: name}
		o.all[name] = f
		f.touchLocked()
	}
	now := f.current.Load()
	if now != nil && unknown(now.err) && !f.busy && !o.now().Before(f.judged.Add(atMostEvery)) {
		f.touchLocked()
	}
	return now
}

func unknown(err error) bool {
	var w *withdrawn
	return err != nil && !errors.As(err, &w)
}

// drop forgets the offer that nobody depends on any more.
func (o *offers) drop(k key) {
	if k.kind != kindOffer {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.all[k.name]; f != nil {
		delete(o.all, k.name)
		f.unused = true
		f.touchLocked() // so that it forgets what it depends on
	}
}

// touch has f judged again.
func (f *offering) touch() {
	f.offers.mu.Lock()
	defer f.offers.mu.Unlock()
	f.touchLocked()
}

func (f *offering) touchLocked() {
	if !f.stale {
		f.stale, f.touched = true, f.offers.now()
	}
	if !f.busy {
		f.offers.stale = append(f.offers.stale, f)
		f.busy = true
	}
	select {
	case f.offers.wake <- struct{}{}:
	default:
	}
}

// run judges until ctx ends. No credential waits for another one.
func (o *offers) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		o.mu.Lock()
		stale := o.stale
		o.stale = nil
		o.mu.Unlock()
		for _, f := range stale {
			running.Go(func() { f.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
	}
}

// run judges f until it is not stale.
func (f *offering) run(ctx context.Context) {
	for f.begin() {
		d := f.offers.index.dependencies(f)
		next := f.offers.judge(ctx, d, f.name, f.narrow)
		d.done()
		f.publish(next)
	}
}

// begin tells whether f is to be judged. One that nobody asks for is let go of.
func (f *offering) begin() bool {
	o := f.offers
	o.mu.Lock()
	if f.stale && !f.unused {
		f.stale, f.judged, f.seen = false, o.now(), f.touched
		o.mu.Unlock()
		return true
	}
	f.busy = f.unused // it is not judged again
	unused := f.unused
	o.mu.Unlock()
	if unused {
		o.index.keep(f, nil)
	}
	return false
}

// narrow takes away at once what the newest objects do not give any more: what
// was accepted may take a while to be read.
func (f *offering) narrow(live *v1alpha1.ScopedCredential, missing error) {
	f.note(live)
	before := f.current.Load()
	if before == nil || before.live == nil || before.live.UID != live.UID {
		return // nothing that it could be taken away from
	}
	next := *before
	next.live = live
	if missing != nil && !unknown(missing) {
		next.withdraw(missing)
	}
	f.publish(&next)
}

// publish makes next the offer, and has all look at it who depend on it. One
// that gives nobody anything else is passed over.
func (f *offering) publish(next *offer) {
	if f.current.Load().same(next) {
		return
	}
	if next.err == nil && next.encoded == nil {
		var err error
		if next.encoded, err = f.offers.encode(&next.document); err != nil {
			next.withdraw(withdraw(scope.NotReady, "it is too large for one document: use fewer or smaller grants"))
		}
	}
	next.since = f.since(next)
	f.current.Store(next)
	f.offers.index.changed(key{kindOffer, f.name})
}

// note takes note of an edit. One that was refused is in force when something
// else has changed, and counts from then on.
func (f *offering) note(live *v1alpha1.ScopedCredential) {
	known := f.edit.uid == live.UID
	if !known || f.edit.generation != live.Generation {
		f.edit = edit{uid: live.UID, generation: live.Generation}
		if known {
			f.edit.seen = f.seen
		}
	}
	c := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionAccepted)
	if c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == live.Generation {
		f.edit.seen = time.Time{}
	}
}

// since is when the change was seen that leads to next: the edit, where next is
// the first to have it in force.
func (f *offering) since(next *offer) time.Time {
	before := f.current.Load()
	news := next.accepted != nil && (before == nil || before.accepted == nil || before.accepted.Generation != next.accepted.Generation)
	if news && next.accepted.Generation == f.edit.generation && !f.edit.seen.IsZero() {
		return f.edit.seen
	}
	return f.seen
}

// sooner returns the earlier of two ends; nil is never, and so is the zero
// result.
func sooner(a, b *metav1.Time) time.Time {
	switch {
	case a == nil && b == nil:
		return time.Time{}
	case a == nil || (b != nil && b.Before(a)):
		return b.UTC()
	}
	return a.UTC()
}
