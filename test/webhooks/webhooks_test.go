package webhooks

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

var shared *Cluster

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	var err error
	if shared, err = Start(context.Background()); err != nil {
		return 1, err
	}
	code := m.Run()
	return code, shared.Stop()
}

// patience bounds what is waited for: a replica has 15 seconds to go on serving
// once it is told to stop.
const patience = 2 * time.Minute

func await(t *testing.T, what string, wanted func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// replica starts one that ends with the test.
func replica(t *testing.T) *Replica {
	t.Helper()
	r, err := shared.Replica()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("a replica said:\n%s", r.Said())
		}
	})
	return r
}

// every is the time between two creates of a load.
const every = 20 * time.Millisecond

// load creates pods that ask, by several clients, until stop is called, which
// tells what went wrong.
type load struct {
	created atomic.Int64
	stop    func() []string
}

func newLoad(t *testing.T) *load {
	t.Helper()
	l := &load{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var mu sync.Mutex
	var wrong []string
	tick := time.NewTicker(every)
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := admit(context.WithoutCancel(ctx)); err != nil {
					mu.Lock()
					wrong = append(wrong, err.Error())
					mu.Unlock()
				}
				l.created.Add(1)
			}
		})
	}
	l.stop = func() []string {
		cancel()
		running.Wait()
		tick.Stop()
		return wrong
	}
	t.Cleanup(func() { l.stop() })
	return l
}

// admit creates a pod that asks and looks whether it was served.
func admit(ctx context.Context) error {
	pod := Pod(true)
	if err := shared.API.Create(ctx, pod); err != nil {
		return err
	}
	if pod.Labels[inject.LabelInjected] == "" {
		return fmt.Errorf("pod %s came in without a sidecar", pod.Name)
	}
	return nil
}

// settle holds that nothing was lost, and that something could have been.
func (l *load) settle(t *testing.T) {
	t.Helper()
	wrong := l.stop()
	if n := l.created.Load(); len(wrong) > 0 || n == 0 {
		t.Errorf("%d of %d admissions failed:\n%s", len(wrong), n, strings.Join(wrong[:min(len(wrong), 5)], "\n"))
	}
	t.Logf("%d pods were admitted", l.created.Load())
}

// more waits until some more pods were created.
func (l *load) more(t *testing.T) {
	t.Helper()
	from := l.created.Load()
	await(t, "more pods are created", func() bool { return l.created.Load() >= from+20 })
}

// TestRollingRestart replaces both replicas in turn, as a Deployment does, while
// pods are created: no admission is lost, and each replica had its share.
func TestRollingRestart(t *testing.T) {
	if err := shared.Keep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	serving := []*Replica{replica(t), replica(t)}
	for _, r := range serving {
		await(t, "the replica is ready", r.Ready)
	}
	await(t, "pods are admitted", func() bool { return admit(t.Context()) == nil })
	l := newLoad(t)
	var successors []*Replica
	for _, old := range serving {
		fresh := replica(t)
		await(t, "its successor is ready", fresh.Ready)
		l.more(t)
		if err := old.Stop(); err != nil {
			t.Fatal(err)
		}
		await(t, "it says that it is not ready any more", func() bool { return !old.Ready() })
		if ended, err := old.Ended(); ended {
			t.Fatalf("it ended before anybody could know: %v", err)
		}
		l.more(t)
		await(t, "it ends", func() bool { ended, _ := old.Ended(); return ended })
		if _, err := old.Ended(); err != nil {
			t.Errorf("it ended badly: %v", err)
		}
		successors = append(successors, fresh)
	}
	await(t, "a successor is connected to", func() bool { return successors[0].Connections()+successors[1].Connections() > 0 })
	l.more(t)
	l.settle(t)
}

// TestCertificatesUnderLoad replaces the authority and the leaf of the webhook
// step by step while pods are created: no admission fails.
func TestCertificatesUnderLoad(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, test := range map[string]struct {
		why     string
		history []time.Duration // when certificates were kept, from now
		at      time.Duration
	}{
		"leaf":              {"it is renewed at two thirds of its life", []time.Duration{-17 * time.Hour}, 0},
		"authority is next": {"another is published before it signs", []time.Duration{-year * 2 / 3, -time.Hour}, 10 * time.Hour},
		"authority signs":   {"the one before is trusted still", []time.Duration{-year + 24*time.Hour, -24*time.Hour + 3*time.Minute}, 3*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if err := shared.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			for _, at := range test.history {
				if err := shared.Keep(t.Context(), now.Add(at)); err != nil {
					t.Fatal(err)
				}
			}
			before := published(t)
			r := replica(t)
			await(t, "the replica is ready", r.Ready)
			await(t, "pods are admitted", func() bool { return admit(t.Context()) == nil })
			l := newLoad(t)
			l.more(t)
			if err := shared.Keep(t.Context(), now.Add(test.at)); err != nil {
				t.Fatal(err)
			}
			after := published(t)
			if before == after {
				t.Fatal("nothing was replaced, so this test shows nothing")
			}
			await(t, "the replica serves the new leaf", func() bool { return served(t, r) == after.leaf })
			// Another replica makes the API server shake hands again.
			fresh := replica(t)
			await(t, "its successor is ready", fresh.Ready)
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			await(t, "its successor is connected to", func() bool { return fresh.Connections() > 0 })
			l.more(t)
			l.settle(t)
		})
	}
}

// TestStartsExpired starts replicas where everything has expired long ago: they
// are not ready, and become so without a hand being lifted.
func TestStartsExpired(t *testing.T) {
	if err := shared.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := shared.Keep(t.Context(), time.Now().Add(-3*365*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := replica(t)
	await(t, "the replica answers probes", func() bool { return strings.Contains(r.Said(), "Serving webhook server") })
	if r.answers() || admit(t.Context()) == nil {
		t.Fatal("an expired certificate serves")
	}
	if err := shared.Keep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	await(t, "the replica is ready", r.Ready)
	await(t, "pods are admitted", func() bool { return admit(t.Context()) == nil })
	if ended, err := r.Ended(); ended {
		t.Errorf("it healed by ending: %v", err)
	}
}

// TestNobodyAnswers holds who is held up while there is no replica at all: pods
// that ask, and nobody else, neither in the cluster's own namespace.
func TestNobodyAnswers(t *testing.T) {
	if err := shared.API.Create(t.Context(), Pod(true)); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("a pod that asks: %v", err)
	}
	if err := shared.API.Create(t.Context(), Pod(false)); err != nil {
		t.Errorf("a pod that does not ask: %v", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "agent"}}
	system := Pod(true)
	system.Namespace = metav1.NamespaceSystem
	for _, o := range []client.Object{account, system} {
		if err := shared.API.Create(t.Context(), o); err != nil {
			t.Errorf("the cluster's own %T: %v", o, err)
		}
	}
}
