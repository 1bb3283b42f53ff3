package piece

import (
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// The methods of pieces of git. The repository is their path, and the ref of a
// command stands in the query.
const (
	Fetch = "FETCH"
	push  = "PUSH"
	// PushOption is an option that is sent with a push.
	PushOption = "PUSH-OPTION"
	// Repository is the path, and RepositoryName its capture.
	Repository     = "/{repo...}"
	RepositoryName = "repo"
	// Ref is the name in the query.
	Ref = "ref"
)

// Push is the method of an action.
func Push(action git.Action) string { return push + "-" + strings.ToUpper(string(action)) }

// gitPieces are a fetch, the commands of a push, and how many there may be.
func gitPieces(g *scope.Grant) []scope.Grant {
	var out []scope.Grant
	in := func(method string) scope.Grant {
		one := bare(g, At(g.Endpoint, Git), method, Repository)
		one.Where = map[string]scope.Matcher{RepositoryName: g.Git.Repos}
		return one
	}
	if g.Git.Fetch {
		out = append(out, in(Fetch))
	}
	p := g.Git.Push
	if p == nil {
		return out
	}
	size := &scope.Body{Media: scope.Opaque, MaxBytes: p.MaxBytes}
	for _, action := range p.Actions {
		for i := range p.Refs {
			one := in(Push(action))
			one.Body = size
			one.Query.Params = map[string]scope.Matcher{Ref: {Required: true, Glob: &p.Refs[i], Kind: scope.Ref}}
			out = append(out, one)
		}
	}
	whole := in(push)
	zero, most := "0", strconv.Itoa(p.MaxCommands)
	whole.Query.Params = map[string]scope.Matcher{"commands": {Required: true, Min: &zero, Max: &most}}
	out = append(out, whole)
	if p.AnyOption {
		out = append(out, in(PushOption))
	}
	return out
}

// gitRequests are those for the refs of a repository, and those that fetch and
// push.
func gitRequests(g *scope.Grant) []scope.Grant {
	var out []scope.Grant
	add := func(method, ending, service string, body *scope.Body) {
		for _, m := range withEnding(&g.Git.Repos, "/"+ending) {
			one := bare(g, g.Endpoint, method, Repository)
			one.Where, one.Body = map[string]scope.Matcher{RepositoryName: m}, body
			one.Headers = with(g.Headers, "Git-Protocol")
			if service != "" {
				one.Query.Params = map[string]scope.Matcher{"service": {Required: true, Equals: &service}}
			}
			out = append(out, one)
		}
	}
	if g.Git.Fetch {
		add("GET", "info/refs", "git-upload-pack", nil)
		add("POST", "git-upload-pack", "", &scope.Body{Media: scope.Opaque, MaxBytes: g.Git.FetchBytes})
	}
	if p := g.Git.Push; p != nil {
		add("GET", "info/refs", "git-receive-pack", nil)
		add("POST", "git-receive-pack", "", &scope.Body{Media: scope.Opaque, MaxBytes: p.MaxBytes})
	}
	return out
}

// withEnding returns matchers that let every path pass that is a repository, with
// or without .git, and an ending behind it. What bounds the repository besides
// is left out, which lets more pass.
func withEnding(repos *scope.Matcher, ending string) []scope.Matcher {
	m, fold := *repos, repos.FoldASCII
	for m.Set != nil {
		m = *m.Set
		fold = fold || m.FoldASCII
	}
	both := []string{ending, ".git" + ending}
	switch {
	case m.Equals != nil || len(m.In) > 0:
		values := m.In
		if m.Equals != nil {
			values = []string{*m.Equals}
		}
		var in []string
		for _, value := range values {
			for _, end := range both {
				in = append(in, value+end)
			}
		}
		return []scope.Matcher{{In: in, FoldASCII: fold}}
	case m.Pattern != nil:
		pattern := "(?:" + *m.Pattern + ")(?:[.]git)?" + ending
		return []scope.Matcher{{Pattern: &pattern}}
	}
	return globs(m.Glob, both, fold)
}

// globs are those of repositories with endings; of any where there is no glob.
func globs(repos *string, endings []string, fold bool) []scope.Matcher {
	glob := "**"
	if repos != nil {
		glob = *repos
	}
	var out []scope.Matcher
	for _, end := range endings {
		with := glob + end
		if _, err := text.CompileGlob(with); err == nil {
			out = append(out, scope.Matcher{Glob: &with, FoldASCII: fold})
		}
	}
	return out
}
