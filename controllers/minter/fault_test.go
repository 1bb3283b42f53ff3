package minter

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/mint"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

var errAway = errors.New("the API server is away")

// faulty loses updates of Secrets. Claims pass, so that a token endpoint is
// asked.
type faulty struct {
	corev1client.SecretsGetter
	fail  atomic.Int64 // how many stores fail
	after atomic.Bool  // they fail after the write was done
	lost  atomic.Int64
}

func (f *faulty) Secrets(namespace string) corev1client.SecretInterface {
	return &faultySecrets{f.SecretsGetter.Secrets(namespace), f}
}

type faultySecrets struct {
	corev1client.SecretInterface
	f *faulty
}

func (f *faultySecrets) Update(ctx context.Context, s *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error) {
	if s.Annotations[annotationClaim] != "" || f.f.fail.Add(-1) < 0 {
		return f.SecretInterface.Update(ctx, s, o)
	}
	f.f.lost.Add(1)
	if f.f.after.Load() {
		if _, err := f.SecretInterface.Update(ctx, s, o); err != nil {
			return nil, err
		}
	}
	return nil, errAway
}

// TestAnswersAreNotLost has the API server go away between the provider's answer
// and the write of it: for a moment, for longer than one attempt lasts, and after
// the write was done.
func TestAnswersAreNotLost(t *testing.T) {
	for name, tc := range map[string]struct {
		fail  int64
		after bool
	}{"a moment": {2, false}, "longer": {9, false}, "after the write": {1, true}} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			w := newWorld(t, p.asker())
			w.secret("client", map[string]string{"secret": webSecret, "refresh": p.consent(t)})
			w.upstream(refreshToken())
			f := &faulty{SecretsGetter: clients.CoreV1()}
			f.fail.Store(tc.fail)
			f.after.Store(tc.after)
			r := w.run(func(m *Minter) { m.secrets = f })
			token := w.minted("")
			if f.lost.Load() != tc.fail {
				t.Errorf("%d writes were lost, want %d", f.lost.Load(), tc.fail)
			}
			w.await("nothing left to store", func() bool { _, waits := r.unsaved.get(w.get()); return !waits })
			w.clock.advance(4 * time.Minute)
			if token = w.minted(token); !p.takes(t, token) {
				t.Error("the provider does not take it")
			}
			if asked, reused := p.Count(); asked != 2 || reused != 0 {
				t.Errorf("asked %d times, %d with a used token; want 2 and 0", asked, reused)
			}
		})
	}
}

// TestTwoThatLead has two processes that both take themselves for the leader
// mint at the same time, again and again.
func TestTwoThatLead(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": webSecret, "refresh": p.consent(t)})
	w.upstream(refreshToken())
	alone := func(id string) func(*Minter) { return func(m *Minter) { m.process = id } }
	w.leases = 2
	one, two := w.run(alone("one")), w.run(alone("two"))
	<-one.leads
	<-two.leads
	token := ""
	for range 5 {
		token = w.minted(token)
		w.settle()
		w.clock.advance(4 * time.Minute)
	}
	if !p.takes(t, token) {
		t.Error("the provider does not take it")
	}
	if _, reused := p.Count(); reused != 0 {
		t.Errorf("%d refresh tokens were used twice", reused)
	}
}

// TestClaimIsKept holds that nobody is asked while another process asks.
func TestClaimIsKept(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.upstream(clientCredentials())
	s := slot{secrets: clients.CoreV1().Secrets(system), up: w.get()}
	s.name.Namespace, s.name.Name = system, mint.Prefix+string(s.up.UID)
	if err := s.claim(t.Context(), mint.Claim{Process: "another", At: w.clock.now()}); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.awaitReady("Unknown/Pending")
	w.settle()
	if asked, _ := p.Count(); asked != 0 {
		t.Errorf("asked %d times", asked)
	}
	w.clock.advance(time.Minute) // whoever claimed it has died
	w.minted("")
	w.awaitReady("True/Accepted")
}

// TestSweep holds that tokens go when their UpstreamSecret does, and no others.
func TestSweep(t *testing.T) {
	p := newProvider(t)
	w := newWorld(t, p.asker())
	w.secret("client", map[string]string{"secret": serviceSecret})
	w.upstream(clientCredentials())
	w.run()
	w.minted("")
	name := w.stored().Name
	sweep := func() {
		t.Helper()
		if err := (&Sweeper{Client: admin, Live: admin, Namespace: system}).Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if w.stored() == nil {
		t.Fatal("tokens of an UpstreamSecret that is there are swept away")
	}
	// One of the same name that was made anew is another one.
	if err := admin.Delete(t.Context(), w.get()); err != nil {
		t.Fatal(err)
	}
	w.upstream(clientCredentials())
	w.minted("")
	sweep()
	if _, err := clients.CoreV1().Secrets(system).Get(t.Context(), name, metav1.GetOptions{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("tokens of one that is gone stay: %v", err)
	}
	if w.stored() == nil {
		t.Error("tokens of the new one are swept away")
	}
	if _, err := clients.CoreV1().Secrets(system).Get(t.Context(), "sallyport-token-key", metav1.GetOptions{}); err != nil {
		t.Errorf("a Secret that holds no tokens: %v", err)
	}
}
