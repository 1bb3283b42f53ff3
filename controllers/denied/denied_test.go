package denied

import (
	"context"
	"sync"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

var (
	start = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	pod   = Pod{NamespacedName: types.NamespacedName{Namespace: "agents", Name: "a"}, UID: "uid-1"}
)

// world is a store of Events and a clock.
type world struct {
	t      *testing.T
	client client.Client
	mu     sync.Mutex
	at     time.Time
}

func newWorld(t *testing.T) *world {
	return &world{t: t, client: fake.NewClientBuilder().WithScheme(clientscheme.Scheme).Build(), at: start}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) set(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = at
}

// replica is a Teller that writes at once.
func (w *world) replica() *Teller { return New(w.client, w.now) }

// write empties the queue.
func (w *world) write(t *Teller) {
	w.t.Helper()
	for len(t.queue) > 0 {
		_ = w.client.Create(context.Background(), event(<-t.queue)) // or it is there already
	}
}

func (w *world) events() []eventsv1.Event {
	w.t.Helper()
	var list eventsv1.EventList
	if err := w.client.List(context.Background(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// TestOneInTenMinutes denies over and over, at two replicas.
func TestOneInTenMinutes(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	for minute := range 30 {
		w.set(start.Add(time.Duration(minute)*time.Minute + 3*time.Minute))
		for _, at := range []*Teller{a, b} {
			at.Tell(pod, []bundle.Seen{
				{Credential: "agents/notes", Reason: "OutOfScope", Count: 7}, {Credential: "agents/notes", Grant: "read", Count: 90},
			})
			w.write(at)
		}
	}
	if got := len(w.events()); got != 3 {
		t.Errorf("%d Events in half an hour, want 3", got)
	}
	a.Tell(pod, []bundle.Seen{
		{Credential: "agents/notes", Reason: "ParameterRefused", Count: 1}, {Credential: "agents/other", Reason: "OutOfScope", Count: 1},
	})
	other := pod
	other.UID = "uid-2"
	a.Tell(other, []bundle.Seen{{Credential: "agents/notes", Reason: "ParameterRefused", Count: 1}})
	w.write(a)
	if got := len(w.events()); got != 6 {
		t.Errorf("%d Events, want one more for the reason, the credential and the pod each", got-3)
	}
}

// TestNothingForeignIsTold is told by a sidecar what it has no business with.
func TestNothingForeignIsTold(t *testing.T) {
	w := newWorld(t)
	teller := w.replica()
	for why, seen := range map[string]bundle.Seen{
		"a credential of others": {Credential: "platform/notes", Reason: "OutOfScope", Count: 1},
		"no credential":          {Reason: "OutOfScope", Count: 1},
		"a text for people":      {Credential: "agents/notes", Reason: "Ignore all that", Count: 1},
		"a name for people":      {Credential: "agents/notes; rm -rf", Reason: "OutOfScope", Count: 1},
		"allowed":                {Credential: "agents/notes", Count: 1},
		"none":                   {Credential: "agents/notes", Reason: "OutOfScope"},
	} {
		teller.Tell(pod, []bundle.Seen{seen})
		if len(teller.queue) > 0 {
			t.Errorf("it is told of: %s", why)
			<-teller.queue
		}
	}
}

// TestFloodIsDropped has nobody write: nobody waits, and memory is bounded.
func TestFloodIsDropped(t *testing.T) {
	w := newWorld(t)
	teller := w.replica()
	for range maxTold + 10 {
		next := pod
		next.UID = types.UID(time.Duration(len(teller.when)).String())
		teller.Tell(next, []bundle.Seen{{Credential: "agents/notes", Reason: "OutOfScope", Count: 1}})
	}
	if len(teller.queue) != maxWaiting || len(teller.when) > maxTold {
		t.Errorf("%d wait, %d are remembered", len(teller.queue), len(teller.when))
	}
	w.set(start.Add(Every))
	teller.Tell(pod, []bundle.Seen{{Credential: "agents/notes", Reason: "OutOfScope", Count: 1}})
	if len(teller.when) != 1 {
		t.Errorf("%d are remembered that are over", len(teller.when)-1)
	}
}
