package load

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Compiler compiles with what up refers to among objects: the ConfigMaps that
// hold its schemas. A nil up refers to nothing.
func Compiler(objects []manifest.Object, up *v1alpha1.UpstreamSecret) compile.Compiler {
	c := compile.Compiler{Schemas: compile.Schemas{}}
	if up == nil {
		return c
	}
	for _, ref := range compile.References(up) {
		for _, m := range manifest.Select[*corev1.ConfigMap](objects) {
			if m.Namespace != up.Namespace || m.Name != ref.Name {
				continue
			}
			if text, found := m.Data[ref.Key]; found {
				c.Schemas[ref] = compile.ReadSchema(text)
			}
		}
	}
	return c
}
