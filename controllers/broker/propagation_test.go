package broker

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// propagations notes what the broker tells, by a clock that the test moves.
type propagations struct {
	*world
	clock *testingclock.FakeClock

	mu  sync.Mutex
	all []time.Duration
}

func newPropagations(t *testing.T) *propagations {
	t.Helper()
	p := &propagations{clock: testingclock.NewFakeClock(time.Now())}
	p.world = newWorld(t, func(b *Broker) {
		b.clock = p.clock
		b.propagated = func(d time.Duration) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.all = append(p.all, d)
		}
	})
	return p
}

func (p *propagations) await(want ...time.Duration) {
	p.t.Helper()
	var got []time.Duration
	defer func() {
		if p.t.Failed() {
			p.t.Logf("told %v, want %v", got, want)
		}
	}()
	poll(p.t, fmt.Sprintf("%v are told", want), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		got = slices.Clone(p.all)
		return slices.Equal(got, want)
	})
}

// editPath edits the scope, and waits until the broker has seen that.
func (p *propagations) editPath(path string) {
	p.t.Helper()
	p.clock.Step(time.Second)
	p.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.Grants[0].HTTP.Paths = []string{path} })
	generation := p.get("notes").Generation
	poll(p.t, "the edit is judged", func() bool {
		p.broker.offers.mu.Lock()
		defer p.broker.offers.mu.Unlock()
		f := p.broker.offers.all[client.ObjectKey{Namespace: p.agents, Name: "notes"}]
		return f != nil && !f.busy && f.edit.generation == generation
	})
}

func servesPath(path string) func(*bundle.State) bool {
	return func(st *bundle.State) bool {
		c := find(st, "notes")
		return c != nil && c.Grants[0].HTTP.Paths[0] == path
	}
}

// TestPropagation measures from the edit, not from its acceptance, and of each
// sidecar that is told of it. What a sidecar begins with is no change.
func TestPropagation(t *testing.T) {
	p := newPropagations(t)
	a := p.connect(p.pod("a", "agent", nil, "notes"))
	a.awaitServed("notes")
	p.connect(p.pod("b", "stranger", nil, "notes")).await("a state", func(st *bundle.State) bool { return st != nil })
	p.editPath("/issues")
	p.clock.Step(7 * time.Second)
	p.accept("notes")
	a.await("the scope", servesPath("/issues"))
	p.await(7 * time.Second) // the other sidecar is denied, before and after
	p.clock.Step(time.Second)
	p.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true })
	a.awaitDenied("notes", v1alpha1.ReasonSuspended)
	p.await(7*time.Second, 0)
}

// TestRefusedEditIsNotPropagated has an edit refused, and accepted much later
// because of something else: it counts from then on.
func TestRefusedEditIsNotPropagated(t *testing.T) {
	p := newPropagations(t)
	a := p.connect(p.pod("a", "agent", nil, "notes"))
	a.awaitServed("notes")
	p.editPath("/issues")
	sc := p.get("notes")
	meta.SetStatusCondition(&sc.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonBeyondCeiling, ObservedGeneration: sc.Generation,
	})
	if err := admin.Status().Update(p.ctx, sc); err != nil {
		t.Fatal(err)
	}
	poll(t, "the cache shows the refusal", func() bool {
		seen := &v1alpha1.ScopedCredential{}
		return p.broker.client.Get(p.ctx, client.ObjectKeyFromObject(sc), seen) == nil && len(seen.Status.Conditions) == 1
	})
	p.clock.Step(20 * time.Second)
	p.accept("notes")
	a.await("the scope", servesPath("/issues"))
	p.await(0)
}

// TestRefusingSidecarOwes has a sidecar that cannot serve a change: that is not
// enforced until it can.
func TestRefusingSidecarOwes(t *testing.T) {
	p := newPropagations(t)
	a := p.connect(p.pod("a", "agent", nil, "notes"))
	a.awaitServed("notes")
	refuse := func(errs ...bundle.ApplyError) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refuse = errs
	}
	refuse(bundle.ApplyError{Credential: p.agents + "/notes", Reason: bundle.SidecarRefused, Detail: "a test"})
	p.editPath("/issues")
	p.accept("notes")
	a.await("the scope", servesPath("/issues"))
	poll(t, "the refusal is acknowledged", func() bool {
		p.broker.mu.Lock()
		defer p.broker.mu.Unlock()
		for _, s := range p.broker.byPod {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.report.refusals) > 0
		}
		return false
	})
	refuse()
	p.clock.Step(4 * time.Second)
	p.editPath("/pulls") // a second later
	p.accept("notes")
	p.await(5 * time.Second)
}
