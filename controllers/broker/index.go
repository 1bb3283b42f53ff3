package broker

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
)

// kind is a kind of object that a judgement depends on.
type kind uint8

const (
	kindPod kind = iota
	kindCredential
	kindUpstream
	kindRecord // by name alone
	kindSecret
	kindSchema // the ConfigMap that holds it
	kindRoots  // without a name
	kindOffer  // of the credential of that name: not an object, but what was judged of some
)

// key is an object that a judgement depends on, present or not.
type key struct {
	kind kind
	name types.NamespacedName
}

// judged is what is judged by objects: a stream, or an offer.
type judged interface {
	// touch has it judged again, by and by: it does not block.
	touch()
}

// index knows what is judged by what. It is safe for concurrent use.
type index struct {
	mu       sync.Mutex
	byKey    map[key]map[judged]struct{}
	byJudged map[judged]map[key]struct{}
	// unused is called, under the lock, when nothing depends on a key any more.
	unused func(key)
}

func newIndex() *index {
	return &index{byKey: map[key]map[judged]struct{}{}, byJudged: map[judged]map[key]struct{}{}, unused: func(key) {}}
}

// changed has everything that depends on k judged again.
func (x *index) changed(k key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for j := range x.byKey[k] {
		j.touch()
	}
}

func (x *index) add(j judged, k key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.byJudged[j][k]; ok {
		return
	}
	if x.byKey[k] == nil {
		x.byKey[k] = map[judged]struct{}{}
	}
	if x.byJudged[j] == nil {
		x.byJudged[j] = map[key]struct{}{}
	}
	x.byKey[k][j], x.byJudged[j][k] = struct{}{}, struct{}{}
}

// keep forgets what j depended on, but for keys.
func (x *index) keep(j judged, keys map[key]struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k := range x.byJudged[j] {
		if _, ok := keys[k]; ok {
			continue
		}
		delete(x.byJudged[j], k)
		delete(x.byKey[k], j)
		if len(x.byKey[k]) == 0 {
			delete(x.byKey, k)
			x.unused(k)
		}
	}
	if len(keys) == 0 {
		delete(x.byJudged, j)
	}
}

// dependencies collects what one judgement depends on. Each is to be named
// before it is read, so that no change falls between.
type dependencies struct {
	index *index
	of    judged
	keys  map[key]struct{}
}

func (x *index) dependencies(of judged) *dependencies {
	return &dependencies{x, of, map[key]struct{}{}}
}

func (d *dependencies) on(kind kind, name types.NamespacedName) {
	k := key{kind, name}
	d.keys[k] = struct{}{}
	d.index.add(d.of, k)
}

func (d *dependencies) onRecord(uid types.UID) {
	d.on(kindRecord, types.NamespacedName{Name: record.Name(uid)})
}

// done forgets what the judgement before depended on and this one does not.
func (d *dependencies) done() { d.index.keep(d.of, d.keys) }

// Watch hears of every change that matters. It is called once, before Start;
// informers shows pods that were injected, our two kinds, and the metadata of
// records.
func (b *Broker) Watch(ctx context.Context, informers cache.Informers) error {
	records := &metav1.PartialObjectMetadata{}
	records.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	for object, kind := range map[client.Object]kind{
		&corev1.Pod{}: kindPod, &v1alpha1.ScopedCredential{}: kindCredential, &v1alpha1.UpstreamSecret{}: kindUpstream, records: kindRecord,
	} {
		informer, err := informers.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		if _, err := informer.AddEventHandler(b.handler(kind)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	b.secrets.Subscribe(func(name types.NamespacedName) { b.index.changed(key{kindSecret, name}) })
	b.schemas.Subscribe(func(name types.NamespacedName) { b.index.changed(key{kindSchema, name}) })
	return nil
}

// RootsChanged sends the authorities of the broker to every sidecar again.
func (b *Broker) RootsChanged() { b.index.changed(key{kind: kindRoots}) }

func (b *Broker) handler(kind kind) toolscache.ResourceEventHandler {
	changed := func(object any) {
		if o, ok := object.(client.Object); ok {
			b.index.changed(keyOf(kind, o))
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			// Its Secret and schemas are watched before the first pod asks.
			if up, ok := object.(*v1alpha1.UpstreamSecret); ok {
				b.refer(up)
			}
			changed(object)
		},
		UpdateFunc: func(old, object any) {
			if !sameSpec(old, object) {
				changed(object)
			}
		},
		DeleteFunc: func(object any) {
			if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			switch o := object.(type) {
			case *v1alpha1.UpstreamSecret:
				b.secrets.Refer(owner(o.Namespace, o.Name))
				b.schemas.Refer(owner(o.Namespace, o.Name))
			case *corev1.Pod:
				b.conditions.forget(o.UID)
			}
			changed(object)
		},
	}
}

// sameSpec tells whether an update of our kinds wrote the status alone: nothing
// is judged by that, and the leader writes it whenever a sidecar acknowledges.
func sameSpec(before, after any) bool {
	switch before.(type) {
	case *v1alpha1.ScopedCredential, *v1alpha1.UpstreamSecret:
	default:
		return false
	}
	a, aOK := before.(client.Object)
	b, bOK := after.(client.Object)
	return aOK && bOK && a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() &&
		(a.GetDeletionTimestamp() == nil) == (b.GetDeletionTimestamp() == nil)
}

func keyOf(kind kind, o client.Object) key {
	if kind == kindRecord {
		return key{kind, types.NamespacedName{Name: o.GetName()}}
	}
	return key{kind, client.ObjectKeyFromObject(o)}
}
