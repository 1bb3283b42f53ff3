// Package kind compiles the kinds of grants that are not written as method and
// path, each into what the judge reads. Whether that can be enforced is for the
// judge to say.
package kind

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

// What a push may have where its author says nothing.
const (
	defaultPushBytes    = 512 << 20
	defaultPushCommands = 1000
)

// Git compiles a grant of git. bodyBytes bounds what is read whole, as the
// request of a fetch is.
func Git(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.GitGrant, bodyBytes int64) *scope.Git {
	out := &scope.Git{Repos: sets.Compile(p, path.Child("repos"), in.Repos), Fetch: in.Fetch}
	if in.Fetch {
		out.FetchBytes = bodyBytes
	}
	if in.Push == nil {
		return out
	}
	push := path.Child("push")
	out.Push = &git.Push{
		Refs: slices.Clone(in.Push.Refs), AnyOption: in.Push.PushOptions == v1alpha1.PushOptionsAny,
		MaxBytes: defaultPushBytes, MaxCommands: defaultPushCommands,
	}
	for _, action := range in.Push.Actions {
		out.Push.Actions = append(out.Push.Actions, git.Action(action))
	}
	if o := in.Push.PushOptions; o != "" && o != v1alpha1.PushOptionsNone && o != v1alpha1.PushOptionsAny {
		p.Invalid(push.Child("pushOptions"), string(o), "write None or Any")
	}
	if in.Push.MaxBytes != nil {
		out.Push.MaxBytes = *in.Push.MaxBytes
	}
	if in.Push.MaxCommands != nil {
		out.Push.MaxCommands = int(*in.Push.MaxCommands)
	}
	return out
}

// NeverGit returns what in names, as pieces.
func NeverGit(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.NeverGit, common region.Never) []region.Never {
	common.Paths = []string{piece.Repository}
	if in.Repos != nil {
		common.Where = map[string]scope.Matcher{piece.RepositoryName: sets.Compile(p, path.Child("repos"), *in.Repos)}
	}
	var out []region.Never
	if in.Fetch || in.Push == nil {
		fetch := common
		fetch.Methods = []string{piece.Fetch}
		out = append(out, fetch)
	}
	if in.Push != nil || !in.Fetch {
		out = append(out, neverPush(in.Push, common)...)
	}
	return out
}

// neverPush returns the commands that in names, nil of which are all.
func neverPush(in *v1alpha1.NeverGitPush, common region.Never) []region.Never {
	if in == nil {
		in = &v1alpha1.NeverGitPush{}
	}
	actions := in.Actions
	if len(actions) == 0 {
		actions = []v1alpha1.PushAction{v1alpha1.PushCreate, v1alpha1.PushUpdate, v1alpha1.PushDelete}
	}
	for _, action := range actions {
		common.Methods = append(common.Methods, piece.Push(git.Action(action)))
	}
	if len(in.Refs) == 0 {
		return []region.Never{common}
	}
	var out []region.Never
	for i := range in.Refs {
		common.Params = map[string]scope.Matcher{piece.Ref: {Glob: &in.Refs[i]}}
		out = append(out, common)
	}
	return out
}
