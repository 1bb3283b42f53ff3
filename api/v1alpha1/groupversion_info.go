// Package v1alpha1 holds the two kinds of the group sallyport.dev:
// UpstreamSecret, the real key of an upstream API and where it may be sent,
// and ScopedCredential, what one agent may do with it.
//
// The package is data: types, their schema, their documentation. What a
// manifest means is decided by internal/compile, what a request may do by
// internal/scope.
//
// Three rules hold for every field. Empty never means all: a list that grants
// has at least one entry, or grants nothing. A default shows in the schema and
// never grants. Every value that the schema accepts decodes into these types,
// since one object that does not would stop every watch of its kind.
//
// +kubebuilder:object:generate=true
// +groupName=sallyport.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the types in this package.
var GroupVersion = schema.GroupVersion{Group: "sallyport.dev", Version: "v1alpha1"}

// SchemeBuilder collects what AddToScheme does.
var SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers the types of this package in a scheme.
var AddToScheme = SchemeBuilder.AddToScheme

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&UpstreamSecret{}, &UpstreamSecretList{},
		&ScopedCredential{}, &ScopedCredentialList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
