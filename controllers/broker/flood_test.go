package broker

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	w := newWorld(t, func(b *Broker) { b.limits = limits{perSecond: 0, burst: streamBurst} })
	w.broker.reviewer = identity.New(asked, w.issuer(), time.Now)
	open := func(address, token string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/stream", http.NoBody)
		r.RemoteAddr = address
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Sallyport-Document", fmt.Sprint(bundle.Version))
		answer := httptest.NewRecorder()
		w.broker.handle().ServeHTTP(answer, r)
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
