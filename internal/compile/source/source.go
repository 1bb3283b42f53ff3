// Package source checks where the key of an UpstreamSecret comes from.
package source

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
)

// Check collects what is wrong with the minted sources of up. It holds them to
// the schema's rules a second time: the installed schema may be older than this
// code, and an empty list means all to some who mint.
func Check(p *problem.List, path *field.Path, up *v1alpha1.UpstreamSecret) {
	s := &up.Spec.Source
	if s.GitHubApp != nil {
		checkGitHubApp(p, path.Child("githubApp"), up)
	}
	if s.OAuth2 != nil {
		checkOAuth2(p, path.Child("oauth2"), s.OAuth2)
	}
}

const profileGitHub = "github-rest"

func checkGitHubApp(p *problem.List, path *field.Path, up *v1alpha1.UpstreamSecret) {
	g := up.Spec.Source.GitHubApp
	if g.AppID < 1 {
		p.Invalid(path.Child("appID"), strconv.FormatInt(g.AppID, 10), "write the number that GitHub shows for the app")
	}
	if g.InstallationID < 1 {
		p.Invalid(path.Child("installationID"), strconv.FormatInt(g.InstallationID, 10), "write the number at the end of the installation's address")
	}
	checkRef(p, path.Child("privateKeyRef"), &g.PrivateKeyRef)
	checkRepositories(p, path.Child("repositories"), g.Repositories)
	checkPermissions(p, path.Child("permissions"), g.Permissions)
	api := 0
	for i := range up.Spec.Endpoints {
		if up.Spec.Endpoints[i].Profile == profileGitHub {
			api++
		}
	}
	if api != 1 {
		p.Invalid(path, "", "have exactly one endpoint with profile "+profileGitHub+": its url is where tokens are minted")
	}
}

var repository = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func checkRepositories(p *problem.List, path *field.Path, names []string) {
	if len(names) == 0 {
		p.Invalid(path, "", "list at least one: none would mean all to GitHub")
	}
	for i, name := range names {
		if !repository.MatchString(name) {
			p.Invalid(path.Index(i), name, "write the repository's name without its owner")
		}
	}
}

func checkPermissions(p *problem.List, path *field.Path, all map[string]v1alpha1.GitHubPermission) {
	if len(all) == 0 {
		p.Invalid(path, "", "list at least one: none would mean all to GitHub")
	}
	levels := []v1alpha1.GitHubPermission{v1alpha1.GitHubRead, v1alpha1.GitHubWrite, v1alpha1.GitHubAdmin}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "" || !slices.Contains(levels, all[name]) {
			p.Invalid(path.Key(name), string(all[name]), "write read, write or admin")
		}
	}
}

func checkOAuth2(p *problem.List, path *field.Path, o *v1alpha1.OAuth2) {
	checkTokenURL(p, path.Child("tokenURL"), o.TokenURL)
	if o.ClientID == "" {
		p.Invalid(path.Child("clientID"), "", "write the id of the client")
	}
	checkGrant(p, path, o)
	checkRef(p, path.Child("clientSecretRef"), o.ClientSecretRef)
	checkRef(p, path.Child("refreshTokenRef"), o.RefreshTokenRef)
	for i, s := range o.Scopes {
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			p.Invalid(path.Child("scopes").Index(i), s, "write one scope for each entry")
		}
	}
}

func checkGrant(p *problem.List, path *field.Path, o *v1alpha1.OAuth2) {
	switch o.Grant {
	case v1alpha1.GrantClientCredentials:
		if o.ClientSecretRef == nil {
			p.Invalid(path.Child("clientSecretRef"), "", "set it: grant ClientCredentials needs it")
		}
		if o.RefreshTokenRef != nil {
			p.Invalid(path.Child("refreshTokenRef"), "", "remove it: grant ClientCredentials has none")
		}
	case v1alpha1.GrantRefreshToken:
		if o.RefreshTokenRef == nil {
			p.Invalid(path.Child("refreshTokenRef"), "", "set it: grant RefreshToken needs the first one")
		}
	default:
		p.Invalid(path.Child("grant"), string(o.Grant), "write ClientCredentials or RefreshToken")
	}
}

// checkTokenURL holds the place that the client's secret goes to: it is never
// in clear text, and nothing in it may be read in two ways.
func checkTokenURL(p *problem.List, path *field.Path, text string) {
	u, err := url.Parse(text)
	if err != nil || !plain(u) || strings.ContainsAny(text, "?#\\") {
		p.Invalid(path, text, "write it as https://host/path: host in lower case, no query, fragment or user information")
		return
	}
	if _, after, found := strings.Cut(u.Host[len(hostOf(u)):], ":"); found {
		if port, err := strconv.ParseUint(after, 10, 16); err != nil || port == 0 {
			p.Invalid(path, text, "write a port between 1 and 65535")
		}
	}
}

// plain tells whether u has https, a host and a path alone.
func plain(u *url.URL) bool {
	bare := url.URL{Scheme: "https", Host: strings.ToLower(u.Host), Path: u.Path, RawPath: u.RawPath}
	return *u == bare && u.Hostname() != ""
}

// hostOf is the host as it stands in u.Host, brackets included.
func hostOf(u *url.URL) string {
	if i := strings.IndexByte(u.Host, ']'); i >= 0 {
		return u.Host[:i+1]
	}
	return u.Hostname()
}

// checkRef refuses a reference that names nothing; nil is none.
func checkRef(p *problem.List, path *field.Path, ref *v1alpha1.KeyReference) {
	if ref != nil && (ref.Name == "" || ref.Key == "") {
		p.Invalid(path, "", "write name and key of a Secret in this namespace")
	}
}
