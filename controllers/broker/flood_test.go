package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// reviews counts what the API server is asked about.
type reviews struct {
	identity.Reviews
	asked atomic.Int64
}

func (r *reviews) Create(ctx context.Context, review *authenticationv1.TokenReview, o metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	r.asked.Add(1)
	return r.Reviews.Create(ctx, review, o)
}

// TestFloodDoesNotReachTheAPIServer opens streams as a stranger may who reaches
// the Service: what cannot be good costs no review, and what could be costs an
// address no more than its limit.
func TestFloodDoesNotReachTheAPIServer(t *testing.T) {
	asked := &reviews{Reviews: clients.AuthenticationV1().TokenReviews()}
	w := newWorld(t, func(b *Broker) { b.limits = identity.Limits{PerSecond: 0, Burst: streamBurst} })
	w.broker.reviewer = identity.New(asked, w.issuer(), time.Now)
	open := func(address, token string) int {
		answer := httptest.NewRecorder()
		w.broker.handle().ServeHTTP(answer, w.opening(address, token))
		return answer.Code
	}
	for _, token := range []string{"", "x", "a.b.c", w.token("agent", nil, "vault"), w.token("agent", nil, "https://kubernetes.default.svc")} {
		for range 50 {
			if status := open("192.0.2.1:1", token); status != http.StatusUnauthorized {
				t.Fatalf("answered %d", status)
			}
		}
	}
	if n := asked.asked.Load(); n != 0 {
		t.Errorf("%d reviews of what cannot be good", n)
	}
	good := w.token("agent", nil, inject.Audience)
	limited := 0
	for i := range 50 {
		// Each is another token, so that no answer is remembered.
		if open(fmt.Sprintf("192.0.2.2:%d", i), good[:len(good)-4]+fmt.Sprintf("%04d", i)) == http.StatusTooManyRequests {
			limited++
		}
	}
	if n := asked.asked.Load(); n != streamBurst || limited != 50-streamBurst {
		t.Errorf("%d reviews, %d refused unseen, want %d and %d", n, limited, streamBurst, 50-streamBurst)
	}
	if status := open("192.0.2.3:1", good); status != http.StatusUnauthorized {
		t.Errorf("another address is answered %d: one flood must not shut out others", status)
	}
}

// opening is the request for a stream from an address.
func (w *world) opening(address, token string) *http.Request {
	r := httptest.NewRequestWithContext(w.ctx, http.MethodPost, "/v1/stream", http.NoBody)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Sallyport-Document", fmt.Sprint(bundle.Version))
	return r
}

// TestOthersAtAnAddressAreNotKeptWaiting floods the broker from an address that
// pods share, as behind a node that translates theirs: whoever came before with
// the same token is let in, and so is whoever has that address and a new one.
// A claim alone is worth nothing.
func TestOthersAtAnAddressAreNotKeptWaiting(t *testing.T) {
	w := newWorld(t, func(b *Broker) { b.limits = identity.Limits{PerSecond: 0, Burst: streamBurst} })
	const node = "192.0.2.10"
	pod, other := w.pod("a", "agent", nil, "notes"), w.pod("b", "agent", nil, "notes")
	for _, p := range []*corev1.Pod{pod, other} {
		p.Status.HostIP, p.Status.HostIPs = node, []corev1.HostIP{{IP: node}}
		if err := admin.Status().Update(w.ctx, p); err != nil {
			t.Fatal(err)
		}
		poll(t, "the broker sees the pod's addresses", func() bool {
			cached := &corev1.Pod{}
			return w.broker.client.Get(w.ctx, client.ObjectKeyFromObject(p), cached) == nil && len(cached.Status.HostIPs) == 1
		})
	}
	limited := func(address, token string) bool {
		_, err := w.broker.precheck(w.opening(address+":1", token))
		var r *refusal
		if err != nil && (!errors.As(err, &r) || r.Status != http.StatusTooManyRequests) {
			t.Fatal(err)
		}
		return err != nil
	}
	flood := func(address, token string) {
		t.Helper()
		through := 0
		for i := range 50 {
			if !limited(address, token[:len(token)-4]+fmt.Sprintf("%04d", i)) {
				through++
			}
		}
		if through != streamBurst {
			t.Errorf("%d came through a flood, want %d", through, streamBurst)
		}
	}
	first, second := w.token("agent", pod, inject.Audience), w.token("agent", pod, inject.Audience)
	if _, err := w.broker.reviewer.Identify(w.ctx, first); err != nil {
		t.Fatal(err)
	}
	flood(node, w.token("agent", nil, inject.Audience))
	flood(node, w.token("agent", other, inject.Audience))
	if limited(node, first) || limited(node, second) {
		t.Error("a pod is kept waiting by others at its address")
	}
	for range 50 {
		limited(node, second[:len(second)-4]+"AAAA") // by one who knows the pod's UID
	}
	if limited(node, first) {
		t.Error("a token that was good before is kept waiting by claims")
	}
	flood("192.0.2.11", w.token("agent", nil, inject.Audience))
	if !limited("192.0.2.11", second) {
		t.Error("a claim helps at an address that the pod does not have")
	}
}
