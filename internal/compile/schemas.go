package compile

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
)

// Schemas are the GraphQL schemas that the endpoints of an UpstreamSecret name,
// by what names them. A schema that is missing here was not found; where nobody
// looked, Schemas is nil.
type Schemas map[v1alpha1.KeyReference]Schema

// Schema is a text that was read once, or why it could not be.
type Schema struct {
	schema *sdl.Schema
	err    error
	reason string // of err
}

// ReadSchema reads a schema.
func ReadSchema(text string) Schema {
	schema, err := sdl.Parse(text)
	return Schema{schema, err, v1alpha1.ReasonInvalid}
}

// RefusedSchema is one that there may be, and that cannot be read for a reason.
func RefusedSchema(reason, remedy string) Schema {
	return Schema{err: errors.New(remedy), reason: reason}
}

// A Compiler compiles with what objects refer to beside each other. The zero
// Compiler has none of it.
type Compiler struct {
	// Schemas are those of the UpstreamSecret.
	Schemas Schemas
}

// References returns what the endpoints of up name as their schemas, in
// ConfigMaps of its namespace.
func References(up *v1alpha1.UpstreamSecret) []v1alpha1.KeyReference {
	var out []v1alpha1.KeyReference
	for i := range up.Spec.Endpoints {
		if g := up.Spec.Endpoints[i].GraphQL; g != nil {
			out = append(out, g.SchemaRef)
		}
	}
	return out
}

// of returns the schema by which an endpoint is judged: the one that its owner
// chose, or that of its profile. Nil is none.
func (s Schemas) of(e *v1alpha1.Endpoint) *sdl.Schema {
	if e.GraphQL != nil {
		return s[e.GraphQL.SchemaRef].schema // what is wrong with it is told by check
	}
	switch e.Profile {
	case v1alpha1.ProfileGitHubGraphQL, v1alpha1.ProfileGitHubREST:
		return sdl.GitHub()
	}
	return nil
}

// check adds what is wrong with the schema that an endpoint names.
func (s Schemas) check(p *problem.List, path *field.Path, e *v1alpha1.Endpoint) {
	if e.GraphQL == nil {
		return
	}
	p.Unsupported(s == nil, path, "")
	if s == nil {
		return
	}
	ref := e.GraphQL.SchemaRef
	read, found := s[ref]
	if !found {
		p.Add(v1alpha1.ReasonNotFound, path, ref.Name+"/"+ref.Key, "there is no ConfigMap of this name with this key beside the UpstreamSecret: create it, or correct the reference")
		return
	}
	if read.err != nil {
		p.Add(read.reason, path, ref.Name+"/"+ref.Key, read.err.Error())
	}
}

// Credential is [Compiler.Credential] for an UpstreamSecret that names no
// schema.
func Credential(sc *v1alpha1.ScopedCredential, up *v1alpha1.UpstreamSecret) (bundle.Credential, error) {
	return Compiler{}.Credential(sc, up)
}

// Upstream is [Compiler.Upstream] for an UpstreamSecret that names no schema.
func Upstream(up *v1alpha1.UpstreamSecret) error { return Compiler{}.Upstream(up) }

// CeilingOf is [Compiler.CeilingOf] for an UpstreamSecret that names no schema.
func CeilingOf(up *v1alpha1.UpstreamSecret) ([]bundle.Endpoint, *bundle.Ceiling, error) {
	return Compiler{}.CeilingOf(up)
}
