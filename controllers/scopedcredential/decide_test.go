package scopedcredential

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/broker"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// credential is generation 4 of agents/notes, which compiles.
func credential(edit ...func(*v1alpha1.ScopedCredential)) *v1alpha1.ScopedCredential {
	sc := &v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "notes", UID: "uid-1", Generation: 4},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Namespace: "platform", Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants: []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{
				Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/notes"},
			}}},
		},
	}
	for _, e := range edit {
		e(sc)
	}
	return sc
}

func refusable(sc *v1alpha1.ScopedCredential) {
	sc.Spec.Mode = v1alpha1.ModeObserve // not enforced by this release
}

func upstream() *v1alpha1.UpstreamSecret {
	return &v1alpha1.UpstreamSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "platform", Name: "github", UID: "uid-2", Generation: 1},
		Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{
				Name: "rest", URL: "https://api.example.com", Profile: "strict", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}},
			}},
			Source:    v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "token", Key: "token"}},
			Consumers: &v1alpha1.Consumers{Namespaces: []string{"agents"}},
		},
	}
}

func resolvedRefs(status metav1.ConditionStatus, reason string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionResolvedRefs, Status: status, Reason: reason, Message: "Secret platform/token"}}
}

// pod is a running pod whose sidecar acknowledged generation; 0: none.
func pod(name string, generation int64, edit ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: name}}
	p.Spec.ServiceAccountName = "agent"
	p.Status.Phase = corev1.PodRunning
	e := broker.Enforcement{Digest: "d"}
	if generation != 0 {
		e.Credentials = map[string]int64{"notes": generation}
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: broker.ConditionScopeEnforced, Status: "True", Reason: broker.ReasonEnforced, Message: e.String()}}
	for _, f := range edit {
		f(&p)
	}
	return p
}

func because(reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = "False", reason }
}

func phase(to corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = to }
}

func account(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }
}

func TestDecide(t *testing.T) {
	good := observation{upstream: upstream(), upstreamConditions: resolvedRefs("True", "Accepted")}
	with := func(edit func(*observation)) observation {
		o := good
		edit(&o)
		return o
	}
	pods := func(all ...corev1.Pod) observation { return with(func(o *observation) { o.pods = all }) }
	suspended := func(sc *v1alpha1.ScopedCredential) { sc.Spec.Suspend = true }
	old := func(edit ...func(*v1alpha1.ScopedCredential)) *v1alpha1.ScopedCredential {
		return credential(append(edit, func(sc *v1alpha1.ScopedCredential) { sc.Generation = 3 })...)
	}
	ended := func(sc *v1alpha1.ScopedCredential) { sc.Spec.ExpiresAt = &metav1.Time{Time: now} }

	for name, tc := range map[string]struct {
		why                string
		sc                 *v1alpha1.ScopedCredential
		o                  observation
		accepted, resolved string
		enforced, ready    string
		sidecars           string
		text               string // in Ready's message
		pending            int32
	}{
		"new": {
			why: "nobody uses it yet, which is no fault", sc: credential(), o: good,
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "True/Accepted", sidecars: "0/0",
		},
		"enforced": {
			why: "all acknowledged", sc: credential(), o: pods(pod("a", 4), pod("b", 4)),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/Accepted", ready: "True/Accepted", sidecars: "2/2",
		},
		"outdated": {
			why: "status never runs ahead of a sidecar", sc: credential(), o: pods(pod("a", 4), pod("b", 3)),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Pending", sidecars: "1/2", text: "pod b", pending: 1,
		},
		"not heard of": {
			why: "a running pod that nobody has reported on may hold anything", sc: credential(),
			o:        pods(pod("a", 0, func(p *corev1.Pod) { p.Status.Conditions = nil })),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Pending", sidecars: "0/1",
		},
		"nonsense": {
			why: "what cannot be read enforces nothing", sc: credential(),
			o:        pods(pod("a", 4, func(p *corev1.Pod) { p.Status.Conditions[0].Message += " more" })),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Pending", sidecars: "0/1",
		},
		"starting": {
			why: "it holds nothing yet", sc: credential(), o: pods(pod("a", 0, phase(corev1.PodPending))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "True/Accepted", sidecars: "0/0",
		},
		"starting, and served": {
			why: "an init container may use it", sc: credential(), o: pods(pod("a", 3, phase(corev1.PodPending))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Pending", sidecars: "0/1", pending: 1,
		},
		"ended": {
			why: "a pod that has ended asks for nothing", sc: credential(), o: pods(pod("a", 3, phase(corev1.PodSucceeded)), pod("b", 3, phase(corev1.PodFailed))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "True/Accepted", sidecars: "0/0",
		},
		"sidecar too old": {
			why: "a reason comes before one that is late", sc: credential(), o: pods(pod("a", 3), pod("b", 0, because("SidecarRefused"))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/SidecarRefused", ready: "False/SidecarRefused", sidecars: "0/2", text: "pod b", pending: 1,
		},
		"tampered": {
			why: "the pod is not what injection made of it", sc: credential(), o: pods(pod("a", 0, because("AttestationFailed"))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/AttestationFailed", ready: "False/AttestationFailed", sidecars: "0/1",
		},
		"no holder": {
			why: "asking is free, and counts for nothing", sc: credential(), o: pods(pod("a", 0, account("other"))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "True/Accepted", sidecars: "0/0",
		},
		"holder no more": {
			why: "it has not let go yet", sc: credential(), o: pods(pod("a", 4, account("other"))),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Pending", sidecars: "0/0", pending: 1,
		},
		"refused, none before": {
			why: "every request is refused, and it says so", sc: credential(refusable), o: good,
			accepted: "False/Unsupported", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "False/Unsupported", sidecars: "0/0", text: "every request is refused",
		},
		"refused, one before": {
			why: "what was accepted stays in force, and its sidecars enforce it", sc: credential(refusable),
			o:        with(func(o *observation) { o.previous, o.pods = old(), []corev1.Pod{pod("a", 3)} }),
			accepted: "False/Unsupported", resolved: "True/Accepted", enforced: "True/Accepted", ready: "False/Unsupported", sidecars: "1/1", text: "generation 3 stays in force",
		},
		"refused, and so is the one before": {
			why: "what was accepted fits no more", sc: credential(refusable),
			o:        with(func(o *observation) { o.previous = old(refusable) }),
			accepted: "False/Unsupported", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "False/Unsupported", sidecars: "0/0", text: "every request is refused",
		},
		"no upstream": {
			why: "the words are those of admission", sc: credential(), o: observation{},
			accepted: "Unknown/Pending", resolved: "False/NotFound", enforced: "True/NoSidecars", ready: "False/NotFound", sidecars: "0/0", text: compile.UpstreamNotFound("platform", "github"),
		},
		"upstream gone": {
			why: "its sidecars have to let go", sc: credential(), o: observation{previous: credential(), pods: []corev1.Pod{pod("a", 4)}},
			accepted: "Unknown/Pending", resolved: "False/NotFound", enforced: "False/Pending", ready: "False/NotFound", sidecars: "0/1", pending: 1,
		},
		"no key": {
			why: "the owner of the upstream has to act", sc: credential(),
			o:        with(func(o *observation) { o.upstreamConditions = resolvedRefs("False", "NotPermitted") }),
			accepted: "True/Accepted", resolved: "False/NotPermitted", enforced: "True/NoSidecars", ready: "False/NotPermitted", sidecars: "0/0", text: "its owner",
		},
		"key not looked at": {
			why: "nobody has to act", sc: credential(),
			o:        with(func(o *observation) { o.upstreamConditions = nil }),
			accepted: "True/Accepted", resolved: "Unknown/Pending", enforced: "True/NoSidecars", ready: "Unknown/Pending", sidecars: "0/0",
		},
		"suspended": {
			why: "it serves nobody, and one still has to let go", sc: credential(suspended), o: pods(pod("a", 0), pod("b", 4)),
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "False/Pending", ready: "False/Suspended", sidecars: "1/2", pending: 1,
		},
		"suspended by a refused edit": {
			why: "an edit that is refused may take away", sc: credential(suspended, refusable),
			o:        with(func(o *observation) { o.previous = old() }),
			accepted: "False/Unsupported", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "False/Suspended", sidecars: "0/0",
		},
		"resumed by a refused edit": {
			why: "and may not give back", sc: credential(refusable),
			o:        with(func(o *observation) { o.previous = old(suspended) }),
			accepted: "False/Unsupported", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "False/Suspended", sidecars: "0/0",
		},
		"expired": {
			why: "the end is the end", sc: credential(ended), o: good,
			accepted: "True/Accepted", resolved: "True/Accepted", enforced: "True/NoSidecars", ready: "False/Expired", sidecars: "0/0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sc := tc.sc
			judge(sc, &tc.o)
			decide(sc, tc.o, now)
			for kind, want := range map[string]string{"Accepted": tc.accepted, "ResolvedRefs": tc.resolved, "Enforced": tc.enforced, "Ready": tc.ready} {
				c := meta.FindStatusCondition(sc.Status.Conditions, kind)
				if got := string(c.Status) + "/" + c.Reason; got != want {
					t.Errorf("%s is %s, want %s: %s", kind, got, want, tc.why)
				}
				if strings.Contains(c.Message, "platform/token") {
					t.Errorf("%s names the Secret: %s", kind, c.Message)
				}
			}
			if got := sc.Status.Sidecars.Summary; got != tc.sidecars {
				t.Errorf("sidecars %s, want %s: %s", got, tc.sidecars, tc.why)
			}
			if c := meta.FindStatusCondition(sc.Status.Conditions, "Ready"); !strings.Contains(c.Message, tc.text) {
				t.Errorf("Ready says %q, want it to tell %q: %s", c.Message, tc.text, tc.why)
			}
			var pending int32
			if r := sc.Status.Revocation; r != nil {
				pending = r.PendingTotal
			}
			if pending != tc.pending {
				t.Errorf("%d sidecars have not let go, want %d: %s", pending, tc.pending, tc.why)
			}
			// Later, nothing has changed but the clock: nothing is written.
			before := sc.Status.DeepCopy()
			decide(sc, tc.o, now.Add(time.Minute))
			if diff := cmp.Diff(before, &sc.Status); diff != "" {
				t.Errorf("a second run changes the status (-first +second):\n%s", diff)
			}
		})
	}
}

func TestStatusIsThatOfWhatIsInForce(t *testing.T) {
	accepted := credential(func(sc *v1alpha1.ScopedCredential) { sc.Generation = 3 })
	o := observation{upstream: upstream(), previous: accepted}
	judge(accepted, &o)
	decide(accepted, o, now)

	refused := credential(refusable, func(sc *v1alpha1.ScopedCredential) {
		sc.Spec.Grants[0].HTTP.Methods = []v1alpha1.Method{"DELETE"}
	})
	o = observation{upstream: upstream(), previous: accepted}
	judge(refused, &o)
	decide(refused, o, now)
	if refused.Status.ScopeHash != accepted.Status.ScopeHash || refused.Status.ScopeHash == "" {
		t.Errorf("scopeHash %q, want that of the accepted generation, %q", refused.Status.ScopeHash, accepted.Status.ScopeHash)
	}
	if diff := cmp.Diff(accepted.Status.Reach, refused.Status.Reach); diff != "" {
		t.Errorf("reach (-accepted +refused):\n%s", diff)
	}
}

func TestUntilExpiry(t *testing.T) {
	at := func(d time.Duration) func(*v1alpha1.ScopedCredential) {
		return func(sc *v1alpha1.ScopedCredential) { sc.Spec.ExpiresAt = &metav1.Time{Time: now.Add(d)} }
	}
	for name, tc := range map[string]struct {
		why string
		sc  *v1alpha1.ScopedCredential
		o   observation
		in  time.Duration
	}{
		"never":   {"there is no end", credential(), observation{}, 0},
		"ahead":   {"its status changes then", credential(at(time.Hour)), observation{}, time.Hour},
		"passed":  {"nothing changes any more", credential(at(-time.Hour)), observation{}, 0},
		"refused": {"what is in force ends too", credential(), observation{refused: compile.ErrRefused, previous: credential(at(time.Minute))}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := untilExpiry(tc.sc, tc.o, now); got != tc.in {
				t.Errorf("look again in %v, want %v: %s", got, tc.in, tc.why)
			}
		})
	}
}

func TestRevocationIsBounded(t *testing.T) {
	var o observation
	for i := range 100 {
		o.pods = append(o.pods, pod("pod-"+string(rune('a'+i%26))+string(rune('a'+i/26)), 3))
	}
	sc := credential()
	r := revocation(sc, o, holders(sc, o, 4), now)
	if r.PendingTotal != 100 || len(r.Pending) != maxPending {
		t.Errorf("total %d, listed %d", r.PendingTotal, len(r.Pending))
	}
}

// TestRevocationIsNeverTooEarly looks again and again at a sidecar that has not
// acknowledged: what its status promises must hold for the lease that it has.
func TestRevocationIsNeverTooEarly(t *testing.T) {
	sc := credential(func(sc *v1alpha1.ScopedCredential) { sc.Spec.MaxOffline = &metav1.Duration{Duration: time.Minute} })
	previous := credential(func(sc *v1alpha1.ScopedCredential) {
		sc.Generation, sc.Spec.MaxOffline = 3, &metav1.Duration{Duration: 5 * time.Minute}
	})
	for _, step := range []struct {
		why       string
		after     time.Duration
		enforces  int64
		ends      time.Duration // from now, without the leeway
		forgotten bool          // of what was accepted before
	}{
		{"the lease is that of what it holds, which the edit made shorter", 0, 3, 5 * time.Minute, false},
		{"it is counted from the first look", time.Minute, 3, 5 * time.Minute, false},
		{"it has acknowledged another one, and has its lease extended by that", 2 * time.Minute, 2, 62 * time.Minute, false},
		{"what it holds is not known any more", 3 * time.Minute, 3, 63 * time.Minute, true},
	} {
		o := observation{previous: previous, pods: []corev1.Pod{pod("a", step.enforces)}}
		if step.forgotten {
			o.previous = nil
		}
		at := now.Add(step.after)
		sc.Status.Revocation = revocation(sc, o, holders(sc, o, 4), at)
		got := sc.Status.Revocation.Pending[0]
		end := now.Add(step.ends + leaseLeeway)
		if got.LeaseEnds.Time.Before(end) || got.LeaseEnds.After(end.Add(time.Second)) || got.Generation != step.enforces {
			t.Errorf("%s: got %v, want generation %d and %v", step.why, got, step.enforces, end)
		}
	}
}
