package git

import (
	"fmt"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Protocol is that of the shapes of this package.
const Protocol shape.Protocol = "git"

// Spec is a grant of git in resolved form. The zero Spec allows nothing, and
// is refused when it is compiled.
type Spec struct {
	// Repos bounds the repository: the decoded path before the service, without
	// a slash at its beginning and without .git at its end.
	Repos match.Matcher `json:"repos"`
	Fetch bool          `json:"fetch,omitempty"`
	// FetchBytes bounds the request of a fetch, which is read whole.
	FetchBytes int64 `json:"fetchBytes,omitempty"`
	Push       *Push `json:"push,omitempty"`
}

// Push is what may be pushed. The zero Push allows nothing.
type Push struct {
	Refs    []string `json:"refs"` // globs of full names
	Actions []Action `json:"actions"`
	// AnyOption admits push options, whatever they say.
	AnyOption   bool  `json:"anyOption,omitempty"`
	MaxBytes    int64 `json:"maxBytes"` // of the whole request
	MaxCommands int   `json:"maxCommands"`
}

// Action is what a command does to a ref.
type Action string

// The actions. A force-push is an Update like any other.
const (
	Create Action = "Create"
	Update Action = "Update"
	Delete Action = "Delete"
)

// mostCommands bounds MaxCommands: the list of commands is kept in memory.
const mostCommands = 100_000

// Compile returns the shapes of the requests that s allows, and reports what
// cannot be enforced. With fold, the letter case of repositories is not
// compared, whatever s says.
func (s *Spec) Compile(fold bool, report match.Report) []shape.Shape {
	if s.Repos.Required || s.Repos.Forbidden || s.Repos.Repeated {
		report("git.repos", "", "remove required, forbidden and repeated: a repository is always named, once")
	}
	repos := match.CompileText(&s.Repos, "git.repos", fold, report)
	var shapes []shape.Shape
	add := func(service string, b *body.Body) {
		shapes = append(shapes, refsShape(repos, service), callShape(repos, service, b))
	}
	if s.Fetch {
		if s.FetchBytes <= 0 {
			report("git.fetch", "", "bound the request of a fetch")
		}
		add(uploadPack, body.OfType(requestType(uploadPack), true, s.FetchBytes, s.FetchBytes, fetches{s.FetchBytes}))
	}
	if s.Push != nil {
		j := s.Push.compile(report)
		add(receivePack, body.OfType(requestType(receivePack), false, firstRead, s.Push.MaxBytes, j))
	}
	if len(shapes) == 0 {
		report("git", "", "set fetch: true, push, or both")
	}
	return shapes
}

// refsShape is the request for the refs of a repository, with which every
// fetch and every push begins.
func refsShape(repos *match.Text, service string) shape.Shape {
	return shape.Shape{
		Methods: []string{"GET"}, Match: matches(repos, infoRefs), Fold: repos.Fold, Headers: headers,
		Params: map[string]match.Matcher{"service": {Equals: &service, Required: true}},
	}
}

// callShape is the call of a service.
func callShape(repos *match.Text, service string, b *body.Body) shape.Shape {
	return shape.Shape{Methods: []string{"POST"}, Match: matches(repos, service), Fold: repos.Fold, Headers: headers, Body: b}
}

func requestType(service string) string { return "application/x-" + service + "-request" }

// headers: the version of the protocol decides how the body is read, here as
// upstream.
var headers = map[string]match.Matcher{protocolHeader: {In: []string{"version=0", "version=1", version2}}}

const (
	protocolHeader = "Git-Protocol"
	version2       = "version=2"
)

// matches decides about paths that end in one of the endings of the protocol.
func matches(repos *match.Text, ending string) func(string) bool {
	return func(path string) bool {
		repo, end := Split(path)
		if end != ending {
			return false
		}
		var scratch []byte
		repo, plain := name(match.Spelled(repo, repos.Fold, &scratch))
		return plain && repos.Match(repo, &scratch)
	}
}

// compile compiles what may be pushed.
func (p *Push) compile(report match.Report) *pushes {
	j := &pushes{spec: p, refs: compileRefs(p.Refs, report)}
	if len(p.Actions) == 0 {
		report("git.push.actions", "", "list an action")
	}
	for _, a := range p.Actions {
		if !slices.Contains([]Action{Create, Update, Delete}, a) {
			report("git.push.actions", string(a), "list Create, Update or Delete")
		}
	}
	if p.MaxBytes <= 0 {
		report("git.push.maxBytes", "", "bound the push")
	}
	if p.MaxCommands < 1 || p.MaxCommands > mostCommands {
		report("git.push.maxCommands", "", fmt.Sprintf("allow 1 to %d commands", mostCommands))
	}
	return j
}

func compileRefs(patterns []string, report match.Report) []*text.Glob {
	var refs []*text.Glob
	for _, pattern := range patterns {
		g, err := text.CompileGlob(pattern)
		if err != nil {
			report("git.push.refs", pattern, err.Error())
			continue
		}
		if !isRefGlob(pattern) {
			report("git.push.refs", pattern, "write a glob of full names, such as refs/heads/agent/**: no other is ever allowed")
		}
		refs = append(refs, g)
	}
	if len(patterns) == 0 {
		report("git.push.refs", "", "list a ref")
	}
	return refs
}
