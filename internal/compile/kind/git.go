// Package kind compiles the kinds of grants that are not written as method and
// path, each into what the judge reads. Whether that can be enforced is for the
// judge to say.
package kind

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
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
