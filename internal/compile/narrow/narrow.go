// Package narrow finds out how little an installation token of a GitHub App has
// to be good for: of the repositories and permissions that its owner lists, those
// alone that some request of the consumers' scopes may need.
//
// What is left out is proved to be needless: no request that the scopes allow
// reaches that repository, or lies where GitHub asks for that permission. All else
// stays as the owner lists it; but where a scope only reads, read is taken for enough,
// as GitHub documents it for all but the few areas that say otherwise. So a token
// never does more than the owner says, and GitHub refuses nothing that it would grant
// with the whole lists, but for two things: a second repository that a request names
// in its query or body has to be reached by some grant, too; and drafts of releases
// are shown to who reads them at their place, not to a query of GraphQL.
package narrow

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/lang"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// need is how much of a permission is needed.
type need uint8

const (
	nothing need = iota
	reading
	listed // as the owner lists it
)

// The profiles of endpoints where it is known what requests need.
const (
	profileREST = "github-rest"
	profileGit  = "github-git"
)

// Need is what one consumer may need of what the owner lists. The zero Need needs
// nothing. It is immutable.
type Need struct {
	repositories map[string]bool
	permissions  map[string]need
	any          need // of every permission
}

// Of returns what c may need, which was compiled for up, a GitHub App's.
func Of(up *v1alpha1.UpstreamSecret, c *bundle.Credential) Need {
	f := finder{
		Need: Need{repositories: map[string]bool{}, permissions: map[string]need{}},
		app:  up.Spec.Source.GitHubApp, profiles: map[string]v1alpha1.Profile{},
		space: region.NewSpace(lang.NewWork(totalWork)),
	}
	for i := range up.Spec.Endpoints {
		if e := &up.Spec.Endpoints[i]; whereKnown(e) {
			f.profiles[e.Name] = e.Profile
		}
	}
	f.find(c)
	return f.Need
}

// whereKnown tells whether the paths at an endpoint are those that are known: its URL
// leads to the root of what its profile says.
func whereKnown(e *v1alpha1.Endpoint) bool {
	u, err := url.Parse(e.URL)
	if err != nil {
		return false
	}
	base := strings.TrimSuffix(u.Path, "/")
	return base == "" || base == "/api/v3" && e.Profile == profileREST // of GitHub Enterprise Server
}

// To returns app with the repositories and permissions alone that these consumers
// may need together. Neither list is ever empty, since that would mean all to
// GitHub. Without consumers nothing is left out: the token shows whether GitHub gives
// it, and whoever comes first has it until the next one is there.
func To(app v1alpha1.GitHubApp, consumers []Need) v1alpha1.GitHubApp {
	if len(consumers) == 0 {
		return app
	}
	out := app
	out.Repositories = slices.DeleteFunc(slices.Clone(app.Repositories), func(name string) bool {
		return !slices.ContainsFunc(consumers, func(n Need) bool { return n.repositories[name] })
	})
	if len(out.Repositories) == 0 && len(app.Repositories) > 0 {
		out.Repositories = app.Repositories[:1:1] // none is reached
	}
	out.Permissions = map[string]v1alpha1.GitHubPermission{}
	for name, level := range app.Permissions {
		needed := nothing
		for i := range consumers {
			needed = max(needed, consumers[i].of(name))
		}
		switch {
		case needed == listed:
			out.Permissions[name] = level
		case needed == reading && !writeOnly[name]:
			out.Permissions[name] = v1alpha1.GitHubRead // the least that there is
		}
	}
	if len(out.Permissions) == 0 {
		out.Permissions[implied] = v1alpha1.GitHubRead
	}
	return out
}

// of is how much n needs of a permission.
func (n *Need) of(permission string) need {
	if !known[permission] {
		return listed
	}
	return max(n.any, n.permissions[permission])
}

// finder finds out what a consumer needs.
type finder struct {
	Need
	app      *v1alpha1.GitHubApp
	profiles map[string]v1alpha1.Profile // by endpoint, where its paths are known
	space    *region.Space
}

func (f *finder) find(c *bundle.Credential) {
	profiles := map[string]*scope.Profile{}
	for i := range c.Endpoints {
		profiles[c.Endpoints[i].Name] = &c.Endpoints[i].Profile
	}
	for i := range c.Grants {
		g := &c.Grants[i]
		name, profile := f.profiles[g.Endpoint], profiles[g.Endpoint]
		switch {
		case profile == nil: // nothing is sent there
		case g.HTTP != nil && name == profileREST:
			f.rest(g, profile)
		case g.Git != nil && name == profileGit:
			f.git(g, profile)
		case g.GraphQL != nil && !slices.Contains(g.GraphQL.Operations, "Mutation"):
			f.everywhere()
			f.any = max(f.any, reading)
		default:
			f.everywhere()
			f.any = listed
		}
	}
}

// rest adds what requests of the REST API need.
func (f *finder) rest(g *scope.Grant, p *scope.Profile) {
	q := about(f.space, g, p)
	free := q.requests(nil, nil, harmless...)
	if q.reach(q.requests(nil, nil), slices.Concat(free, q.requests(nil, nil, repository, below))) {
		f.everywhere()
	}
	f.reached(q, repository, below)
	for how, methods := range q.methods {
		told := slices.Clone(free)
		for i := range areas {
			a := &areas[i]
			if q.reach(q.requests(methods, nil, a.paths()...), nil) {
				f.permit(max(how, a.least), a.permissions...)
				f.permit(listed, a.whole...)
			}
			told = append(told, q.requests(nil, nil, a.paths()...)...)
		}
		if q.reach(q.requests(methods, nil), told) {
			f.any = max(f.any, how)
		}
	}
}

// git adds what fetches and pushes need.
func (f *finder) git(g *scope.Grant, p *scope.Profile) {
	const name = "repo"
	f.reached(about(f.space, &scope.Grant{
		Name: g.Name, Endpoint: g.Endpoint, HTTP: &scope.HTTP{Methods: safe, Paths: []string{"/{" + name + "...}"}},
		Where: map[string]scope.Matcher{name: g.Git.Repos},
	}, p), "/{owner}/{repo}")
	f.permit(reading, "contents")
	if g.Git.Push != nil {
		f.permit(listed, "contents", "workflows")
	}
}

// everywhere adds all repositories.
func (f *finder) everywhere() {
	for _, name := range f.app.Repositories {
		f.repositories[name] = true
	}
}

// reached adds the repositories that are reached by some of these paths.
func (f *finder) reached(q *questions, paths ...string) {
	for _, name := range f.app.Repositories {
		// A wiki is served to who may reach its repository.
		where := map[string]scope.Matcher{"repo": {In: []string{name, name + ".wiki"}, FoldASCII: true}}
		f.repositories[name] = f.repositories[name] || q.reach(q.requests(nil, where, paths...), nil)
	}
}

func (f *finder) permit(how need, permissions ...string) {
	for _, p := range permissions {
		f.permissions[p] = max(f.permissions[p], how)
	}
}
