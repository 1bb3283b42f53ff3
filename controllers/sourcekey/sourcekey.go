// Package sourcekey reads the key of an UpstreamSecret, wherever it comes from:
// a Secret beside it that holds the key as it is, or the manager's own Secret
// with the token that the leader minted. Every replica reads.
package sourcekey

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/internal/mint"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// ErrUnminted says that there is no token that may be used now: the leader is
// about to mint one, or says in a condition why it cannot.
var ErrUnminted = errors.New("no token is minted")

// Key is what is sent to an upstream.
type Key struct {
	Value secret.Value
	// Expires is when it is sent no more; zero: never.
	Expires time.Time
}

// Reader reads keys. It is safe for concurrent use.
type Reader struct {
	Secrets *secretwatch.Watcher
	// Namespace of the manager.
	Namespace string
	// Now is the time; nil: time.Now.
	Now func() time.Time
}

// Time is the time by r's clock.
func (r Reader) Time() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// Stored is the Secret that holds what is minted for up.
func (r Reader) Stored(up *v1alpha1.UpstreamSecret) types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: mint.Prefix + string(up.UID)}
}

// Names are the Secrets that the key of up is read from. A nil up has none.
func (r Reader) Names(up *v1alpha1.UpstreamSecret) []types.NamespacedName {
	if up == nil {
		return nil
	}
	names := secretwatch.Names(up)
	for _, ref := range mint.Refs(&up.Spec.Source) {
		names = append(names, types.NamespacedName{Namespace: up.Namespace, Name: ref.Name})
	}
	if mint.Is(&up.Spec.Source) {
		names = append(names, r.Stored(up))
	}
	return names
}

// Key returns the key that up has now. The errors are those of
// [secretwatch.Watcher.Key] about what the spec names, and ErrUnminted. A token
// is good only while the keys that it was minted from can be read: to take them
// away takes it away.
func (r Reader) Key(up *v1alpha1.UpstreamSecret) (Key, error) {
	if !mint.Is(&up.Spec.Source) {
		key, err := r.Secrets.Key(up, r.Time())
		return Key{Value: key.Value, Expires: key.Ends}, err
	}
	job, err := r.Job(up)
	if err != nil {
		return Key{}, err
	}
	held, err := r.Held(up)
	if err != nil {
		return Key{}, err
	}
	if !held.Serves(job.Want(), r.Time()) {
		return Key{}, fmt.Errorf("reading Secret %s: %w", r.Stored(up), ErrUnminted)
	}
	return Key{Value: held.Token, Expires: held.Expires}, nil
}

// Basis is what the version of up's key is named by: what its owner wrote, so
// that it does not tick with each token.
func (r Reader) Basis(up *v1alpha1.UpstreamSecret) (secret.Value, error) {
	if !mint.Is(&up.Spec.Source) {
		key, err := r.Secrets.Key(up, r.Time())
		return key.Value, err
	}
	job, err := r.Job(up)
	if err != nil {
		return secret.Value{}, err
	}
	return job.Basis(), nil
}

// Job returns what the tokens of up are minted from.
func (r Reader) Job(up *v1alpha1.UpstreamSecret) (*mint.Job, error) {
	var keys []secret.Value
	for _, ref := range mint.Refs(&up.Spec.Source) {
		value, err := r.read(types.NamespacedName{Namespace: up.Namespace, Name: ref.Name}, &ref)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref.Field, err)
		}
		keys = append(keys, value)
	}
	job, err := mint.NewJob(up, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", secretwatch.ErrInvalid, err)
	}
	return job, nil
}

// read reads a key as text of one line, or as PEM.
func (r Reader) read(name types.NamespacedName, ref *mint.Ref) (secret.Value, error) {
	s, err := r.Secrets.Get(name)
	if err != nil {
		return secret.Value{}, err
	}
	data, ok := s.Bytes(ref.Key)
	if !ok {
		return secret.Value{}, fmt.Errorf("reading Secret %s: key %q: %w: add it", name, ref.Key, secretwatch.ErrNotFound)
	}
	if ref.PEM {
		return secret.New(string(data)), nil
	}
	value, err := material.Line(data)
	if err != nil {
		return secret.Value{}, fmt.Errorf("reading Secret %s: key %q: %w: %w", name, ref.Key, secretwatch.ErrInvalid, err)
	}
	return value, nil
}

// Held returns what is stored for up; nothing is no error.
func (r Reader) Held(up *v1alpha1.UpstreamSecret) (mint.Held, error) {
	s, err := r.Secrets.Get(r.Stored(up))
	switch {
	case errors.Is(err, secretwatch.ErrNotFound):
		return mint.Held{}, nil
	case errors.Is(err, secretwatch.ErrPending):
		return mint.Held{}, err
	case err != nil:
		// Nothing in a condition of a user is to be done about this one.
		return mint.Held{}, fmt.Errorf("%w: %w", secretwatch.ErrPending, err)
	}
	return mint.Decode(s.Bytes), nil
}
