package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Object is one object of a file, with the defaults of its kind. Its namespace
// is never empty.
type Object struct {
	metav1.Object
	doc *document
}

// Key is namespace/name.
func (o Object) Key() string { return o.GetNamespace() + "/" + o.GetName() }

// ErrorAt is a complaint about a field of the object, such as
// spec.grants[0].http, at its line.
func (o Object) ErrorAt(path, msg string) *Error { return o.doc.errorAt(path, msg) }

// Read reads the objects of a file. The error is an Errors that holds every
// complaint. The file's name stands in complaints and is not opened. ctx bounds the
// evaluation of rules.
//
// Objects are *v1alpha1.UpstreamSecret, *v1alpha1.ScopedCredential,
// *corev1.Secret and *corev1.ConfigMap.
func Read(ctx context.Context, file string, text []byte) ([]Object, error) {
	var objects []Object
	var all Errors
	for _, doc := range split(file, text) {
		object, complaints := read(ctx, &doc)
		all = append(all, complaints...)
		if object != nil && len(complaints) == 0 {
			objects = append(objects, Object{object, &doc})
		}
	}
	if err := all.Err(); err != nil {
		return nil, err
	}
	return objects, nil
}

// Unique complains about objects that are given twice: which of them counts
// would be a matter of order.
func Unique(objects []Object) error {
	var all Errors
	seen := map[string]Object{}
	for _, o := range objects {
		id := kindOf(o.Object) + " " + o.Key()
		if first, again := seen[id]; again {
			all = append(all, o.ErrorAt("metadata.name", fmt.Sprintf("%s is given twice, first at %s:%d: remove one of them",
				id, first.doc.file, first.doc.lineOf("metadata.name"))))
			continue
		}
		seen[id] = o
	}
	return all.Err()
}

func read(ctx context.Context, doc *document) (metav1.Object, Errors) {
	if complaint := doc.parse(); complaint != nil {
		return nil, Errors{complaint}
	}
	if doc.empty() {
		return nil, nil
	}
	var kind metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(doc.json, &kind); err != nil {
		return nil, Errors{doc.errorAt("", "this is no object: write apiVersion, kind, metadata and spec")}
	}
	object, known := newObject(kind)
	if !known {
		return nil, Errors{doc.errorAt("kind", "this command reads UpstreamSecret and ScopedCredential of "+
			v1alpha1.GroupVersion.String()+", and Secret and ConfigMap of v1, not "+describe(kind)+": move it to another file")}
	}
	complaints := doc.admit(ctx, kind.Kind, object)
	if object.GetNamespace() == "" {
		object.SetNamespace(metav1.NamespaceDefault)
	}
	for _, e := range validation.ValidateObjectMetaAccessor(object, true, validation.NameIsDNSSubdomain, field.NewPath("metadata")) {
		complaints = append(complaints, doc.errorAt(e.Field, e.ErrorBody()))
	}
	return object, complaints
}

func newObject(kind metav1.TypeMeta) (object metav1.Object, known bool) {
	switch [2]string{kind.APIVersion, kind.Kind} {
	case [2]string{v1alpha1.GroupVersion.String(), "UpstreamSecret"}:
		return &v1alpha1.UpstreamSecret{}, true
	case [2]string{v1alpha1.GroupVersion.String(), "ScopedCredential"}:
		return &v1alpha1.ScopedCredential{}, true
	case [2]string{"v1", "Secret"}:
		return &corev1.Secret{}, true
	case [2]string{"v1", "ConfigMap"}:
		return &corev1.ConfigMap{}, true
	}
	return nil, false
}

func kindOf(object metav1.Object) string {
	switch object.(type) {
	case *v1alpha1.UpstreamSecret:
		return "UpstreamSecret"
	case *v1alpha1.ScopedCredential:
		return "ScopedCredential"
	case *corev1.Secret:
		return "Secret"
	}
	return "ConfigMap"
}

func describe(kind metav1.TypeMeta) string {
	if kind.Kind == "" {
		return "an object without a kind"
	}
	return strings.TrimSpace(kind.Kind + " of " + kind.APIVersion)
}

// admit judges the document and decodes it into object.
func (d *document) admit(ctx context.Context, kind string, object metav1.Object) Errors {
	all, err := schemas()
	if err != nil {
		return Errors{d.errorAt("", err.Error())}
	}
	var complaints Errors
	strict, err := kjson.UnmarshalStrict(d.json, object)
	for _, unknown := range strict {
		complaints = append(complaints, d.unknown(unknown))
	}
	own := all[kind]
	if own == nil {
		if err != nil {
			complaints = append(complaints, d.mistyped(err))
		}
		return complaints
	}
	// What the schema says of a wrong type is clearer than what the decoder says.
	defaulted, more := d.validate(ctx, own)
	complaints = append(complaints, more...)
	if len(complaints) > 0 {
		return complaints
	}
	if err := json.Unmarshal(defaulted, object); err != nil {
		return Errors{d.mistyped(err)}
	}
	return nil
}

// validate returns the document with defaults, or what is wrong with it.
func (d *document) validate(ctx context.Context, s *schema) ([]byte, Errors) {
	var value map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(d.json, &value); err != nil {
		return nil, Errors{d.mistyped(err)}
	}
	var complaints Errors
	for _, e := range s.admit(ctx, value) {
		complaints = append(complaints, d.errorAt(e.Field, e.ErrorBody()))
	}
	if len(complaints) > 0 {
		return nil, complaints
	}
	defaulted, err := json.Marshal(value)
	if err != nil {
		return nil, Errors{d.errorAt("", err.Error())}
	}
	return defaulted, nil
}

func (d *document) unknown(err error) *Error {
	var located kjson.FieldError
	if !errors.As(err, &located) {
		return d.errorAt("", err.Error())
	}
	at := located.FieldPath()
	if strings.HasSuffix(at, ".true") || strings.HasSuffix(at, ".false") {
		return d.errorAt(at, `there is no such field: write names such as "on" in quotes, which YAML 1.1 reads as true or false otherwise`)
	}
	return d.errorAt(at, "there is no such field: correct its spelling, or remove it")
}

// mistyped says where a value has the wrong type, and not what it is: it may
// be a secret.
func (d *document) mistyped(err error) *Error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return d.errorAt(wrong.Field, "write a value of type "+wrong.Type.String()+" here")
	}
	return d.errorAt("", "a value of this object has the wrong type: texts of data are Base64, those of stringData plain")
}

// Select returns the objects that are of type T.
func Select[T metav1.Object](objects []Object) []T {
	var found []T
	for _, o := range objects {
		if object, ok := o.Object.(T); ok {
			found = append(found, object)
		}
	}
	return slices.Clip(found)
}
