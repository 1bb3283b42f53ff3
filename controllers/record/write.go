package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldManager owns the records.
const fieldManager = "sallyport-controller"

// ErrStale says that a newer generation was accepted already: what is to be
// accepted was read from a cache that is behind. Try again later.
var ErrStale = errors.New("a newer generation was accepted already")

// Writer stores records. It is for the leader alone.
type Writer struct {
	Client client.Writer
	// Meta reads metadata of ConfigMaps, from a cache or not: a write that
	// follows from an old read fails.
	Meta      client.Reader
	Namespace string
}

// Accept stores spec as the accepted one of object, unless its generation is
// stored already, and tells whether it wrote. A write names the version that
// was read, or that there was none: a leader that was replaced meanwhile, or
// that reads from an old cache, changes nothing.
func (w *Writer) Accept(ctx context.Context, kind Kind, object client.Object, spec any) (bool, error) {
	stored, err := w.read(ctx, object.GetUID())
	if err != nil {
		return false, err
	}
	r := Record{Kind: kind, UID: object.GetUID(), Generation: object.GetGeneration(), Object: client.ObjectKeyFromObject(object)}
	if stored != nil {
		old, err := DecodeMeta(stored)
		switch {
		case err == nil && old == r:
			return false, nil
		case err == nil && old.Generation > r.Generation:
			return false, fmt.Errorf("writing record %s: %w", stored.Name, ErrStale)
		}
	}
	wanted, err := Encode(w.Namespace, r, spec)
	if err != nil {
		return false, err
	}
	if stored == nil {
		err = w.create(ctx, wanted)
	} else {
		wanted.WithUID(stored.UID).WithResourceVersion(stored.ResourceVersion)
		err = w.Client.Apply(ctx, wanted, client.FieldOwner(fieldManager), client.ForceOwnership)
	}
	if err != nil {
		return false, fmt.Errorf("writing record %s: %w", Name(r.UID), err)
	}
	return true, nil
}

// read returns the metadata of a record, or nil where there is none.
func (w *Writer) read(ctx context.Context, uid types.UID) (*metav1.PartialObjectMetadata, error) {
	meta := Metadata()
	err := w.Meta.Get(ctx, types.NamespacedName{Namespace: w.Namespace, Name: Name(uid)}, meta)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading record %s: %w", Name(uid), err)
	}
	return meta, nil
}

// create stores a first record. Server-side apply cannot say "only where there
// is none", so this is no apply.
func (w *Writer) create(ctx context.Context, wanted *corev1ac.ConfigMapApplyConfiguration) error {
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{}
	if err := json.Unmarshal(text, cm); err != nil {
		return err
	}
	return w.Client.Create(ctx, cm, client.FieldOwner(fieldManager))
}
