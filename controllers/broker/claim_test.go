package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

const refusedKey = `refuses this pod: \"AttestationFailed`

// restarted has the kubelet say how often the sidecar was.
func (w *world) restarted(pod *corev1.Pod, times int32) {
	w.t.Helper()
	poll(w.t, "the kubelet's word", func() bool {
		live := &corev1.Pod{}
		if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
			w.t.Fatal(err)
		}
		live.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: inject.ContainerName, RestartCount: times, Image: "x", ImageID: ""}}
		return admin.Status().Update(w.ctx, live) == nil
	})
}

// TestMintedTokenIsNotEnough has somebody mint a token that is bound to an
// injected pod, as no policy is there to refuse it, and connect from elsewhere:
// to API server and broker it is the pod's, and it gets nothing, at this replica
// and at another, while the sidecar goes on.
func TestMintedTokenIsNotEnough(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	own := w.connect(pod)
	own.awaitServed("notes")
	second := w.replica()
	for name, at := range map[string]*world{"this replica": w, "another": second} {
		thief := at.connectWith(at.token("agent", pod, inject.Audience), nil)
		poll(t, name+" refuses it", func() bool { return strings.Contains(thief.log.String(), refusedKey) })
		if thief.mu.Lock(); thief.states > 0 {
			t.Errorf("%s: a state was sent", name)
		}
		thief.mu.Unlock()
		thief.stop()
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	if find(own.state, "notes") == nil || len(own.revoked) > 0 || strings.Contains(own.log.String(), "another stream") {
		t.Errorf("the sidecar was cut off: %s", own.log)
	}
}

// TestTwoClaims has two connect for one pod at once, at two replicas: one is
// served.
func TestTwoClaims(t *testing.T) {
	w := newWorld(t)
	second := w.replica()
	pod := w.pod("a", "agent", nil, "notes")
	both := []*fakeSidecar{w.connect(pod), second.connect(pod)}
	served := func(s *fakeSidecar) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return find(s.state, "notes") != nil
	}
	poll(t, "one is served and the other refused", func() bool {
		for i, s := range both {
			if served(s) && strings.Contains(both[1-i].log.String(), refusedKey) {
				return true
			}
		}
		return false
	})
	if served(both[0]) && served(both[1]) {
		t.Error("both were served")
	}
}

// TestLostKey starts a sidecar that has no key any more, as after its node was
// started anew: it is served once the kubelet says that it was restarted. One
// that has its key is served all along, and a restart that it was seen through
// is no leave for others.
func TestLostKey(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	first := w.connect(pod)
	first.awaitServed("notes")
	first.stop()
	anew := w.connect(pod)
	poll(t, "it is refused", func() bool { return strings.Contains(anew.log.String(), refusedKey) })
	w.restarted(pod, 1)
	anew.awaitServed("notes")

	w.restarted(pod, 2) // with its key, and its stream open
	poll(t, "the claim follows the restart", func() bool {
		live := &corev1.Pod{}
		if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
			t.Fatal(err)
		}
		c, _ := claimOf(live)
		return c.restarts == 2
	})
	thief := w.connect(pod)
	poll(t, "another is refused", func() bool { return strings.Contains(thief.log.String(), refusedKey) })
	if s := anew.await("it is served still", func(s *bundle.State) bool { return s != nil }); find(s, "notes") == nil {
		t.Error("the sidecar was cut off")
	}
}

// TestTakenClaim has a pod kept to another key while a stream is open: that is
// cut off, and the pod shows it.
func TestTakenClaim(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	s := w.connect(pod)
	s.awaitServed("notes")
	poll(t, "the claim is written over", func() bool {
		live := &corev1.Pod{}
		if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
			t.Fatal(err)
		}
		for i := range live.Status.Conditions {
			if live.Status.Conditions[i].Type == ConditionSidecar {
				live.Status.Conditions[i].Message = "nonsense"
			}
		}
		return admin.Status().Update(w.ctx, live) == nil
	})
	s.awaitDenied("notes", scope.Revoked)
	w.awaitCondition(pod, corev1.ConditionFalse, "AttestationFailed")
}

// TestClaims holds how claims are read: what cannot be read is nobody's.
func TestClaims(t *testing.T) {
	for message, want := range map[string]claim{
		"key=ab restarts=3":          {"ab", 3},
		"key=ab restarts=3 x":        {"", 0},
		"key=ab":                     {"", 0},
		"":                           {"", 0},
		"key= restarts=1":            {"", 0},
		"ab restarts=3":              {"", 0},
		"key=ab restarts=+3":         {"", 0},
		"key=ab restarts=03":         {"", 0},
		"key=a b restarts=3":         {"", 0},
		"key=ab restarts=4294967296": {"", 0},
	} {
		pod := &corev1.Pod{}
		pod.Status.Conditions = []corev1.PodCondition{{Type: ConditionSidecar, Message: message}}
		if got, held := claimOf(pod); got != want || !held {
			t.Errorf("%q: %v, %v, want %v", message, got, held, want)
		}
	}
	if _, held := claimOf(&corev1.Pod{}); held {
		t.Error("a pod that nobody has connected for is claimed")
	}
}

// TestSourceAddress connects from an address that is none of the pod's: it is
// served, since addresses are rewritten, and one Event says so.
func TestSourceAddress(t *testing.T) {
	for name, tc := range map[string]struct {
		addresses []string
		told      bool
	}{
		"elsewhere": {[]string{"192.0.2.7", "2001:db8::7"}, true},
		"its own":   {[]string{"2001:db8::7", "127.0.0.1"}, false},
		"not known": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.private = t.TempDir()
			pod := w.pod("a", "agent", nil, "notes")
			for _, ip := range tc.addresses {
				pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
			}
			if len(tc.addresses) > 0 {
				pod.Status.PodIP = tc.addresses[0]
			}
			if err := admin.Status().Update(w.ctx, pod); err != nil {
				t.Fatal(err)
			}
			poll(t, "the broker sees the pod's addresses", func() bool {
				cached := &corev1.Pod{}
				return w.broker.client.Get(w.ctx, client.ObjectKeyFromObject(pod), cached) == nil && len(cached.Status.PodIPs) == len(tc.addresses)
			})
			for range 2 { // as often as it connects
				s := w.connect(pod)
				s.awaitServed("notes")
				s.stop()
			}
			recorder := w.broker.conditions.events.(*events.FakeRecorder)
			var told []string
			for len(recorder.Events) > 0 {
				told = append(told, <-recorder.Events)
			}
			if (len(told) == 1 && strings.Contains(told[0], "Warning SourceAddress") && strings.Contains(told[0], "127.0.0.1")) != tc.told || len(told) > 1 {
				t.Errorf("the Events say %q", told)
			}
		})
	}
}

// TestAckNeedsTheKey has somebody acknowledge with the sidecar's very token a
// state that the sidecar has refused: the pod goes on to show that.
func TestAckNeedsTheKey(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	token := w.token("agent", pod, inject.Audience)
	s := w.connectWith(token, []bundle.ApplyError{{Credential: w.agents + "/notes", Reason: bundle.SidecarRefused, Detail: "too new"}})
	st := s.await("a state", func(st *bundle.State) bool { return st != nil })
	w.awaitCondition(pod, corev1.ConditionFalse, "SidecarRefused")
	body, err := bundle.EncodeAck(&bundle.Ack{Version: bundle.Version, Digest: st.Digest, Applied: true})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(w.ctx, http.MethodPost, "/v1/ack", bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+token)
	for name, key := range map[string]*tls.ConnectionState{
		"no key": nil, "another key": {PeerCertificates: []*x509.Certificate{{RawSubjectPublicKeyInfo: []byte("x")}}},
	} {
		request.TLS = key
		answer := httptest.NewRecorder()
		w.broker.handle().ServeHTTP(answer, request)
		if answer.Code != http.StatusConflict {
			t.Errorf("%s: answered %d", name, answer.Code)
		}
	}
	w.awaitWritten()
	w.awaitCondition(pod, corev1.ConditionFalse, "SidecarRefused")
}
