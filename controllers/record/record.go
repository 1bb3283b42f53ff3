// Package record keeps what was accepted. A ScopedCredential or UpstreamSecret
// is accepted as one ConfigMap in the manager's namespace, which holds the
// accepted generation and spec: it survives restarts and is seen by every
// replica of the broker. It is the only commit point; a record is void without
// a live object of its UID.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// What marks a record.
const (
	// LabelKind holds the kind of the accepted object. Informers select it.
	LabelKind = "sallyport.dev/record-of"
	// AnnotationGeneration holds the accepted generation, so that metadata is
	// enough to tell whether the live spec is the accepted one.
	AnnotationGeneration = "sallyport.dev/generation"
	// AnnotationUID holds the UID of the accepted object.
	AnnotationUID = "sallyport.dev/uid"
	// AnnotationObject holds namespace/name of the accepted object, for people.
	AnnotationObject = "sallyport.dev/object"

	prefix  = "accepted-"
	specKey = "spec"
)

// maxSpec bounds what is stored. A ConfigMap holds 1 MiB, as etcd does; the
// rest is for its metadata.
const maxSpec = 1 << 20

// ErrInvalid is what [Decode] says of an object that is no record, or not one
// of this release.
var ErrInvalid = errors.New("not a record of this release")

// Kind is the kind of an accepted object.
type Kind string

// The kinds that are accepted.
const (
	ScopedCredential Kind = "ScopedCredential"
	UpstreamSecret   Kind = "UpstreamSecret"
)

// Record says which generation of an object was accepted.
type Record struct {
	Kind       Kind
	UID        types.UID
	Generation int64
	Object     types.NamespacedName // for people
}

// Name is the name of the record of the object with this UID.
func Name(uid types.UID) string { return prefix + string(uid) }

// Encode returns the record and the accepted spec as what is to be applied in
// namespace. The encoding of one spec is always the same.
func Encode(namespace string, r Record, spec any) (*corev1ac.ConfigMapApplyConfiguration, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("encoding record of %s %s: %w", r.Kind, r.Object, err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encoding record of %s %s: %w", r.Kind, r.Object, err)
	}
	if len(text) > maxSpec {
		return nil, fmt.Errorf("encoding record of %s %s: the spec has %d bytes, more than %d", r.Kind, r.Object, len(text), maxSpec)
	}
	return corev1ac.ConfigMap(Name(r.UID), namespace).
		WithLabels(map[string]string{LabelKind: string(r.Kind)}).
		WithAnnotations(map[string]string{
			AnnotationGeneration: strconv.FormatInt(r.Generation, 10),
			AnnotationUID:        string(r.UID),
			AnnotationObject:     r.Object.String(),
		}).
		WithData(map[string]string{specKey: string(text)}), nil
}

// DecodeMeta reads the metadata of a record. It is enough where the live spec
// has the accepted generation.
func DecodeMeta(object metav1.Object) (Record, error) {
	annotations := object.GetAnnotations()
	generation := annotations[AnnotationGeneration]
	r := Record{Kind: Kind(object.GetLabels()[LabelKind]), UID: types.UID(annotations[AnnotationUID])}
	n, err := strconv.ParseInt(generation, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != generation {
		return Record{}, fmt.Errorf("reading record %s: %w", object.GetName(), ErrInvalid)
	}
	r.Generation = n
	if err := r.validate(); err != nil || object.GetName() != Name(r.UID) {
		return Record{}, fmt.Errorf("reading record %s: %w", object.GetName(), ErrInvalid)
	}
	r.Object.Namespace, r.Object.Name, _ = strings.Cut(annotations[AnnotationObject], "/")
	return r, nil
}

// Decode reads a record and its spec, strictly: a field that this release does
// not know was accepted by another one, and is not passed over.
func Decode(cm *corev1.ConfigMap, spec any) (Record, error) {
	r, err := DecodeMeta(cm)
	if err != nil {
		return Record{}, err
	}
	text, ok := cm.Data[specKey]
	if !ok {
		return Record{}, fmt.Errorf("reading record %s: no spec: %w", cm.Name, ErrInvalid)
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(spec); err != nil {
		return Record{}, fmt.Errorf("reading record %s: %w: %w", cm.Name, ErrInvalid, err)
	}
	again, err := json.Marshal(spec)
	if err != nil || string(again) != text {
		return Record{}, fmt.Errorf("reading record %s: not as it was written: %w", cm.Name, ErrInvalid)
	}
	return r, nil
}

func (r Record) validate() error {
	if (r.Kind != ScopedCredential && r.Kind != UpstreamSecret) || r.UID == "" || r.Generation < 1 {
		return ErrInvalid
	}
	return nil
}
