package main

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// loaded is one ScopedCredential of the manifests.
type loaded struct {
	key      string // namespace/name
	object   *v1alpha1.ScopedCredential
	compiled bundle.Credential // with its key; not there where it is refused
	refused  bool
	// withdrawn says that what it is refused for takes access away: upstream or
	// key are gone, or not shared any more. Other refusals leave the last
	// accepted scope in force.
	withdrawn bool
}

// compileAll compiles every ScopedCredential, with the keys of its upstream.
// The error is a manifest.Errors with all that was found wrong; what is fine
// is returned all the same.
func compileAll(objects []manifest.Object) ([]loaded, error) {
	w := world{upstreams: map[string]upstream{}, secrets: map[string]*corev1.Secret{}, objects: objects}
	for _, s := range manifest.Select[*corev1.Secret](objects) {
		w.secrets[s.Namespace+"/"+s.Name] = s
	}
	for _, o := range objects {
		if up, ok := o.Object.(*v1alpha1.UpstreamSecret); ok {
			w.upstreams[o.Key()] = w.upstream(o, up)
		}
	}
	var all []loaded
	for _, o := range objects {
		if sc, ok := o.Object.(*v1alpha1.ScopedCredential); ok {
			all = append(all, w.credential(o, sc))
		}
	}
	return all, w.complaints.Err()
}

// world is what the manifests hold, by namespace/name.
type world struct {
	objects    []manifest.Object
	upstreams  map[string]upstream
	secrets    map[string]*corev1.Secret
	complaints manifest.Errors
}

type upstream struct {
	object  *v1alpha1.UpstreamSecret
	key     secret.Value // zero where there is none
	refused bool
}

func (w *world) upstream(o manifest.Object, up *v1alpha1.UpstreamSecret) upstream {
	out := upstream{object: up}
	if out.refused = w.complain(o, load.Compiler(w.objects, up).Upstream(up)); out.refused {
		return out
	}
	if field := mintedField(up); field != "" {
		w.complaints = append(w.complaints, o.ErrorAt("spec.source."+field,
			"tokens of this source are minted by the operator, and `sallyport run` mints none: get one yourself, write it into a Secret of the files, and name that in spec.source.secretRef instead"))
		return out
	}
	key, err := material.Read(up, func(r material.Reference) ([]byte, error) {
		data, found := secretData(w.secrets[up.Namespace+"/"+r.Name], r.Key)
		if !found {
			return nil, &material.Problem{Reference: r, Err: fmt.Errorf(
				"the files hold no Secret %s/%s with the key %s: add it to one of them", up.Namespace, r.Name, r.Key)}
		}
		return data, nil
	}, time.Now())
	if p := (*material.Problem)(nil); errors.As(err, &p) {
		w.complaints = append(w.complaints, o.ErrorAt("spec.source."+p.Field, err.Error()))
	} else if err != nil {
		w.complaints = append(w.complaints, o.ErrorAt("spec.source", err.Error()))
	}
	out.key = key.Value // zero with an error
	return out
}

// mintedField is the source of up whose tokens are minted; empty: it is none.
func mintedField(up *v1alpha1.UpstreamSecret) string {
	switch s := &up.Spec.Source; {
	case s.OAuth2 != nil:
		return "oauth2"
	case s.GitHubApp != nil:
		return "githubApp"
	}
	return ""
}

// secretData reads a key as the API server would store it: stringData wins.
func secretData(s *corev1.Secret, key string) (data []byte, found bool) {
	if s == nil {
		return nil, false
	}
	if text, ok := s.StringData[key]; ok {
		return []byte(text), true
	}
	data, found = s.Data[key]
	return data, found
}

func (w *world) credential(o manifest.Object, sc *v1alpha1.ScopedCredential) loaded {
	out := loaded{key: o.Key(), object: sc}
	ref := sc.Spec.Upstream
	if ref.Namespace == "" {
		ref.Namespace = sc.Namespace
	}
	up := w.upstreams[ref.Namespace+"/"+ref.Name]
	shared := compile.MayConsume(up.object, sc.Namespace)
	if shared && up.refused {
		out.refused = true // complained about there
		return out
	}
	if !shared {
		up.object = nil
	}
	compiled, err := load.Compiler(w.objects, up.object).Credential(sc, up.object)
	out.refused = w.complain(o, err)
	if !shared || up.key.IsZero() {
		out.refused, out.withdrawn = true, true
	}
	if !out.refused {
		out.compiled = compiled
		out.compiled.Secret = up.key
	}
	return out
}

// complain adds the problems of a refusal, at their lines.
func (w *world) complain(o manifest.Object, err error) (refused bool) {
	w.complaints = append(w.complaints, load.Complaints(o, err)...)
	return err != nil
}
