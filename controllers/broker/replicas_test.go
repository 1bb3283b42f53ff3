package broker

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// counted counts what is written of pods.
type counted struct {
	client.Client
	writes atomic.Int64
}

func (c *counted) Status() client.SubResourceWriter { return &countedWriter{c.Client.Status(), c} }

type countedWriter struct {
	client.SubResourceWriter
	c *counted
}

func (w *countedWriter) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	w.c.writes.Add(1)
	return w.SubResourceWriter.Patch(ctx, o, p, opts...)
}

// count has the writes of the broker counted.
func (w *world) count() *counted {
	c := &counted{Client: w.broker.conditions.client}
	w.broker.conditions.client = c
	return c
}

// replica adds a broker to the world, with caches of its own.
func (w *world) replica() *world {
	second := *w
	second.newBroker()
	second.serve("127.0.0.1:0")
	return &second
}

// awaitWritten waits until the broker has written what it wants.
func (w *world) awaitWritten() {
	w.t.Helper()
	poll(w.t, "nothing waits to be written", func() bool {
		c := w.broker.conditions
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.wanted) == 0 && c.queue.Len() == 0
	})
}

// path leads a sidecar to one broker or another. A broker that it leads away
// from does not hear of it: its end of the connection stays open.
type path struct {
	t *testing.T

	mu     sync.Mutex
	to     string
	leaves []func()
}

func (p *path) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	broker, err := (&net.Dialer{}).DialContext(ctx, network, p.to)
	if err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { _ = broker.Close() })
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(broker, far) }()
	go func() { _, _ = io.Copy(far, broker) }()
	p.leaves = append(p.leaves, func() { _ = near.Close() })
	return near, nil
}

func (p *path) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
	for _, leave := range p.leaves {
		leave()
	}
	p.leaves = nil
}

// TestAnyReplicaServes moves a sidecar from one replica to another while the
// first does not notice, and changes its scope: the pod shows what the sidecar
// enforces, and the replica that waits in vain for an acknowledgement does not
// say otherwise.
func TestAnyReplicaServes(t *testing.T) {
	first := newWorld(t)
	second := first.replica()
	writes := first.count()
	pod := first.pod("a", "agent", nil, "notes")
	way := &path{t: t, to: first.address}
	s := first.connectVia(first.token("agent", pod, inject.Audience), nil, way.dial)
	before := s.awaitServed("notes")
	first.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	written := writes.writes.Load()

	way.lead(second.address)
	poll(t, "the second replica serves it", func() bool {
		second.broker.mu.Lock()
		defer second.broker.mu.Unlock()
		return second.broker.byPod[pod.UID] != nil
	})
	first.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Grants[0].HTTP.Paths = []string{"/issues"} })
	first.accept("notes")
	poll(t, "the pod shows the new generation", func() bool {
		e, _ := ParseEnforcement(first.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced).Message)
		return e.Credentials["notes"] > before.Generation
	})
	poll(t, "the first replica has sent it, too", func() bool {
		first.broker.mu.Lock()
		stream := first.broker.byPod[pod.UID]
		first.broker.mu.Unlock()
		if stream == nil {
			return false
		}
		stream.mu.Lock()
		defer stream.mu.Unlock()
		return stream.report.sent.Credentials["notes"] > before.Generation
	})
	first.awaitWritten()
	first.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	if got := writes.writes.Load(); got != written {
		t.Errorf("the first replica wrote %d times about a sidecar that it had lost", got-written)
	}
}

// TestLostReplicaIsCorrected has a replica that lost a sidecar write that it
// does not acknowledge: the one that serves it says what is true.
func TestLostReplicaIsCorrected(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	s.awaitServed("notes")
	shown := w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	live := &corev1.Pod{}
	if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(live.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == ConditionScopeEnforced })
	live.Status.Conditions[i].Status, live.Status.Conditions[i].Reason = corev1.ConditionFalse, v1alpha1.ReasonPending
	if err := admin.Status().Update(w.ctx, live); err != nil {
		t.Fatal(err)
	}
	if again := w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced); again.Message != shown.Message {
		t.Errorf("the pod shows %q, before %q", again.Message, shown.Message)
	}
}

// TestNothingNewIsNotWritten has everything happen that is no news: sidecars
// come back, pods and authorities are looked at again, a replica takes over.
func TestNothingNewIsNotWritten(t *testing.T) {
	w := newWorld(t)
	way := &path{t: t, to: w.address}
	var pods []*corev1.Pod
	var sidecars []*fakeSidecar
	for _, name := range []string{"a", "b", "c"} {
		pod := w.pod(name, "agent", nil, "notes")
		pods, sidecars = append(pods, pod), append(sidecars, w.connectVia(w.token("agent", pod, inject.Audience), nil, way.dial))
	}
	for _, pod := range pods {
		w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	}
	w.awaitWritten()
	second := w.replica()
	replicas := []*world{w, second}
	writes := []*counted{w.count(), second.count()}
	for i := range 4 {
		states := make([]int, len(sidecars))
		for j, s := range sidecars {
			s.mu.Lock()
			states[j] = s.states
			s.mu.Unlock()
		}
		way.lead(replicas[(i+1)%2].address)
		for j, s := range sidecars {
			poll(t, "the sidecar comes back", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.states > states[j]
			})
		}
		for _, pod := range pods {
			live := &corev1.Pod{}
			if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
				t.Fatal(err)
			}
			live.Annotations["example.com/round"] = string(rune('a' + i))
			if err := admin.Update(w.ctx, live); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range replicas {
			r.broker.RootsChanged()
			r.awaitWritten()
		}
	}
	for i, c := range writes {
		if n := c.writes.Load(); n != 0 {
			t.Errorf("replica %d wrote %d times", i, n)
		}
	}
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = true })
	for _, s := range sidecars {
		s.awaitDenied("notes", scope.Suspended)
	}
	for _, r := range replicas {
		r.awaitWritten()
	}
	if n := writes[0].writes.Load() + writes[1].writes.Load(); n < 3 || n > 6 {
		t.Errorf("%d writes about three sidecars that were cut off", n)
	}
}
