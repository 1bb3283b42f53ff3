package secretwatch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/follow"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// What keeps a key from being read.
var (
	// ErrNotFound: there is no such Secret, or it has no such key.
	ErrNotFound = errors.New("not found")
	// ErrNotPermitted: the manager may not read it. The text of the error names
	// the RoleBinding to add.
	ErrNotPermitted = errors.New("not permitted")
	// ErrPending: nobody knows yet. Ask again when told of a change.
	ErrPending = errors.New("not read yet")
	// ErrInvalid: what is there is no key of an upstream.
	ErrInvalid = errors.New("not a key")
)

// Secret is one version of a Secret. It prints names alone.
type Secret struct {
	UID             types.UID
	ResourceVersion string
	data            map[string]secret.Value
}

// Bytes returns the value under key.
func (s Secret) Bytes(key string) ([]byte, bool) {
	v, ok := s.data[key]
	return []byte(v.Reveal()), ok
}

func read(s *corev1.Secret) Secret {
	out := Secret{UID: s.UID, ResourceVersion: s.ResourceVersion, data: make(map[string]secret.Value, len(s.Data))}
	for name, value := range s.Data {
		out.data[name] = secret.New(string(value))
	}
	return out
}

// equal tells whether a and b say the same, whatever their versions are.
func equal(a, b Secret) bool {
	return a.UID == b.UID && maps.EqualFunc(a.data, b.data, secret.Value.Equal)
}

// Get returns the newest known version of a Secret that is referred to. The
// error is ErrNotFound, ErrNotPermitted or ErrPending; no error holds anything
// of a Secret.
func (w *Watcher) Get(name types.NamespacedName) (Secret, error) {
	found, state := w.Find(name)
	switch state {
	case follow.Known:
		return found, nil
	case follow.Forbidden:
		return Secret{}, fmt.Errorf("reading Secret %s: %w: %s", name, ErrNotPermitted, w.grant.Remedy("Secrets", name.Namespace))
	case follow.Missing:
		return Secret{}, fmt.Errorf("reading Secret %s: %w: create it", name, ErrNotFound)
	}
	return Secret{}, fmt.Errorf("reading Secret %s: %w", name, ErrPending)
}

// Key returns the key of up at now, as [material.Read] reads it from the Secrets
// beside up. Besides the errors of [Watcher.Get] there is ErrInvalid, which says
// what to change.
func (w *Watcher) Key(up *v1alpha1.UpstreamSecret, now time.Time) (material.Key, error) {
	key, err := material.Read(up, func(r material.Reference) ([]byte, error) {
		return w.part(types.NamespacedName{Namespace: up.Namespace, Name: r.Name}, r.Key)
	}, now)
	if p := (*material.Problem)(nil); errors.As(err, &p) {
		return material.Key{}, fmt.Errorf("reading Secret %s/%s: key %q: %w: %w", up.Namespace, p.Name, p.Key, ErrInvalid, err)
	}
	return key, err
}

// part returns the bytes that stand under key.
func (w *Watcher) part(name types.NamespacedName, key string) ([]byte, error) {
	s, err := w.Get(name)
	if err != nil {
		return nil, err
	}
	data, ok := s.Bytes(key)
	if !ok {
		return nil, fmt.Errorf("reading Secret %s: key %q: %w: add it", name, key, ErrNotFound)
	}
	return data, nil
}

// Names are the Secrets that the sources of these versions of an UpstreamSecret
// refer to, each once. A nil version refers to none.
func Names(versions ...*v1alpha1.UpstreamSecret) []types.NamespacedName {
	var names []types.NamespacedName
	for _, up := range versions {
		for _, r := range material.References(up) {
			name := types.NamespacedName{Namespace: up.Namespace, Name: r.Name}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Remedy is what a platform engineer does where objects of a namespace may not
// be read.
func (g Grant) Remedy(objects, namespace string) string {
	return fmt.Sprintf("let the manager read %s of this namespace: kubectl create rolebinding %s --namespace=%s --clusterrole=%s --serviceaccount=%s",
		objects, g.Role, namespace, g.Role, g.Account.Namespace+":"+g.Account.Name)
}
