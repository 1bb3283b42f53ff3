// Package follow reads the objects that are referred to, and no other: each is
// watched by itself, for as long as somebody refers to it. Neither a list of a
// cluster's objects nor the permission for one is needed, and a missing
// permission is told apart from a missing object.
package follow

import (
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// State says what is known of an object.
type State uint8

// The states. The zero State is that of an object that nobody refers to.
const (
	Pending State = iota
	Forbidden
	Missing
	Known
)

// Source is where objects come from, and what is kept of them.
type Source[T client.Object, V any] struct {
	Example T // of the kind
	List    func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error)
	Watch   func(ctx context.Context, namespace string, options metav1.ListOptions) (watch.Interface, error)
	// Read returns what is kept of an object, and Equal tells whether two of
	// these say the same.
	Read  func(T) V
	Equal func(a, b V) bool
	// WatchFor is how long one watch lasts, in seconds; nil: about a minute.
	WatchFor func() int64
}

// Watcher watches objects of one kind. It is a Runnable for a manager, and runs
// in every replica. It is safe for concurrent use.
type Watcher[T client.Object, V any] struct {
	source Source[T, V]
	wake   chan struct{} // has room for one: somebody else is served too

	mu          sync.Mutex
	owners      map[string][]types.NamespacedName
	entries     map[types.NamespacedName]*entry[V]
	subscribers map[int]func(types.NamespacedName)
	nextID      int
}

// entry is one object that is referred to.
type entry[V any] struct {
	refs  int
	state State
	value V                  // where it is Known
	stop  context.CancelFunc // nil: not watched yet
}

// New returns a Watcher that watches nothing yet.
func New[T client.Object, V any](source Source[T, V]) *Watcher[T, V] {
	if source.WatchFor == nil {
		source.WatchFor = aboutAMinute
	}
	return &Watcher[T, V]{
		source: source, wake: make(chan struct{}, 1),
		owners:      map[string][]types.NamespacedName{},
		entries:     map[types.NamespacedName]*entry[V]{},
		subscribers: map[int]func(types.NamespacedName){},
	}
}

// NeedLeaderElection is false: every replica serves.
func (w *Watcher[T, V]) NeedLeaderElection() bool { return false }

// Start watches what is referred to until ctx ends.
func (w *Watcher[T, V]) Start(ctx context.Context) error {
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

// Refer says that owner refers to exactly these objects from now on; none ends
// it. An object that nobody refers to any more is forgotten.
func (w *Watcher[T, V]) Refer(owner string, names ...types.NamespacedName) {
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
			w.entries[name] = &entry[V]{}
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

// Followed counts the objects that are referred to.
func (w *Watcher[T, V]) Followed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// Find returns what is known of an object; the value is of one that is Known.
func (w *Watcher[T, V]) Find(name types.NamespacedName) (V, State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.entries[name]; e != nil {
		return e.value, e.state
	}
	var none V
	return none, Pending
}

// Subscribe calls f after every change of an object that is referred to, until
// cancel is called. f must not block, and may be called from many goroutines.
func (w *Watcher[T, V]) Subscribe(f func(types.NamespacedName)) (cancel func()) {
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

// startable returns what watches the objects that are not watched yet, and
// counts them as watched.
func (w *Watcher[T, V]) startable(ctx context.Context) (watches []func()) {
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
func (w *Watcher[T, V]) set(name types.NamespacedName, s State, value V) {
	w.mu.Lock()
	e := w.entries[name]
	if e == nil {
		w.mu.Unlock()
		return
	}
	news := e.state != s || s == Known && !w.source.Equal(e.value, value)
	e.state, e.value = s, value
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
