package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"golang.org/x/time/rate"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// How conditions are written: what soon changes again is not written at all.
const (
	settle        = 100 * time.Millisecond
	patience      = 2 * time.Second // with an acknowledgement
	yieldFor      = 50 * time.Millisecond
	yieldAtMost   = 2 * time.Second
	writesSecond  = 20
	writeBurst    = 50
	maxWriteTries = 5
)

// conditions writes the pods' conditions, each only when its meaning changes.
// It is safe for concurrent use.
type conditions struct {
	client client.Client
	live   client.Reader // finds a pod that lost our label
	events events.EventRecorder
	queue  workqueue.TypedRateLimitingInterface[types.UID]
	rate   *rate.Limiter
	// busy tells whether there is something more urgent than to tell.
	busy func() bool

	mu     sync.Mutex
	wanted map[types.UID]wantedCondition
	// written is what was written last: the cache of pods may not show it yet.
	written map[types.UID]corev1.PodCondition
}

type wantedCondition struct {
	pod       types.NamespacedName
	condition corev1.PodCondition
	sent      Enforcement // what condition is about; zero: the pod itself
	by        *stream     // nil: none
	since     time.Time   // when it was wanted
}

func newConditions(c client.Client, live client.Reader, events events.EventRecorder) *conditions {
	return &conditions{
		client: c, live: live, events: events, rate: rate.NewLimiter(writesSecond, writeBurst),
		wanted: map[types.UID]wantedCondition{}, written: map[types.UID]corev1.PodCondition{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.UID]()),
		busy:  func() bool { return false },
	}
}

// want has the condition written, unless another is wanted meanwhile. One that
// an acknowledgement may still turn waits for it.
func (c *conditions) want(uid types.UID, w wantedCondition, wait bool) {
	w.since = time.Now()
	c.mu.Lock()
	c.wanted[uid] = w
	c.mu.Unlock()
	if wait {
		c.queue.AddAfter(uid, patience)
	} else {
		c.queue.AddAfter(uid, settle)
	}
}

// drop forgets what a stream that has ended wanted: the sidecar tells its next
// one anew, perhaps at another replica, whose word must not be overtaken.
func (c *conditions) drop(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.wanted[s.id.UID]; w.by == s && w.condition.Reason != v1alpha1.ReasonAttestationFailed {
		delete(c.wanted, s.id.UID)
	}
}

// heardElsewhere tells whether wanted, which waits for an acknowledgement of
// sent, is answered by what another replica wrote: a sidecar acknowledges to
// the one that it is connected to.
func heardElsewhere(wanted corev1.PodCondition, sent Enforcement, shown []corev1.PodCondition) bool {
	if wanted.Reason != v1alpha1.ReasonPending {
		return false
	}
	for _, c := range shown {
		e, ok := ParseEnforcement(c.Message)
		if c.Type == ConditionScopeEnforced && c.Status == corev1.ConditionTrue && ok {
			return e.Digest == sent.Digest
		}
	}
	return false
}

// run writes until ctx ends.
func (c *conditions) run(ctx context.Context) {
	var done sync.WaitGroup
	done.Go(func() {
		<-ctx.Done()
		c.queue.ShutDown()
	})
	for {
		uid, shutdown := c.queue.Get()
		if shutdown {
			break
		}
		c.process(ctx, uid)
		c.queue.Done(uid)
	}
	done.Wait()
}

func (c *conditions) process(ctx context.Context, uid types.UID) {
	c.mu.Lock()
	w, ok := c.wanted[uid]
	delete(c.wanted, uid)
	c.mu.Unlock()
	if !ok || c.rate.Wait(ctx) != nil || !c.yield(ctx, w.since.Add(yieldAtMost)) {
		return
	}
	err := c.write(ctx, uid, w)
	if err == nil || client.IgnoreNotFound(err) == nil {
		c.queue.Forget(uid)
		return
	}
	if !apierrors.IsConflict(err) && c.queue.NumRequeues(uid) >= maxWriteTries {
		log.FromContext(ctx).Error(err, "writing condition", "pod", w.pod)
		c.queue.Forget(uid)
		return
	}
	c.mu.Lock()
	if _, newer := c.wanted[uid]; !newer {
		c.wanted[uid] = w
	}
	c.mu.Unlock()
	c.queue.AddRateLimited(uid)
}

// yield lets pushes and their acknowledgements go first: each write is work for the API server and for all
// who watch pods, and after an edit as many are wanted as there are sidecars to
// be served. It waits until then at the latest. ok is false when ctx has ended.
func (c *conditions) yield(ctx context.Context, until time.Time) (ok bool) {
	for c.busy() && time.Now().Before(until) {
		timer := time.NewTimer(yieldFor)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
	return true
}

// write patches the one condition of the one pod: the UID in the patch makes it
// fail for another pod of that name, the version where another replica was
// faster.
func (c *conditions) write(ctx context.Context, uid types.UID, w wantedCondition) error {
	pod := &corev1.Pod{}
	err := c.client.Get(ctx, w.pod, pod)
	if apierrors.IsNotFound(err) {
		err = c.live.Get(ctx, w.pod, pod)
	}
	if err != nil {
		return err
	}
	if pod.UID != uid {
		return nil
	}
	if c.shown(uid, &w.condition, pod) || heardElsewhere(w.condition, w.sent, pod.Status.Conditions) {
		return nil
	}
	before := slices.Clone(pod.Status.Conditions) // the answer to the patch comes into pod
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": uid, "resourceVersion": pod.ResourceVersion},
		"status":   map[string]any{"conditions": []corev1.PodCondition{w.condition}},
	})
	if err != nil {
		return fmt.Errorf("encoding condition of pod %s: %w", w.pod, err)
	}
	if err := c.client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return fmt.Errorf("writing condition of pod %s: %w", w.pod, err)
	}
	c.announce(pod, before, w.condition)
	return nil
}

// announce remembers what was written, and emits an Event where it names a flaw
// that nobody knew of before.
func (c *conditions) announce(pod *corev1.Pod, before []corev1.PodCondition, written corev1.PodCondition) {
	c.mu.Lock()
	before = append(before, c.written[pod.UID])
	c.written[pod.UID] = written
	c.mu.Unlock()
	text := flaw(written)
	if text == "" || slices.ContainsFunc(before, func(old corev1.PodCondition) bool { return flaw(old) == text }) {
		return
	}
	c.events.Eventf(pod, nil, corev1.EventTypeWarning, v1alpha1.ReasonAttestationFailed, "Attest", "%s", text)
}

// flaw is what a condition says is wrong with a pod; empty, if nothing is.
func flaw(c corev1.PodCondition) string {
	if c.Type != ConditionScopeEnforced || c.Reason != v1alpha1.ReasonAttestationFailed {
		return ""
	}
	_, human, _ := strings.Cut(c.Message, "; ")
	return human
}

// shown tells whether the pod shows wanted already, and sets since when wanted
// has its status. Where the cache and what was written last disagree, the one
// trails the other, and nobody knows which.
func (c *conditions) shown(uid types.UID, wanted *corev1.PodCondition, cached *corev1.Pod) bool {
	c.mu.Lock()
	last, ours := c.written[uid]
	c.mu.Unlock()
	shown := date(wanted, cached.Status.Conditions)
	if ours {
		shown = date(wanted, []corev1.PodCondition{last}) && shown
	}
	return shown
}

// forget drops what was written of a pod that is gone.
func (c *conditions) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.written, uid)
}

// date sets since when c has its status, and tells whether it is shown already.
func date(c *corev1.PodCondition, shown []corev1.PodCondition) (already bool) {
	c.LastTransitionTime = metav1.Now()
	for _, old := range shown {
		if old.Type == c.Type && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
			return old.Reason == c.Reason && old.Message == c.Message
		}
	}
	return false
}
