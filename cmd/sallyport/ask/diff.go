package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/compile/whole"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const diffHelp = `Compare what two versions of manifests allow.

OLD and NEW are files, - for standard input, or REV:path for a file of a git
revision, such as main:agents/notes.yaml. Every ScopedCredential is compared with
the one of the same name, and so is the ceiling of every UpstreamSecret. What is
compared is what they mean: every request that one version lets pass in some way,
and the other one does not, is found, however it is written. Each change is shown
by a request.

UpstreamSecrets that are in neither file are read from the files given with -f.
Without one, the answer holds for every profile that its endpoints may have.

The exit status is 0 where nothing has changed, 1 where less is allowed, 2 where
more is allowed or that could not be found out, 3 where the manifests cannot be
read or do not compile.`

// Statuses of diff.
const (
	diffSame     = 0
	diffNarrowed = 1
	diffWidened  = 2
	diffTrouble  = 3
)

func newDiff() *cobra.Command {
	var o output
	var also []string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a change of manifests allows and no longer allows",
		Long:  diffHelp,
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			answer, err := compareFiles(c.Context(), args, also, &o, c.InOrStdin())
			if err == nil {
				err = o.write(c.OutOrStdout(), answer, answer.text)
			}
			if err != nil {
				return &Ended{diffTrouble, err}
			}
			if status := answer.status(); status != diffSame {
				return &Ended{Status: status}
			}
			return nil
		},
	}
	// A typo is no narrowing.
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &Ended{diffTrouble, err} })
	o.flag(c)
	c.Flags().StringArrayVarP(&also, "filename", "f", nil, "`FILE` with UpstreamSecrets that both versions use; may be given many times")
	return c
}

// difference is the answer of diff.
type difference struct {
	Verdict prove.Verdict `json:"verdict"`
	Objects []compared    `json:"objects"`
}

// compared is what has changed of one object.
type compared struct {
	Kind      string        `json:"kind"`
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Verdict   prove.Verdict `json:"verdict"`
	Added     []changed     `json:"added,omitempty"`
	Removed   []changed     `json:"removed,omitempty"`
	Unknown   []string      `json:"unknown,omitempty"` // grants
	// Assumed says that the UpstreamSecret was not at hand.
	Assumed string `json:"assumed,omitempty"`
}

// changed is one thing that one version allows and the other does not.
type changed struct {
	Grant   string   `json:"grant,omitempty"`
	Path    string   `json:"path,omitempty"`
	Limit   string   `json:"limit,omitempty"` // of all grants, where that makes the difference
	Request *request `json:"request,omitempty"`
	Text    string   `json:"text"`
	// Otherwise says that the other version lets the request pass, and has
	// something else go upstream, or less often, or leaves less of the answer.
	Otherwise bool `json:"otherwise,omitempty"`
}

// request is a request that shows something.
type request struct {
	Endpoint string            `json:"endpoint"`
	Method   string            `json:"method"`
	Target   string            `json:"target"`
	Headers  map[string]string `json:"headers,omitempty"`
	Body     string            `json:"body,omitempty"`
	Bytes    int64             `json:"bytes,omitempty"` // of the body
	Often    string            `json:"often,omitempty"`
	Answer   string            `json:"answer,omitempty"`
}

func newRequest(w *region.Request) *request {
	r := &request{w.Endpoint, w.Method, w.Target(), nil, w.Body, w.Size, w.Often, w.Answer}
	for _, f := range w.Fields {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[f.Name] = f.Value
	}
	return r
}

func compareFiles(ctx context.Context, args, also []string, o *output, stdin io.Reader) (*difference, error) {
	switch {
	case len(args) != 2:
		return nil, errors.New("name two files or revisions: diff OLD NEW")
	case args[0] == "-" && args[1] == "-":
		return nil, errors.New("give - once: standard input can be read only once")
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	text, err := load.Stdin(args, stdin)
	if err != nil {
		return nil, err
	}
	var worlds [3]*world // the old, the new, and what both use
	for i, files := range [][]string{args[:1], args[1:], also} {
		objects, err := load.Revisions(ctx, files, text)
		if err != nil {
			return nil, err
		}
		worlds[i] = &world{objects: objects}
	}
	// An UpstreamSecret that one version does not have is that of the other.
	from, to, both := worlds[0], worlds[1], worlds[2]
	from.also = &world{objects: both.objects, also: &world{objects: to.objects}}
	to.also = &world{objects: both.objects, also: &world{objects: from.objects}}
	return compareWorlds(from, to)
}

func compareWorlds(from, to *world) (*difference, error) {
	old, err := from.byKey()
	if err != nil {
		return nil, err
	}
	fresh, err := to.byKey()
	if err != nil {
		return nil, err
	}
	out := &difference{Verdict: prove.Same}
	keys := slices.Collect(maps.Keys(old))
	keys = slices.AppendSeq(keys, maps.Keys(fresh))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		out.add(compareCredentials(old[key], fresh[key]))
	}
	ceilings, err := compareCeilings(from, to)
	for _, c := range ceilings {
		out.add(c)
	}
	return out, err
}

func (w *world) byKey() (map[string]*credential, error) {
	all, err := w.credentials()
	out := map[string]*credential{}
	for i := range all {
		out[all[i].object.Key()] = &all[i]
	}
	return out, err
}

func (d *difference) add(c compared) {
	d.Objects = append(d.Objects, c)
	d.Verdict = worse(d.Verdict, c.Verdict)
}

// worse joins two verdicts.
func worse(a, b prove.Verdict) prove.Verdict {
	switch {
	case a == b || b == prove.Same:
		return a
	case a == prove.Same:
		return b
	case a == prove.Undecided || b == prove.Undecided:
		return prove.Undecided
	}
	return prove.Both
}

// compareCredentials compares two versions of one; nil is none.
func compareCredentials(old, fresh *credential) compared {
	some := cmp.Or(fresh, old)
	out := compared{
		Kind: "ScopedCredential", Namespace: some.object.GetNamespace(), Name: some.object.GetName(),
		Verdict: prove.Same, Assumed: some.assumption(),
	}
	for _, pair := range views(old, fresh) {
		out.join(whole.Diff(pair[0], pair[1]))
	}
	return out
}

// views pairs what was compiled under the same assumption. A version that does
// not exist allows nothing.
func views(old, fresh *credential) [][2]prove.Scope {
	scopes := func(c *credential, i int) prove.Scope {
		if c == nil {
			return prove.Scope{}
		}
		return prove.ScopeOf(&c.views[i].compiled)
	}
	var out [][2]prove.Scope
	some := cmp.Or(fresh, old)
	for i := range some.views {
		k := i
		if old != nil && fresh != nil { // under a profile, one of them may not compile
			k = slices.IndexFunc(old.views, func(v view) bool { return maps.Equal(v.profiles, some.views[i].profiles) })
			if k < 0 && len(old.views) == 1 && len(fresh.views) == 1 {
				k = 0
			}
		}
		if k >= 0 {
			out = append(out, [2]prove.Scope{scopes(old, k), scopes(fresh, i)})
		}
	}
	return out
}

// join adds what was found under one assumption.
func (c *compared) join(d prove.Difference) {
	c.Verdict = worse(c.Verdict, d.Verdict)
	c.Added, c.Removed = joined(c.Added, d.Added), joined(c.Removed, d.Removed)
	c.Unknown = append(c.Unknown, d.Unknown...)
	slices.Sort(c.Unknown)
	c.Unknown = slices.Compact(c.Unknown)
}

// joined adds changes of paths that none is shown of yet.
func joined(list []changed, more []prove.Change) []changed {
	for i := range more {
		m := &more[i]
		if slices.ContainsFunc(list, func(c changed) bool { return c.Grant == m.Grant && c.Path == m.Path && c.Limit == m.Limit }) {
			continue
		}
		c := changed{Grant: m.Grant, Path: m.Path, Limit: m.Limit, Text: m.String(), Otherwise: m.Otherwise}
		if m.Grant != "" {
			c.Text, c.Request = m.Witness.String(), newRequest(&m.Witness)
		}
		list = append(list, c)
	}
	return list
}

// compareCeilings compares the ceilings of the UpstreamSecrets that both
// versions have.
func compareCeilings(from, to *world) ([]compared, error) {
	var out []compared
	var complaints manifest.Errors
	for _, o := range to.objects {
		fresh, ok := o.Object.(*v1alpha1.UpstreamSecret)
		if !ok {
			continue
		}
		for _, before := range from.objects {
			old, ok := before.Object.(*v1alpha1.UpstreamSecret)
			if !ok || before.Key() != o.Key() || old.Spec.Ceiling == nil && fresh.Spec.Ceiling == nil {
				continue
			}
			c, err := compareCeiling(from, to, old, fresh)
			complaints = append(complaints, load.Complaints(o, err)...)
			out = append(out, c)
		}
	}
	return out, complaints.Err()
}

func compareCeiling(from, to *world, old, fresh *v1alpha1.UpstreamSecret) (compared, error) {
	out := compared{Kind: "UpstreamSecret", Namespace: fresh.Namespace, Name: fresh.Name, Verdict: prove.Same}
	was, before, err := load.Compiler(from.all(), old).CeilingOf(old)
	if err != nil {
		return out, err
	}
	is, now, err := load.Compiler(to.all(), fresh).CeilingOf(fresh)
	switch {
	case err != nil:
		return out, err
	case before == nil:
		out.Verdict = prove.Narrowed
		out.Removed = []changed{{Text: "whatever the key can do: there was no ceiling"}}
	case now == nil:
		out.Verdict = prove.Widened
		out.Added = []changed{{Text: "whatever the key can do: there is no ceiling"}}
	default:
		out.join(whole.Diff(prove.Scope{Endpoints: was, Grants: before.Grants}, prove.Scope{Endpoints: is, Grants: now.Grants}))
	}
	return out, nil
}

func (d *difference) status() int {
	switch d.Verdict {
	case prove.Same:
		return diffSame
	case prove.Narrowed:
		return diffNarrowed
	}
	return diffWidened
}

func (d *difference) text(w io.Writer) {
	if len(d.Objects) == 0 {
		line(w, "no ScopedCredential and no ceiling in either version")
	}
	for i := range d.Objects {
		c := &d.Objects[i]
		what := ""
		if c.Kind == "UpstreamSecret" {
			what = ", its ceiling"
		}
		line(w, "%s %s/%s%s: %s", c.Kind, c.Namespace, c.Name, what, strings.ToLower(string(c.Verdict)))
		changes(w, "+", "refused before", "it was let pass otherwise before", c.Added)
		changes(w, "-", "refused now", "it is let pass otherwise now", c.Removed)
		for _, grant := range c.Unknown {
			line(w, "  ? grant %s: it takes too much work to find out", grant)
		}
		if c.Assumed != "" {
			line(w, "  note: %s", c.Assumed)
		}
	}
}

func changes(w io.Writer, sign, refused, otherwise string, list []changed) {
	for _, c := range list {
		line(w, "  %s %s", sign, c.Text)
		if c.Grant == "" {
			continue
		}
		why := refused
		if c.Otherwise {
			why = otherwise
		}
		line(w, "      %s", fmt.Sprintf("grant %s, path %s; %s", c.Grant, c.Path, why))
	}
}
