package rotation

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/broker"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// follows waits until the sidecar enforces an edit that is made now: it is
// connected, and what it was sent could be applied.
func (w *world) follows() {
	w.t.Helper()
	generation := w.edit(func(s *v1alpha1.ScopedCredentialSpec) {
		s.Grants[0].HTTP.Paths = append(s.Grants[0].HTTP.Paths[:2], "/round/"+strings.ToLower(time.Now().Format("150405.000000000")))
	})
	w.await("the sidecar enforces an edit", func() bool {
		pod := &corev1.Pod{}
		if err := api.Get(w.t.Context(), client.ObjectKeyFromObject(w.sidecar.Pod), pod); err != nil {
			w.t.Fatal(err)
		}
		for _, c := range pod.Status.Conditions {
			e, ok := broker.ParseEnforcement(c.Message)
			if c.Type == broker.ConditionScopeEnforced && c.Status == corev1.ConditionTrue && ok && e.Credentials["notes"] == generation {
				return true
			}
		}
		return false
	})
}

// TestRotations replaces everything that has an end, each under load: no
// request fails, and the sidecar goes on following what is accepted.
func TestRotations(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		rotate    func(*world)
	}{
		{"upstream's key", "the next request goes out with it", func(w *world) {
			for _, key := range []string{"key-1", "key-2", "key-3"} {
				w.setKey(key)
				w.await("the upstream is shown "+key, func() bool { return w.key.Load() == key })
			}
		}},
		{"token keys", "tokens by the one before are still in agents' hands", func(w *world) {
			before, err := w.sidecar.ScopedToken("notes")
			if err != nil {
				w.t.Fatal(err)
			}
			if err := fleet.KeepKeys(w.t.Context(), clients, time.Now().Add(25*time.Hour)); err != nil {
				w.t.Fatal(err)
			}
			w.follows()
			if status := w.get("/notes", before); status != http.StatusOK {
				w.t.Errorf("a token from before is answered %d", status)
			}
		}},
		{"authority", "old and new are trusted before the new one signs", func(w *world) {
			for _, at := range []time.Duration{0, 26 * time.Hour} {
				if err := fleet.KeepAuthority(w.t.Context(), clients, time.Now().Add(at)); err != nil {
					w.t.Fatal(err)
				}
				w.follows()
				w.sidecar.Connect(brokers[1]) // a handshake with what is served now
				w.follows()
				w.sidecar.Connect(brokers[0])
				w.follows()
			}
		}},
		{"identity token", "the file is read again for each connection", func(w *world) {
			for range 3 {
				if err := w.sidecar.RenewIdentity(w.t.Context(), clients); err != nil {
					w.t.Fatal(err)
				}
				w.sidecar.Connect(brokers[0])
				w.follows()
			}
		}},
		{"replica", "either serves", func(w *world) {
			w.sidecar.Connect(brokers[1])
			w.follows()
			w.sidecar.Connect(brokers[0])
			w.follows()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			stream := w.open()
			stop := w.load()
			tc.rotate(w)
			failed, total := stop()
			if failed > 0 || total == 0 {
				t.Errorf("%d of %d requests failed: %s", failed, total, tc.why)
			}
			select {
			case <-stream:
				t.Error("an open stream was cut")
			default:
			}
		})
	}
}

// TestAccessEnds takes access away in every way there is: the open stream ends,
// and later requests are refused and do not reach the upstream.
func TestAccessEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		why string
		cut func(*world)
	}{
		"suspend": {"the way of sallyport revoke", func(w *world) { w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true }) }},
		"expiresAt": {"its time comes", func(w *world) {
			end := metav1.NewTime(time.Now().Add(2 * time.Second))
			w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.ExpiresAt = &end })
		}},
		"deletion": {"nothing is left to hold", func(w *world) { w.remove(w.credential()) }},
		"holders": {"it is for somebody else", func(w *world) {
			w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Holders.ServiceAccounts = []string{"other"} })
		}},
		"Secret":   {"its owner took the key away", func(w *world) { w.remove(&corev1.Secret{ObjectMeta: w.named("key")}) }},
		"upstream": {"its owner took all away", func(w *world) { w.remove(&v1alpha1.UpstreamSecret{ObjectMeta: w.named("upstream")}) }},
		"pod":      {"whoever has its network namespace is not the pod any more", func(w *world) { w.remove(w.sidecar.Pod.DeepCopy()) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stream := w.open()
			tc.cut(w)
			w.await("the open stream ends", func() bool {
				select {
				case <-stream:
					return true
				default:
					return false
				}
			})
			seen := w.seen.Load()
			for range 20 {
				if status := w.get("/notes", w.sidecar.Handle); status != http.StatusForbidden && status != http.StatusServiceUnavailable {
					t.Errorf("%s: a later request is answered %d", tc.why, status)
				}
			}
			if n := w.seen.Load(); n != seen {
				t.Errorf("%s: %d later requests came to the upstream", tc.why, n-seen)
			}
		})
	}
}

func (w *world) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *world) remove(o client.Object) {
	w.t.Helper()
	zero := int64(0)
	if err := api.Delete(w.t.Context(), o, &client.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		w.t.Fatal(err)
	}
}

// TestNarrowing holds that an acknowledged narrower scope is the one that
// judges, at the first request after the status has said so, and of what is
// under way by then. A stream that is granted still goes on.
func TestNarrowing(t *testing.T) {
	w := newWorld(t)
	stream := w.open()
	ended := func() bool {
		select {
		case <-stream:
			return true
		default:
			return false
		}
	}
	narrow := func(paths ...string) {
		t.Helper()
		generation := w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Grants[0].HTTP.Paths = paths })
		w.await("status says that it is enforced", func() bool {
			sc := w.credential()
			c := meta.FindStatusCondition(sc.Status.Conditions, v1alpha1.ConditionEnforced)
			return c != nil && c.ObservedGeneration == generation && c.Status == metav1.ConditionTrue && sc.Status.Sidecars.Enforcing == 1
		})
	}
	narrow("/stream")
	seen := w.seen.Load()
	if status := w.get("/notes", w.sidecar.Handle); status != http.StatusForbidden || w.seen.Load() != seen {
		t.Errorf("what was taken away is answered %d", status)
	}
	if ended() {
		t.Error("a stream that is granted still was cut")
	}
	narrow("/other")
	w.await("the open stream ends", ended)
}

// TestPendingRevocation suspends a credential whose sidecar cannot be reached:
// status names its pod and a time, to which its lease holds.
func TestPendingRevocation(t *testing.T) {
	w := newWorld(t)
	w.follows()
	w.sidecar.Connect("127.0.0.1:1")
	held := w.credential().Generation
	before := time.Now()
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true })
	var r *v1alpha1.Revocation
	w.await("status names the pod and what it holds", func() bool {
		r = w.credential().Status.Revocation
		return r != nil && len(r.Pending) == 1 && r.Pending[0].Generation == held
	})
	if r.PendingTotal != 1 || r.Pending[0].Pod != w.sidecar.Pod.Name {
		t.Errorf("status says %+v", r)
	}
	if ends := r.Pending[0].LeaseEnds.Time; ends.Before(before.Add(10*time.Minute)) || ends.After(time.Now().Add(11*time.Minute)) {
		t.Errorf("its lease is said to end at %v, maxOffline is 10m", ends)
	}
	w.sidecar.Connect(brokers[1])
	w.await("status says that it has let go", func() bool { return w.credential().Status.Revocation == nil })
	if status := w.get("/notes", w.sidecar.Handle); status != http.StatusForbidden {
		t.Errorf("a revoked request is answered %d", status)
	}
}

// TestDeniedShowsOnThePod denies the same request many times.
func TestDeniedShowsOnThePod(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		if status := w.get("/admin", w.sidecar.Handle); status != http.StatusForbidden {
			t.Fatalf("out of scope, and answered %d", status)
		}
	}
	var notes []string
	w.await("an Event on the pod", func() bool { notes = w.events("OutOfScope"); return len(notes) > 0 })
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "requests with the credential notes were denied (50 so far)") {
		t.Errorf("the Events say %q", notes)
	}
}
