package record

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// ErrNone says that nothing was ever accepted of an object. Its holders get
// nothing.
var ErrNone = errors.New("never accepted")

// Store reads records. It is safe for concurrent use.
type Store struct {
	// Meta reads metadata of ConfigMaps from a cache that selects [LabelKind]
	// in Namespace.
	Meta client.Reader
	// Bodies reads whole ConfigMaps from the API server. It is asked only where
	// the live spec is not the accepted one.
	Bodies client.Reader
	// Namespace of the manager.
	Namespace string

	mu     sync.Mutex
	bodies map[string]*body // by name
}

// body is what was read last of one record. After an edit every sidecar of a
// credential has it asked for; one answer does for all.
type body struct {
	mu      sync.Mutex
	version string // that the cache showed when it was read; empty: never
	cm      *corev1.ConfigMap
}

// Bounds of what is remembered, together some 16 MiB.
const (
	maxBodies = 256
	maxBody   = 64 << 10
)

// read returns the record at version, as the cache shows it, or a later one. It
// is not to be changed.
func (s *Store) read(ctx context.Context, key types.NamespacedName, version string) (*corev1.ConfigMap, error) {
	s.mu.Lock()
	b := s.bodies[key.Name]
	if b == nil {
		if s.bodies == nil || len(s.bodies) >= maxBodies {
			s.bodies = map[string]*body{}
		}
		b = &body{}
		s.bodies[key.Name] = b
	}
	s.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if version != "" && b.version == version {
		return b.cm, nil
	}
	cm := &corev1.ConfigMap{}
	if err := s.Bodies.Get(ctx, key, cm); err != nil {
		return nil, err
	}
	if len(cm.Data[specKey]) <= maxBody {
		b.version, b.cm = version, cm
	}
	return cm, nil
}

// ScopedCredential returns what of live is in force: live itself where its
// generation was accepted, else a copy with generation and spec of the record.
// The error is [ErrNone] where nothing was accepted.
func (s *Store) ScopedCredential(ctx context.Context, live *v1alpha1.ScopedCredential) (*v1alpha1.ScopedCredential, error) {
	accepted := &v1alpha1.ScopedCredential{ObjectMeta: *live.ObjectMeta.DeepCopy()}
	generation, err := s.accepted(ctx, ScopedCredential, live, &accepted.Spec)
	if err != nil {
		return nil, err
	}
	if generation == live.Generation {
		return live, nil
	}
	accepted.Generation = generation
	return accepted, nil
}

// UpstreamSecret returns what of live is in force, as [Store.ScopedCredential]
// does.
func (s *Store) UpstreamSecret(ctx context.Context, live *v1alpha1.UpstreamSecret) (*v1alpha1.UpstreamSecret, error) {
	accepted := &v1alpha1.UpstreamSecret{ObjectMeta: *live.ObjectMeta.DeepCopy()}
	generation, err := s.accepted(ctx, UpstreamSecret, live, &accepted.Spec)
	if err != nil {
		return nil, err
	}
	if generation == live.Generation {
		return live, nil
	}
	accepted.Generation = generation
	return accepted, nil
}

// accepted returns the accepted generation, and fills spec in unless it is that
// of live.
func (s *Store) accepted(ctx context.Context, kind Kind, live client.Object, spec any) (int64, error) {
	key := types.NamespacedName{Namespace: s.Namespace, Name: Name(live.GetUID())}
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	var r Record
	err := s.Meta.Get(ctx, key, meta)
	if err == nil {
		r, err = DecodeMeta(meta)
	}
	if err := judge(r, err, kind, live); err != nil {
		return 0, err
	}
	if r.Generation == live.GetGeneration() {
		return r.Generation, nil
	}
	cm, err := s.read(ctx, key, meta.ResourceVersion)
	if err == nil {
		r, err = Decode(cm, spec)
	}
	if err := judge(r, err, kind, live); err != nil {
		return 0, err
	}
	return r.Generation, nil
}

// judge turns an absent record, and one that is not of live, into [ErrNone].
func judge(r Record, err error, kind Kind, live client.Object) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s %s: %w", kind, client.ObjectKeyFromObject(live), ErrNone)
	case err != nil:
		return fmt.Errorf("reading what was accepted of %s %s: %w", kind, client.ObjectKeyFromObject(live), err)
	case r.UID != live.GetUID() || r.Kind != kind:
		return fmt.Errorf("%s %s: %w", kind, client.ObjectKeyFromObject(live), ErrNone)
	}
	return nil
}
