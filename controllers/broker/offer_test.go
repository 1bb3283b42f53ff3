package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestOneJudgementForAllStreams changes the scope of many sidecars: the
// document is encoded once, however many they are, and not at all for an edit
// that gives nobody anything else.
func TestOneJudgementForAllStreams(t *testing.T) {
	const sidecars = 8
	var encoded, judged atomic.Int64
	w := newWorld(t, func(b *Broker) {
		judge := b.offers.judge
		b.offers.judge = func(ctx context.Context, d *dependencies, name types.NamespacedName, narrow func(*v1alpha1.ScopedCredential, error)) *offer {
			defer judged.Add(1)
			return judge(ctx, d, name, narrow)
		}
		b.offers.encode = func(c *bundle.Credential) (*bundle.Encoded, error) {
			encoded.Add(1)
			return bundle.EncodeCredential(c)
		}
	})
	var all []*fakeSidecar
	for i := range sidecars {
		all = append(all, w.connect(w.pod(fmt.Sprint("pod-", i), "agent", nil, "notes")))
	}
	for _, s := range all {
		s.awaitServed("notes")
	}
	states := func() (n int) {
		for _, s := range all {
			s.mu.Lock()
			n += s.states
			s.mu.Unlock()
		}
		return n
	}
	before, sent := encoded.Load(), states()
	judged.Store(0)
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Grants[0].HTTP.Paths = []string{"/issues"} })
	poll(t, "the edit is judged, though not accepted", func() bool { return judged.Load() > 0 })
	w.accept("notes")
	for _, s := range all {
		s.await("the accepted scope", func(st *bundle.State) bool {
			c := find(st, "notes")
			return c != nil && c.Grants[0].HTTP.Paths[0] == "/issues"
		})
	}
	if n := encoded.Load() - before; n != 1 {
		t.Errorf("%d encodings of one change for %d sidecars", n, sidecars)
	}
	if n := states() - sent; n != sidecars {
		t.Errorf("%d states for %d sidecars", n, sidecars)
	}
}

// woken counts how often it is touched.
type woken struct{ touched atomic.Int64 }

func (w *woken) touch() { w.touched.Add(1) }

// TestOfferIsToldWhereItChanges publishes offers to one that depends on them.
func TestOfferIsToldWhereItChanges(t *testing.T) {
	name := types.NamespacedName{Namespace: "agents", Name: "notes"}
	version := func(change func(*v1alpha1.ScopedCredential)) *v1alpha1.ScopedCredential {
		sc := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{UID: "u", Generation: 3}}
		sc.Spec.Holders.ServiceAccounts = []string{"agent"}
		change(sc)
		return sc
	}
	same := func(*v1alpha1.ScopedCredential) {}
	end := metav1.NewTime(attestNow)
	base := func() *offer {
		return &offer{
			live: version(same), accepted: version(same), lifetime: time.Minute,
			document: bundle.Credential{Object: bundle.Object{UID: "u", Generation: 3}, SecretVersion: "1"},
		}
	}
	for what, tc := range map[string]struct {
		why    string
		change func(*offer)
		told   bool
	}{
		"nothing": {"nobody has to look", func(*offer) {}, false},
		"unaccepted scope": {"what was accepted goes on", func(o *offer) {
			o.live = version(func(sc *v1alpha1.ScopedCredential) { sc.Generation, sc.Spec.Mode = 4, v1alpha1.ModeObserve })
		}, false},
		"suspended":          {"it takes away", func(o *offer) { o.live.Spec.Suspend = true }, true},
		"suspended before":   {"it was taken away, and is not given back", func(o *offer) { o.accepted.Spec.Suspend = true }, true},
		"holder":             {"one less", func(o *offer) { o.live.Spec.Holders.ServiceAccounts = nil }, true},
		"end":                {"it ends sooner", func(o *offer) { o.live.Spec.ExpiresAt = &end }, true},
		"never accepted":     {"nothing holds any more", func(o *offer) { o.accepted = nil }, true},
		"gone":               {"there is no object", func(o *offer) { o.live = nil }, true},
		"made anew":          {"another object", func(o *offer) { o.live.UID = "v" }, true},
		"withdrawn":          {"nothing is served", func(o *offer) { o.withdraw(withdraw(scope.Revoked, "x")) }, true},
		"unknown":            {"it has to be asked again", func(o *offer) { o.withdraw(errors.New("x")) }, true},
		"generation":         {"the accepted scope", func(o *offer) { o.document.Generation = 4 }, true},
		"upstream":           {"where it goes", func(o *offer) { o.document.Upstream.Generation = 2 }, true},
		"secret":             {"the key", func(o *offer) { o.document.SecretVersion = "2" }, true},
		"end of document":    {"the lease", func(o *offer) { o.document.ExpiresAt = attestNow }, true},
		"lifetime of tokens": {"the next token", func(o *offer) { o.lifetime = time.Hour }, true},
	} {
		x, w := newIndex(), &woken{}
		f := &offering{offers: &offers{index: x, encode: bundle.EncodeCredential}, name: name}
		x.add(w, key{kindOffer, name})
		f.publish(base())
		next := base()
		tc.change(next)
		f.publish(next)
		if told := w.touched.Load() == 2; told != tc.told {
			t.Errorf("%s: told %v: %s", what, told, tc.why)
		}
		if current := f.current.Load(); (current == next) != tc.told {
			t.Errorf("%s: the offer is not the one that was told of", what)
		}
	}
	for _, reasons := range [][2]error{
		{withdraw(scope.Revoked, "x"), withdraw(scope.Expired, "x")}, {withdraw(scope.Revoked, "x"), withdraw(scope.Revoked, "y")},
		{withdraw(scope.Revoked, "x"), errors.New("x")}, {errors.New("x"), nil},
	} {
		if sameError(reasons[0], reasons[1]) || !sameError(reasons[0], reasons[0]) {
			t.Errorf("%v and %v are the same", reasons[0], reasons[1])
		}
	}
}

// TestWithdrawalsDoNotWaitForRecords has the API server not answer what was
// accepted, after an edit that takes away.
func TestWithdrawalsDoNotWaitForRecords(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		edit   func(*world)
		reason scope.Reason
	}{
		"suspend": {"an edit that takes away", func(w *world) {
			w.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true })
		}, scope.Suspended},
		"holders and scope": {"one that takes away and changes the scope", func(w *world) {
			w.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) {
				s.Holders.ServiceAccounts, s.Grants[0].HTTP.Paths = []string{"stranger"}, []string{"/x"}
			})
		}, scope.Revoked},
		"consumers": {"an edit of the other object", func(w *world) {
			up := w.getUpstream()
			up.Spec.Consumers.Namespaces = []string{}
			if err := admin.Update(w.ctx, up); err != nil {
				w.t.Fatal(err)
			}
		}, scope.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hangs atomic.Bool
			w := newWorld(t, func(b *Broker) { b.records = hanging{b.records, &hangs} })
			s := w.connect(w.pod("a", "agent", nil, "notes"))
			s.awaitServed("notes")
			hangs.Store(true)
			tc.edit(w)
			s.awaitDenied("notes", tc.reason)
		})
	}
}

// hanging are records that cannot be read while hangs is set.
type hanging struct {
	Records
	hangs *atomic.Bool
}

func (h hanging) ScopedCredential(ctx context.Context, sc *v1alpha1.ScopedCredential) (*v1alpha1.ScopedCredential, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Records.ScopedCredential(ctx, sc)
}

// TestUnknownIsLookedForAgain has a record that cannot be read for a while: what
// was served goes on, and what is new is served once it can be.
func TestUnknownIsLookedForAgain(t *testing.T) {
	var fails atomic.Bool
	w := newWorld(t, func(b *Broker) { b.records = failing{b.records, &fails} })
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	first := s.awaitServed("notes")
	fails.Store(true)
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Grants[0].HTTP.Paths = []string{"/issues"} })
	w.accept("notes")
	name := types.NamespacedName{Namespace: w.agents, Name: "notes"}
	poll(t, "it cannot be judged", func() bool { return unknown(w.broker.offers.of(name).to("agent", time.Now())) })
	if c := s.awaitServed("notes"); c.Generation != first.Generation {
		t.Errorf("generation %d is served", c.Generation)
	}
	fails.Store(false)
	s.await("the accepted scope", func(st *bundle.State) bool { return find(st, "notes").Generation > first.Generation })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.revoked) > 0 {
		t.Errorf("revoked: %v", s.revoked)
	}
}

// failing are records that cannot be read while fails is set.
type failing struct {
	Records
	fails *atomic.Bool
}

func (f failing) ScopedCredential(ctx context.Context, sc *v1alpha1.ScopedCredential) (*v1alpha1.ScopedCredential, error) {
	if f.fails.Load() {
		return nil, errors.New("the API server does not answer")
	}
	return f.Records.ScopedCredential(ctx, sc)
}

// TestNobodyAsksAnyMore holds that an offer is kept no longer than a stream that
// asks for it, and nothing that it was judged by either.
func TestNobodyAsksAnyMore(t *testing.T) {
	w := newWorld(t)
	pods := []*corev1.Pod{w.pod("a", "agent", nil, "notes"), w.pod("b", "agent", nil, "notes")}
	for _, pod := range pods {
		s := w.connect(pod)
		s.awaitServed("notes")
		defer s.stop()
	}
	for i, pod := range pods {
		zero := int64(0)
		if err := admin.Delete(w.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
			t.Fatal(err)
		}
		poll(t, "the stream ends", func() bool {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			return w.broker.byPod[pod.UID] == nil
		})
		poll(t, "what nobody asks for is forgotten", func() bool {
			w.broker.offers.mu.Lock()
			kept := len(w.broker.offers.all)
			w.broker.offers.mu.Unlock()
			w.broker.index.mu.Lock()
			defer w.broker.index.mu.Unlock()
			if i == 0 {
				return kept == 1 && len(w.broker.index.byKey) > 0
			}
			return kept == 0 && len(w.broker.index.byKey) == 0 && len(w.broker.index.byJudged) == 0
		})
	}
}

// TestPushesComeFirst wants a condition while a stream has news to be judged:
// the pod is told of it after that, and in any case before long.
func TestPushesComeFirst(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "a", UID: "uid-1"}}
	asked, writtenAt := 0, 0
	c := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(pod).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			writtenAt = asked
			return nil
		},
	}).Build()
	write := func(since time.Time, busy func() bool) {
		t.Helper()
		conditions := newConditions(c, c, events.NewFakeRecorder(1))
		conditions.busy = func() bool { asked++; return busy() }
		asked, writtenAt = 0, 0
		condition := corev1.PodCondition{Type: ConditionScopeEnforced, Status: corev1.ConditionTrue}
		conditions.wanted[pod.UID] = wantedCondition{pod: client.ObjectKeyFromObject(pod), condition: condition, since: since}
		conditions.process(t.Context(), pod.UID)
	}
	write(time.Now(), func() bool { return asked < 3 })
	if writtenAt != 3 {
		t.Errorf("written when asked %d times, and nothing is pushed from the third on", writtenAt)
	}
	write(time.Now().Add(-yieldAtMost), func() bool { return true })
	if writtenAt != 1 {
		t.Errorf("written when asked %d times: whoever is pushed to for ever must not keep others from being told", writtenAt)
	}
}

// TestWhatIsOwed holds when a broker has something more urgent to do than to
// tell: while a stream has news, and while its sidecar may be about to
// acknowledge them. One that never does holds nothing up.
func TestWhatIsOwed(t *testing.T) {
	clock := testingclock.NewFakeClock(attestNow)
	b := &Broker{byPod: map[types.UID]*stream{}, clock: clock, conditions: newConditions(admin, admin, events.NewFakeRecorder(1))}
	s := newStream(b, attestID, [32]byte{})
	b.byPod[attestID.UID] = s
	owes := func(want bool, why string) {
		t.Helper()
		if b.owes() != want {
			t.Errorf("owes is not %v: %s", want, why)
		}
	}
	owes(false, "nothing has happened")
	s.touch()
	owes(true, "something that it depends on has changed")
	<-s.dirty
	owes(false, "it was judged, and nothing is new")
	push := func(digest string) {
		s.tell(func(r *report) { r.sent, s.pushed = Enforcement{Digest: digest}, clock.Now() })
	}
	push("1")
	owes(true, "a state was sent")
	s.ack(&bundle.Ack{Version: bundle.Version, Applied: true, Digest: "0"})
	owes(true, "an older one is acknowledged")
	s.ack(&bundle.Ack{Version: bundle.Version, Applied: true, Digest: "1"})
	owes(false, "it is acknowledged")
	push("2")
	clock.Step(yieldAtMost)
	owes(false, "it has had its time")
}

// TestNewTokenKeysAreSent rotates the keys while nothing else happens: sidecars
// must know a key before a token is signed with it elsewhere.
func TestNewTokenKeysAreSent(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	s.awaitServed("notes")
	before := s.await("a state", func(st *bundle.State) bool { return st != nil })
	shown := w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	poll(t, "the stream has looked at its pod, which shows that", func() bool {
		cached := &corev1.Pod{}
		err := w.broker.client.Get(w.ctx, client.ObjectKeyFromObject(pod), cached)
		return err == nil && slices.Contains(cached.Status.Conditions, shown) && !w.broker.owes()
	})
	day := time.Now().Add(25 * time.Hour)
	keeper := &tokenkey.Keeper{Secrets: clients.CoreV1(), Namespace: system, Now: func() time.Time { return day }}
	if _, err := keeper.Keep(w.ctx); err != nil {
		t.Fatal(err)
	}
	s.await("the next key", func(st *bundle.State) bool { return st.TokenKeys[0].ID != before.TokenKeys[0].ID })
}
