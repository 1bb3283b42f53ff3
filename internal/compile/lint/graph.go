package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
)

// graph finds ways out of a GraphQL grant. Where a field at which operations
// begin is bounded by its arguments, what it returns is what was granted: a
// repository, say. A field further down that returns the same type without a
// bound reaches others of it.
func (l *linter) graph(i int, g *scope.Grant) {
	w := walker{spec: g.GraphQL, schema: schemaOf(l.Profiles[g.Endpoint]), came: map[string]step{}}
	at := fmt.Sprintf("spec.grants[%d].graphql", i)
	w.walk()
	doubt := Warning
	if w.schema == nil {
		doubt = Note // perhaps it takes none
	}
	for _, e := range w.open() {
		l.add(AnyArguments, doubt, entryOf(&l.Written.Spec.Grants[i], at, e),
			"the field "+e.String()+" passes with any arguments, the identifiers of others' objects included",
			"name it as "+e.String()+" and list under args which arguments may be given")
	}
	for _, out := range w.ways() {
		severity, more := Warning, ""
		if w.surrounds(out.last) {
			severity, more = Note, ", unless it is the one that it is in"
		}
		l.add(ReachesOut, severity, entryOf(&l.Written.Spec.Grants[i], at, out.last),
			"the grant "+g.Name+" reaches any "+out.typ+" by "+out.path+more,
			"remove "+out.last.String()+", or name it with args that bound it")
	}
}

// schemaOf returns the schema of a profile, nil where it has none.
func schemaOf(profile string) *sdl.Schema {
	switch v1alpha1.Profile(profile) {
	case v1alpha1.ProfileGitHubGraphQL, v1alpha1.ProfileGitHubREST:
		return sdl.GitHub()
	}
	return nil
}

// entryOf is the entry of select that names a field.
func entryOf(g *v1alpha1.Grant, at string, of step) string {
	if g.GraphQL == nil {
		return at
	}
	for k := range g.GraphQL.Select {
		e := &g.GraphQL.Select[k]
		if e.On == of.String() || e.On == of.on && slices.Contains(e.Fields, of.field) {
			return fmt.Sprintf("%s.select[%d]", at, k)
		}
	}
	return at
}

// step is a field of a type.
type step struct{ on, field string }

// String is the coordinate of the field.
func (s step) String() string { return s.on + "." + s.field }

// walker follows the fields of one grant from where operations begin.
type walker struct {
	spec   *graphql.Spec
	schema *sdl.Schema
	came   map[string]step // by type: how it was first reached
	order  []string        // in which types were reached
	steps  []step          // all that can be taken
}

func (w *walker) roots() []string {
	var out []string
	for _, kind := range w.spec.Operations {
		out = append(out, map[bool]string{true: w.spec.Mutation, false: w.spec.Query}[kind == "Mutation"])
	}
	return out
}

func (w *walker) walk() {
	for _, root := range w.roots() {
		w.came[root] = step{}
		w.order = append(w.order, root)
	}
	for k := 0; k < len(w.order); k++ {
		on := w.order[k]
		fields := w.spec.Types[on].Fields
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			s := step{on, name}
			w.steps = append(w.steps, s)
			for _, next := range w.reached(fields[name].Type) {
				if _, seen := w.came[next]; !seen {
					w.came[next] = s
					w.order = append(w.order, next)
				}
			}
		}
	}
}

// reached returns a type with those of the named ones that may stand there.
func (w *walker) reached(typ string) []string {
	if typ == "" {
		return nil
	}
	out := []string{typ}
	of := w.schema.Type(typ)
	for _, name := range slices.Sorted(maps.Keys(w.spec.Types)) {
		if slices.Contains(w.spec.Types[typ].Possible, name) || of != nil && slices.Contains(of.Possible, name) {
			out = append(out, name)
		}
	}
	return out
}

// way is a way to a type that was bounded elsewhere.
type way struct {
	typ, path string
	last      step
}

// ways returns the unbounded ways to types that a bounded field at the roots
// returns, one for each field that is the last of one.
func (w *walker) ways() []way {
	anchored := map[string]bool{}
	for _, root := range w.roots() {
		for _, f := range w.spec.Types[root].Fields {
			if f.Type != "" && bounded(f) {
				anchored[f.Type] = true
			}
		}
	}
	var out []way
	for _, s := range w.steps {
		f := w.spec.Types[s.on].Fields[s.field]
		if bounded(f) {
			continue
		}
		for _, typ := range w.reached(f.Type) {
			if anchored[typ] {
				out = append(out, way{typ, w.path(s), s})
			}
		}
	}
	return out
}

// surrounds reports whether a field is, of what is in a repository, the one that
// it is in. One that is asked for by a name takes arguments.
func (w *walker) surrounds(s step) bool {
	t := w.schema.Type(s.on)
	return s.field == "repository" && t != nil && t.Fields[s.field] != nil && len(t.Fields[s.field].Args) == 0
}

// path is how a step can be taken, from where operations begin.
func (w *walker) path(last step) string {
	steps := []string{last.String()}
	for at := w.came[last.on]; at != (step{}); at = w.came[at.on] {
		steps = append(steps, at.String())
	}
	slices.Reverse(steps)
	return strings.Join(steps, " > ")
}

// open returns the fields at the roots that take arguments and pass with any.
func (w *walker) open() []step {
	var out []step
	for _, root := range w.roots() {
		for _, name := range slices.Sorted(maps.Keys(w.spec.Types[root].Fields)) {
			t := w.schema.Type(root)
			takes := t == nil || t.Fields[name] == nil || len(t.Fields[name].Args) > 0
			if w.spec.Types[root].Fields[name].AnyArgs && takes {
				out = append(out, step{root, name})
			}
		}
	}
	return out
}

// bounded reports whether an argument decides what a field returns.
func bounded(f graphql.Field) bool {
	for _, m := range f.Args {
		if f.AnyArgs {
			return false
		}
		if names(&m) {
			return true
		}
	}
	return false
}

// names reports whether a matcher names values, and not their type or size.
func names(m *match.Matcher) bool {
	return m.Equals != nil || len(m.In) > 0 || m.Glob != nil || m.Pattern != nil || m.Kind != "" || m.Set != nil && names(m.Set)
}
