// Package schemas reads the GraphQL schemas that UpstreamSecrets name: each is
// in a ConfigMap beside the UpstreamSecret, which is watched by itself for as
// long as somebody refers to it. A schema is read once, by whoever compiles with
// it first.
package schemas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/follow"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// ErrPending says that a schema was not read yet. Ask again when told of a
// change.
var ErrPending = errors.New("not read yet")

// Watcher watches the ConfigMaps that hold schemas. It is a Runnable for a
// manager, and runs in every replica. It is safe for concurrent use.
type Watcher struct {
	*follow.Watcher[*corev1.ConfigMap, held]
	grant secretwatch.Grant
}

// held is one version of a ConfigMap.
type held struct {
	version string
	texts   map[string]string
	schemas *sync.Map // of what was read, by key
}

// New returns a Watcher that watches nothing yet. grant is what a platform team
// binds so that ConfigMaps of a namespace can be read.
func New(maps corev1client.ConfigMapsGetter, grant secretwatch.Grant) *Watcher {
	return &Watcher{grant: grant, Watcher: follow.New(follow.Source[*corev1.ConfigMap, held]{
		Example: &corev1.ConfigMap{},
		List: func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
			return maps.ConfigMaps(namespace).List(ctx, options)
		},
		Watch: func(ctx context.Context, namespace string, options metav1.ListOptions) (watch.Interface, error) {
			return maps.ConfigMaps(namespace).Watch(ctx, options)
		},
		Read: read, Equal: equal,
	})}
}

func read(m *corev1.ConfigMap) held {
	return held{version: string(m.UID) + "/" + m.ResourceVersion, texts: m.Data, schemas: &sync.Map{}}
}

// equal tells whether a and b say the same. Of two that do the later one is
// kept, under its own version.
func equal(a, b held) bool { return maps.Equal(a.texts, b.texts) }

// schema returns the schema under key, read once.
func (h held) schema(key string) (compile.Schema, bool) {
	text, found := h.texts[key]
	if !found {
		return compile.Schema{}, false
	}
	once, _ := h.schemas.LoadOrStore(key, sync.OnceValue(func() compile.Schema { return compile.ReadSchema(text) }))
	return once.(func() compile.Schema)(), true
}

// Names returns the ConfigMaps that versions of an UpstreamSecret name, for
// [follow.Watcher.Refer]. A nil version names none.
func Names(versions ...*v1alpha1.UpstreamSecret) []types.NamespacedName {
	var names []types.NamespacedName
	for _, up := range versions {
		if up == nil {
			continue
		}
		for _, ref := range compile.References(up) {
			names = append(names, types.NamespacedName{Namespace: up.Namespace, Name: ref.Name})
		}
	}
	return names
}

// For returns what compiles with the schemas that up names, and a text that
// tells their versions apart. A nil up names none. The error is ErrPending; what
// is missing or may not be read is for the compiler to tell of.
func (w *Watcher) For(up *v1alpha1.UpstreamSecret) (compile.Compiler, string, error) {
	c := compile.Compiler{Schemas: compile.Schemas{}}
	var versions []string
	if up == nil {
		return c, "", nil
	}
	for _, ref := range compile.References(up) {
		name := types.NamespacedName{Namespace: up.Namespace, Name: ref.Name}
		found, state := w.Find(name)
		switch state {
		case follow.Pending:
			return compile.Compiler{}, "", fmt.Errorf("reading ConfigMap %s: %w", name, ErrPending)
		case follow.Forbidden:
			c.Schemas[ref] = compile.RefusedSchema(v1alpha1.ReasonNotPermitted, w.grant.Remedy("ConfigMaps", up.Namespace))
		case follow.Known:
			if schema, ok := found.schema(ref.Key); ok {
				c.Schemas[ref] = schema
			}
		}
		versions = append(versions, fmt.Sprintf("%s/%s %d %s", ref.Name, ref.Key, state, found.version))
	}
	return c, strings.Join(versions, ", "), nil
}
