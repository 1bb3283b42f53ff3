// Package secretwatch reads the Secrets that are referred to, and no other:
// each is watched by itself, for as long as somebody refers to it. Neither a
// list of a cluster's Secrets nor the permission for one is needed, and a
// missing permission is told apart from a missing Secret.
package secretwatch

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Grant names what a platform team binds so that Secrets of a namespace can be
// read. It stands in messages alone.
type Grant struct {
	Role    string               // a ClusterRole
	Account types.NamespacedName // the manager's service account
}

// Watcher watches Secrets. It is a Runnable for a manager, and runs in every
// replica. It is safe for concurrent use.
type Watcher struct {
	secrets corev1client.SecretsGetter
	grant   Grant
	wake    chan struct{} // has room for one: somebody else is served too

	mu          sync.Mutex
	owners      map[string][]types.NamespacedName
	entries     map[types.NamespacedName]*entry
	subscribers map[int]func(types.NamespacedName)
	nextID      int
}

// state says what is known of a Secret.
type state uint8

const (
	pending state = iota
	forbidden
	known // a nil secret is known to be missing
)

// entry is one Secret that is referred to.
type entry struct {
	refs   int
	state  state
	secret *Secret
	stop   context.CancelFunc // nil: not watched yet
}

// New returns a Watcher that watches nothing yet.
func New(secrets corev1client.SecretsGetter, grant Grant) *Watcher {
	return &Watcher{
		secrets: secrets, grant: grant, wake: make(chan struct{}, 1),
		owners:      map[string][]types.NamespacedName{},
		entries:     map[types.NamespacedName]*entry{},
		subscribers: map[int]func(types.NamespacedName){},
	}
}

// NeedLeaderElection is false: every replica serves Secrets.
func (w *Watcher) NeedLeaderElection() bool { return false }

// Start watches what is referred to until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, watch := range w.startable(ctx) {
			running.Go(watch)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
	}
}

// Refer says that owner refers to exactly these Secrets from now on; none ends
// it. A Secret that nobody refers to any more is forgotten.
func (w *Watcher) Refer(owner string, names ...types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.owners[owner]
	names = slices.Clone(names)
	w.owners[owner] = names
	if len(names) == 0 {
		delete(w.owners, owner)
	}
	for _, name := range names {
		if w.entries[name] == nil {
			w.entries[name] = &entry{}
		}
		w.entries[name].refs++
	}
	for _, name := range before {
		e := w.entries[name]
		if e.refs--; e.refs > 0 {
			continue
		}
		if e.stop != nil {
			e.stop()
		}
		delete(w.entries, name)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Subscribe calls f after every change of a Secret that is referred to, until
// cancel is called. f must not block, and may be called from many goroutines.
func (w *Watcher) Subscribe(f func(types.NamespacedName)) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.nextID
	w.nextID++
	w.subscribers[id] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subscribers, id)
	}
}

// startable returns what watches the Secrets that are not watched yet, and
// counts them as watched.
func (w *Watcher) startable(ctx context.Context) (watches []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, e := range w.entries {
		if e.stop == nil {
			own, stop := context.WithCancel(ctx)
			e.stop = stop
			watches = append(watches, func() { w.watch(own, name) })
		}
	}
	return watches
}

// set records what is known now, and tells the subscribers if it is news.
func (w *Watcher) set(name types.NamespacedName, s state, value *corev1.Secret) {
	var now *Secret
	if value != nil {
		now = read(value)
	}
	w.mu.Lock()
	e := w.entries[name]
	if e == nil {
		w.mu.Unlock()
		return
	}
	news := e.state != s || !equal(e.secret, now)
	e.state, e.secret = s, now
	var subscribers []func(types.NamespacedName)
	if news {
		for _, f := range w.subscribers {
			subscribers = append(subscribers, f)
		}
	}
	w.mu.Unlock()
	for _, f := range subscribers {
		f(name)
	}
}
