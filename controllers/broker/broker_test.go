package broker

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestStateIsServed(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	c := s.awaitServed("notes")
	if c.Secret.Reveal() != "the-real-key" {
		t.Error("the key is not the Secret's value without its line end")
	}
	st := s.await("a state", func(st *bundle.State) bool { return st != nil })
	v, err := token.NewVerifier(st.TokenKeys)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := v.Verify(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Check(time.Now(), string(pod.UID), c.UID); err != nil {
		t.Error(err)
	}
	if claims.Subject != "system:serviceaccount:"+w.agents+":agent" || claims.Scope != c.ScopeHash || claims.Upstream.SecretVersion != c.SecretVersion {
		t.Errorf("claims %+v do not fit the document", claims)
	}
	if now := time.Now(); c.LeaseEnds.Before(now) || c.LeaseEnds.After(now.Add(c.MaxOffline)) || st.LeaseEnds.Before(c.LeaseEnds) {
		t.Errorf("lease ends %s, that of the state %s", c.LeaseEnds, st.LeaseEnds)
	}
	if st.Roots != roots {
		t.Error("the state lacks the authorities")
	}
	condition := w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
	e, ok := ParseEnforcement(condition.Message)
	if !ok || e.Digest != st.Digest || e.Credentials["notes"] != c.Generation {
		t.Errorf("condition says %q", condition.Message)
	}
}

// TestChangesArePushed walks one credential through what may happen to it,
// over one stream.
func TestChangesArePushed(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	first := s.awaitServed("notes")

	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Grants[0].HTTP.Paths = []string{"/issues"} })
	w.accept("notes")
	s.await("the accepted scope", func(st *bundle.State) bool {
		c := find(st, "notes")
		return c != nil && c.Grants[0].HTTP.Paths[0] == "/issues" && c.Generation > first.Generation && c.ScopeHash != first.ScopeHash
	})
	w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "github-token"}, StringData: map[string]string{"token": "rotated"}}
	if err := admin.Update(w.ctx, secret); err != nil {
		t.Fatal(err)
	}
	s.await("the rotated key", func(st *bundle.State) bool {
		c := find(st, "notes")
		return c != nil && c.Secret.Reveal() == "rotated" && c.SecretVersion != first.SecretVersion
	})

	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = true })
	s.awaitDenied("notes", scope.Suspended)
	s.mu.Lock()
	if !slices.Contains(s.revoked, first.UID+":Suspended") {
		t.Errorf("revoked: %v", s.revoked)
	}
	s.mu.Unlock()
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = false })
	w.accept("notes")
	s.awaitServed("notes")

	if err := admin.Delete(w.ctx, secret); err != nil {
		t.Fatal(err)
	}
	s.awaitDenied("notes", scope.NotReady)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.platform, Name: "github-token"}, StringData: map[string]string{"token": "third"}})
	s.awaitServed("notes")

	if err := admin.Delete(w.ctx, w.get("notes")); err != nil {
		t.Fatal(err)
	}
	s.awaitDenied("notes", scope.Revoked)
}

// TestWithdrawalsDoNotWait makes edits that nobody accepted.
func TestWithdrawalsDoNotWait(t *testing.T) {
	past := metav1.NewTime(time.Now().Add(-time.Minute))
	for name, tc := range map[string]struct {
		why    string
		edit   func(w *world)
		reason scope.Reason
	}{
		"holder": {"a name taken out of holders", func(w *world) {
			w.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.Holders.ServiceAccounts = []string{"stranger"} })
		}, scope.Revoked},
		"expiresAt": {"an end that has passed", func(w *world) {
			w.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.ExpiresAt = &past })
		}, scope.Expired},
		"consumers": {"a namespace taken out of consumers", func(w *world) {
			up := w.getUpstream()
			up.Spec.Consumers.Namespaces = []string{}
			if err := admin.Update(w.ctx, up); err != nil {
				w.t.Fatal(err)
			}
		}, scope.Revoked},
		"upstream": {"the UpstreamSecret is deleted", func(w *world) {
			if err := admin.Delete(w.ctx, w.getUpstream()); err != nil {
				w.t.Fatal(err)
			}
		}, scope.Revoked},
		"pod tampered with": {"an ephemeral container looks into the sidecar", func(w *world) {
			pod := &corev1.Pod{}
			if err := admin.Get(w.ctx, client.ObjectKey{Namespace: w.agents, Name: "a"}, pod); err != nil {
				w.t.Fatal(err)
			}
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug"},
				TargetContainerName:      inject.ContainerName,
			})
			if err := admin.SubResource("ephemeralcontainers").Update(w.ctx, pod); err != nil {
				w.t.Fatal(err)
			}
		}, scope.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.connect(w.pod("a", "agent", nil, "notes"))
			s.awaitServed("notes")
			tc.edit(w)
			s.awaitDenied("notes", tc.reason)
		})
	}
}

// TestRefusedEditsWait makes edits that would widen and that nobody accepted.
func TestRefusedEditsWait(t *testing.T) {
	w := newWorld(t)
	w.create(w.credential("other"))
	s := w.connect(w.pod("a", "agent", nil, "notes", "other"))
	stranger := w.connect(w.pod("b", "stranger", nil, "notes"))
	s.awaitServed("notes")
	s.awaitDenied("other", scope.NotReady) // never accepted
	stranger.awaitDenied("notes", scope.Revoked)

	first := s.awaitServed("notes")
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) {
		spec.Grants[0].HTTP.Paths = []string{"/repos", "/repos/{rest...}"}
		spec.Holders.ServiceAccounts = []string{"agent", "stranger"}
	})
	// An edit of the other is pushed after that of the first was judged.
	w.edit("other", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = true })
	s.awaitDenied("other", scope.Suspended)
	if c := s.awaitServed("notes"); c.Generation != first.Generation || c.ScopeHash != first.ScopeHash {
		t.Errorf("generation %d is served, accepted is %d", c.Generation, first.Generation)
	}
	stranger.awaitDenied("notes", scope.Revoked)
	w.accept("notes")
	stranger.awaitServed("notes")
}

// TestSuspendedByRecord holds that a refused edit gives nothing back.
func TestSuspendedByRecord(t *testing.T) {
	w := newWorld(t)
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = true })
	w.accept("notes")
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	s.awaitDenied("notes", scope.Suspended)
	w.edit("notes", func(spec *v1alpha1.ScopedCredentialSpec) { spec.Suspend = false })
	w.create(w.credential("other"))
	s.awaitDenied("notes", scope.Suspended)
	w.accept("notes")
	s.awaitServed("notes")
}

// TestStrangersGetNothing tries to open a stream with what is not the identity
// of a live pod with a sidecar.
func TestStrangersGetNothing(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	bare := w.pod("bare", "agent", func(p *corev1.Pod) {
		p.Spec.InitContainers = nil // a forger kept the marks
	}, "notes")
	shared := w.pod("shared", "agent", func(p *corev1.Pod) { yes := true; p.Spec.ShareProcessNamespace = &yes }, "notes")
	elsewhere := w.pod("elsewhere", "agent", nil, "notes")
	gone := w.token("agent", elsewhere, inject.Audience)
	zero := int64(0)
	if err := admin.Delete(w.ctx, elsewhere, &client.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatal(err)
	}
	forged := w.token("agent", pod, inject.Audience)
	const unknown, tampered = "answers 401", `refuses this pod: \"AttestationFailed`
	for name, tc := range map[string]struct{ why, token, answer string }{
		"API audience":      {"the pod's own API token", w.token("agent", pod, "https://kubernetes.default.svc"), unknown},
		"another audience":  {"a token for a vault", w.token("agent", pod, "vault"), unknown},
		"unbound":           {"minted with create serviceaccounts/token", w.token("agent", nil, inject.Audience), unknown},
		"forged":            {"the signature does not verify", forged[:len(forged)-8] + "AAAAAAAA", unknown},
		"pod is gone":       {"and another may have its name", gone, unknown},
		"no sidecar":        {"attestation", w.token("agent", bare, inject.Audience), tampered},
		"shared processes":  {"attestation", w.token("agent", shared, inject.Audience), tampered},
		"no token at all":   {"not even a JWT", "x", unknown},
		"token with spaces": {"one header, one token", forged + ".x", unknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.connectWith(tc.token, nil)
			poll(t, tc.why, func() bool { return strings.Contains(s.log.String(), tc.answer) })
			s.stop()
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.states > 0 {
				t.Errorf("a state was sent: %s", tc.why)
			}
		})
	}
	w.awaitCondition(bare, corev1.ConditionFalse, v1alpha1.ReasonAttestationFailed)
}

// TestPodOfThatNameAgain opens a stream, deletes the pod and creates another
// one with its name.
func TestPodOfThatNameAgain(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	s.awaitServed("notes")
	zero := int64(0)
	if err := admin.Delete(w.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatal(err)
	}
	w.pod("a", "agent", nil, "notes")
	s.awaitDenied("notes", scope.Revoked)
	// It is told so, or, where its acknowledgement met the end of the stream, hears
	// it when it comes back.
	poll(t, "the stream ends", func() bool {
		return strings.Contains(s.log.String(), "pod is gone") || strings.Contains(s.log.String(), "no such pod, or another one in its place")
	})
}

// TestSilenceIsNoEnd holds that a stream on which nothing is sent stays open: a
// frame has to be taken in time, and the next one may be long in coming.
func TestSilenceIsNoEnd(t *testing.T) {
	const timeout = 100 * time.Millisecond
	w := newWorld(t, func(b *Broker) { b.frameTimeout = timeout })
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	s.awaitServed("notes")
	later := time.Now().Add(5 * timeout)
	poll(t, "time passes", func() bool {
		if strings.Contains(s.log.String(), "ended") {
			t.Fatal("the stream ended by itself")
		}
		return time.Now().After(later)
	})
}

// TestPromptAcknowledgement has a sidecar that acknowledges a state before the
// broker is done with sending it.
func TestPromptAcknowledgement(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	id := identity.Identity{Pod: client.ObjectKeyFromObject(pod), UID: pod.UID, ServiceAccount: "agent", Node: "node-1", Expires: time.Now().Add(time.Hour)}
	s := newStream(w.broker, id, [sha256.Size]byte{})
	defer w.broker.close(s)
	send := func(line []byte) error {
		f, err := bundle.DecodeFrame(line)
		if err != nil {
			t.Fatal(err)
		}
		if f.State != nil {
			s.ack(&bundle.Ack{Version: bundle.Version, Applied: true, Digest: f.State.Digest})
		}
		return nil
	}
	poll(t, "a state is sent", func() bool {
		if err := s.refresh(t.Context(), send, time.Now()); err != nil {
			t.Fatal(err)
		}
		return s.digest != ""
	})
	w.awaitCondition(pod, corev1.ConditionTrue, ReasonEnforced)
}

func TestSidecarRefuses(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connectWith(w.token("agent", pod, inject.Audience), []bundle.ApplyError{
		{Credential: w.agents + "/notes", Reason: bundle.SidecarRefused, Detail: "no listener is bound to it"},
	})
	s.awaitServed("notes")
	condition := w.awaitCondition(pod, corev1.ConditionFalse, v1alpha1.ReasonSidecarRefused)
	e, ok := ParseEnforcement(condition.Message)
	if _, enforced := e.Credentials["notes"]; !ok || enforced || !strings.Contains(condition.Message, "no listener is bound to it") {
		t.Errorf("condition says %q", condition.Message)
	}
}

// TestBrokerRestarts holds that a sidecar keeps what it has meanwhile.
func TestBrokerRestarts(t *testing.T) {
	w := newWorld(t)
	s := w.connect(w.pod("a", "agent", nil, "notes"))
	s.awaitServed("notes")
	w.stop()
	<-w.stopped
	s.mu.Lock()
	states := s.states
	if len(s.revoked) > 0 || find(s.state, "notes") == nil {
		t.Error("the restart took something away")
	}
	s.mu.Unlock()
	address := w.address
	w.newBroker()
	w.serve(address)
	poll(t, "a state of the broker that came back", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.states > states && find(s.state, "notes") != nil
	})
	if s.mu.Lock(); len(s.revoked) > 0 {
		t.Errorf("revoked: %v", s.revoked)
	}
	s.mu.Unlock()
}

// TestNewStreamReplaces opens a second stream for one pod, as a sidecar that was
// restarted does.
func TestNewStreamReplaces(t *testing.T) {
	w := newWorld(t)
	w.private = t.TempDir()
	pod := w.pod("a", "agent", nil, "notes")
	first := w.connect(pod)
	first.awaitServed("notes")
	second := w.connect(pod)
	second.awaitServed("notes")
	poll(t, "the first stream ends", func() bool { return strings.Contains(first.log.String(), "another stream") })
}
