package tokenkey

import (
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
)

// Ring reads the newest keys. It is safe for concurrent use.
type Ring struct {
	secrets *secretwatch.Watcher
	name    types.NamespacedName

	mu   sync.Mutex
	last version
}

// version is what was read of one version of the Secret. Every state that is
// sent needs the keys, and to read them costs as much as to sign.
type version struct {
	uid             types.UID
	resourceVersion string // empty: none was read
	keys            Keys
}

// NewRing returns the Ring of the manager's namespace, and has its Secret
// watched.
func NewRing(secrets *secretwatch.Watcher, namespace string) *Ring {
	r := &Ring{secrets: secrets, name: types.NamespacedName{Namespace: namespace, Name: SecretName}}
	secrets.Refer("tokenkey", r.name)
	return r
}

// follow reads the data of a version, unless v is what was read of it.
func (v *version) follow(uid types.UID, resourceVersion string, data func(key string) ([]byte, bool)) error {
	if resourceVersion != "" && v.resourceVersion == resourceVersion && v.uid == uid {
		return nil
	}
	*v = version{} // what cannot be read is not what was read before
	keys, err := Decode(data)
	if err != nil {
		return err
	}
	*v = version{uid, resourceVersion, keys}
	return nil
}

// Secret is the one that holds the keys.
func (r *Ring) Secret() types.NamespacedName { return r.name }

// Keys returns the newest keys, or [ErrMissing] where there are none that can
// be read: whoever serves tokens waits then.
func (r *Ring) Keys() (Keys, error) {
	s, err := r.secrets.Get(r.name)
	if errors.Is(err, secretwatch.ErrNotFound) || errors.Is(err, secretwatch.ErrPending) {
		return Keys{}, ErrMissing
	}
	if err != nil {
		return Keys{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.last.follow(s.UID, s.ResourceVersion, s.Bytes); err != nil {
		return Keys{}, fmt.Errorf("reading Secret %s: %w", r.name, err)
	}
	return r.last.keys, nil
}
