package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/profile"
)

// world is what some manifests hold.
type world struct {
	objects []manifest.Object
	// also is asked for UpstreamSecrets that are missing here.
	also *world
}

// credential is a ScopedCredential that compiles.
type credential struct {
	object  manifest.Object
	written *v1alpha1.ScopedCredential
	// views has it compiled: once, or where its UpstreamSecret is not in the
	// files once for each profile that an endpoint may have.
	views   []view
	assumed bool
}

// view is a credential compiled for one UpstreamSecret.
type view struct {
	compiled bundle.Credential
	profiles map[string]string // by endpoint
}

// readWorld reads files, of which one may be standard input.
func readWorld(ctx context.Context, files []string, stdin io.Reader) (*world, error) {
	if len(files) == 0 {
		return nil, errors.New("name at least one file with -f")
	}
	text, err := load.Stdin(files, stdin)
	if err != nil {
		return nil, err
	}
	objects, err := load.Objects(ctx, files, text)
	if err != nil {
		return nil, err
	}
	return &world{objects: objects}, nil
}

// credentials compiles every ScopedCredential. The error is a manifest.Errors
// with all that is wrong.
func (w *world) credentials() ([]credential, error) {
	var out []credential
	var complaints manifest.Errors
	for _, o := range w.objects {
		sc, ok := o.Object.(*v1alpha1.ScopedCredential)
		if !ok {
			continue
		}
		c, err := w.compile(o, sc)
		if complaints = append(complaints, load.Complaints(o, err)...); err == nil {
			out = append(out, c)
		}
	}
	return out, complaints.Err()
}

func (w *world) compile(o manifest.Object, sc *v1alpha1.ScopedCredential) (credential, error) {
	c := credential{object: o, written: sc}
	up := w.upstream(sc)
	if up != nil {
		compiled, err := load.Compiler(w.all(), up).Credential(sc, up)
		c.views = []view{{compiled, profilesOf(up)}}
		return c, err
	}
	c.assumed = true
	var first error
	for _, name := range profile.Names() {
		up := assume(sc, name)
		compiled, err := compile.Credential(sc, up)
		if err == nil {
			c.views = append(c.views, view{compiled, profilesOf(up)})
		} else if first == nil || name == string(v1alpha1.ProfileStrict) {
			first = err
		}
	}
	if len(c.views) > 0 {
		first = nil
	}
	return c, first
}

func profilesOf(up *v1alpha1.UpstreamSecret) map[string]string {
	out := map[string]string{}
	for i := range up.Spec.Endpoints {
		out[up.Spec.Endpoints[i].Name] = string(up.Spec.Endpoints[i].Profile)
	}
	return out
}

// all are the objects that there are, here and in what is asked besides.
func (w *world) all() []manifest.Object {
	var out []manifest.Object
	for ; w != nil; w = w.also {
		out = append(out, w.objects...)
	}
	return out
}

// upstream returns the UpstreamSecret that sc names; nil where the files do not
// hold it.
func (w *world) upstream(sc *v1alpha1.ScopedCredential) *v1alpha1.UpstreamSecret {
	ref := sc.Spec.Upstream
	if ref.Namespace == "" {
		ref.Namespace = sc.Namespace
	}
	for ; w != nil; w = w.also {
		for _, o := range w.objects {
			if up, ok := o.Object.(*v1alpha1.UpstreamSecret); ok && up.Namespace == ref.Namespace && up.Name == ref.Name {
				return up
			}
		}
	}
	return nil
}

// assume makes an UpstreamSecret that sc might have: its owner keeps it in
// another repository. It has the endpoints that the grants name.
func assume(sc *v1alpha1.ScopedCredential, profileName string) *v1alpha1.UpstreamSecret {
	ref := sc.Spec.Upstream
	if ref.Namespace == "" {
		ref.Namespace = sc.Namespace
	}
	up := &v1alpha1.UpstreamSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name},
		Spec: v1alpha1.UpstreamSecretSpec{
			Source:    v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "assumed", Key: "assumed"}},
			Consumers: &v1alpha1.Consumers{Namespaces: []string{sc.Namespace}},
		},
	}
	for _, name := range endpointsOf(sc) {
		up.Spec.Endpoints = append(up.Spec.Endpoints, v1alpha1.Endpoint{
			Name: name, URL: "https://" + name + ".invalid", Profile: v1alpha1.Profile(profileName),
			Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}},
		})
	}
	return up
}

// endpointsOf returns the endpoints that are named, or one that may go without
// a name.
func endpointsOf(sc *v1alpha1.ScopedCredential) []string {
	var names []string
	for i := range sc.Spec.Grants {
		if http := sc.Spec.Grants[i].HTTP; http != nil && http.Endpoint != "" {
			names = append(names, http.Endpoint)
		}
		if graph := sc.Spec.Grants[i].GraphQL; graph != nil && graph.Endpoint != "" {
			names = append(names, graph.Endpoint)
		}
	}
	if sc.Spec.Client != nil {
		for _, v := range sc.Spec.Client.Env {
			for _, part := range strings.Split(v.Value, "{url:")[1:] {
				name, _, _ := strings.Cut(part, "}")
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		names = []string{"upstream"}
	}
	return names
}

// title names a credential in the text of an answer.
func (c *credential) title() string { return "ScopedCredential " + c.object.Key() }

// assumption tells what was assumed where every view was asked.
func (c *credential) assumption() string {
	return c.assuming("this holds whatever profile its endpoints have")
}

// strict is the view of an answer that needs one: that of endpoints without
// equivalences of their own.
func (c *credential) strict() (v *view, assumption string) {
	for i := range c.views {
		strict := true
		for _, name := range c.views[i].profiles {
			strict = strict && name == string(v1alpha1.ProfileStrict)
		}
		if strict {
			return &c.views[i], c.assuming("its endpoints are taken for strict ones")
		}
	}
	return &c.views[0], c.assuming("its endpoints are taken for ones that fit")
}

func (c *credential) assuming(what string) string {
	if !c.assumed {
		return ""
	}
	return fmt.Sprintf("UpstreamSecret %s is not in the files: %s; give it with -f for a closer answer", c.written.Spec.Upstream.Name, what)
}
