package minter

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// troubles remembers what could not be minted, and tells of news. A leader that
// takes over begins without any, and finds out by trying.
type troubles struct {
	mu          sync.Mutex
	all         map[types.NamespacedName]trouble
	subscribers map[int]func(types.NamespacedName)
	next        int
}

type trouble struct {
	tries mint.Tries
	why   *mint.Failure // nil: the last try succeeded
}

func (t *troubles) tries(name types.NamespacedName) mint.Tries {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[name].tries
}

func (t *troubles) failure(name types.NamespacedName, want mint.Want, why *mint.Failure, now time.Time) {
	t.set(name, trouble{t.tries(name).Failed(want, now), why})
}

func (t *troubles) success(name types.NamespacedName, want mint.Want, now time.Time) {
	t.set(name, trouble{tries: mint.Tries{Want: want, Last: now}})
}

// end forgets what failed: nothing is minted any more.
func (t *troubles) end(name types.NamespacedName) {
	t.mu.Lock()
	known := t.all[name].why != nil
	t.mu.Unlock()
	if known {
		t.set(name, trouble{})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, name)
}

func (t *troubles) set(name types.NamespacedName, now trouble) {
	t.mu.Lock()
	if t.all == nil {
		t.all = map[types.NamespacedName]trouble{}
	}
	before := t.all[name].why
	t.all[name] = now
	var tell []func(types.NamespacedName)
	if (before == nil) != (now.why == nil) || (before != nil && *before != *now.why) {
		for _, f := range t.subscribers {
			tell = append(tell, f)
		}
	}
	t.mu.Unlock()
	for _, f := range tell {
		f(name)
	}
}

// Trouble says why the last attempt to mint for the UpstreamSecret of this name
// failed: a *mint.Failure. nil: it did not, or there was none.
func (m *Minter) Trouble(name types.NamespacedName) *mint.Failure {
	m.troubles.mu.Lock()
	defer m.troubles.mu.Unlock()
	return m.troubles.all[name].why
}

// Subscribe calls f after every change of a trouble, until cancel is called. f
// must not block.
func (m *Minter) Subscribe(f func(types.NamespacedName)) (cancel func()) {
	t := &m.troubles
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subscribers == nil {
		t.subscribers = map[int]func(types.NamespacedName){}
	}
	id := t.next
	t.next++
	t.subscribers[id] = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subscribers, id)
	}
}

// unsaved holds what token endpoints gave and could not be stored yet.
type unsaved struct {
	mu  sync.Mutex
	all map[types.NamespacedName]kept
}

// kept is what came for one version of an object: one that was made anew has
// another UID, and nothing kept.
type kept struct {
	uid  types.UID
	held mint.Held
}

func (u *unsaved) get(up *v1alpha1.UpstreamSecret) (mint.Held, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k, ok := u.all[client.ObjectKeyFromObject(up)]
	return k.held, ok && k.uid == up.UID
}

func (u *unsaved) put(up *v1alpha1.UpstreamSecret, h mint.Held) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[types.NamespacedName]kept{}
	}
	u.all[client.ObjectKeyFromObject(up)] = kept{up.UID, h}
}

func (u *unsaved) drop(name types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, name)
}
