package mint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// profileGitHub is the profile of the endpoint where a GitHub App gets tokens.
const profileGitHub = "github-rest"

// Is tells whether tokens are minted from s.
func Is(s *v1alpha1.Source) bool { return s.OAuth2 != nil || s.GitHubApp != nil }

// A Ref is a Secret's key that a source names.
type Ref struct {
	Field string // of the spec
	v1alpha1.KeyReference
	// PEM says that its text has lines.
	PEM bool
	// put hands it to a job.
	put func(*Job, secret.Value)
}

// Refs are the keys that tokens are minted from, in the order of the fields.
func Refs(s *v1alpha1.Source) []Ref {
	var refs []Ref
	if o := s.OAuth2; o != nil {
		if o.ClientSecretRef != nil {
			refs = append(refs, Ref{fieldClientSecret, *o.ClientSecretRef, false, func(j *Job, v secret.Value) { j.clientSecret = v }})
		}
		if o.RefreshTokenRef != nil {
			refs = append(refs, Ref{fieldRefreshToken, *o.RefreshTokenRef, false, func(j *Job, v secret.Value) { j.refreshToken = v }})
		}
	}
	if g := s.GitHubApp; g != nil {
		refs = append(refs, Ref{fieldPrivateKey, g.PrivateKeyRef, true, func(j *Job, v secret.Value) { j.privateKey = v }})
	}
	return refs
}

// A Job is what the tokens of one UpstreamSecret are minted from. Printing it
// prints none of the keys.
type Job struct {
	uid  string
	spec v1alpha1.Source
	api  string             // base of GitHub's API
	app  v1alpha1.GitHubApp // as it is asked for: see Narrow

	clientSecret, refreshToken, privateKey secret.Value
}

// NewJob returns the job of up. keys are those of [Refs], in that order. It
// refuses a private key that is no PEM; [Job.Check] looks closer.
func NewJob(up *v1alpha1.UpstreamSecret, keys []secret.Value) (*Job, error) {
	refs := Refs(&up.Spec.Source)
	if len(refs) == 0 || len(refs) != len(keys) {
		return nil, fmt.Errorf("minting for UpstreamSecret %s/%s: %d keys, not %d", up.Namespace, up.Name, len(keys), len(refs))
	}
	j := &Job{uid: string(up.UID), spec: up.Spec.Source}
	for i := range refs {
		refs[i].put(j, keys[i])
	}
	if j.spec.GitHubApp != nil {
		j.app = *j.spec.GitHubApp
		if e := Endpoint(&up.Spec); e != nil {
			j.api = e.URL
		}
		if _, err := onlyBlock(j.privateKey); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// Narrow has j ask for the repositories and permissions of app, which are some of
// those that the spec lists. What is asked for may change at any time: the token
// that is held serves until the next one is there, and that is due at once.
func (j *Job) Narrow(app v1alpha1.GitHubApp) {
	j.app.Repositories, j.app.Permissions = app.Repositories, app.Permissions
}

// Check says why j can never mint: its private key cannot sign.
func (j *Job) Check() error {
	if j.spec.GitHubApp == nil {
		return nil
	}
	_, err := parseKey(j.privateKey)
	return err
}

// Endpoint is the one whose server mints: GitHub's own, or the one that has
// scheme, host and port of tokenURL. nil: there is none.
func Endpoint(spec *v1alpha1.UpstreamSecretSpec) *v1alpha1.Endpoint {
	i := slices.IndexFunc(spec.Endpoints, func(e v1alpha1.Endpoint) bool {
		if o := spec.Source.OAuth2; o != nil {
			return origin(e.URL) == origin(o.TokenURL)
		}
		return e.Profile == profileGitHub
	})
	if i < 0 {
		return nil
	}
	return &spec.Endpoints[i]
}

// origin is scheme, host and port of a URL.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}

// A Want names what a token is to be minted from. Two that are equal want the
// same token.
type Want struct {
	Spec  string // what the spec says
	Keys  string // the keys
	Asked string // what of the spec's lists a GitHub App is asked for; else empty
	// Family is where refresh tokens come from: the first one, and who may use
	// it where. Empty: there are none.
	Family string
}

// Want names what j mints from. Where a key lies does not matter, what it is
// does. The names are digests of high-entropy text, and for the Secret of the
// manager alone.
func (j *Job) Want() Want {
	w := Want{Spec: j.specDigest(), Keys: digest(j.clientSecret.Reveal(), j.refreshToken.Reveal(), j.privateKey.Reveal())}
	if j.spec.GitHubApp != nil {
		w.Asked = digestOf(sorted(j.app))
	}
	if o := j.spec.OAuth2; o != nil && o.Grant == v1alpha1.GrantRefreshToken {
		w.Family = digest(origin(o.TokenURL), o.ClientID, j.refreshToken.Reveal())
	}
	return w
}

// specDigest names what the spec says. Order and references do not count.
func (j *Job) specDigest() string {
	var o v1alpha1.OAuth2
	var g v1alpha1.GitHubApp
	if j.spec.OAuth2 != nil {
		o = *j.spec.OAuth2
		o.ClientSecretRef, o.RefreshTokenRef = nil, nil
		o.Scopes = slices.Sorted(slices.Values(o.Scopes))
	}
	if j.spec.GitHubApp != nil {
		g = sorted(*j.spec.GitHubApp)
	}
	return digestOf(struct {
		OAuth2    v1alpha1.OAuth2
		GitHubApp v1alpha1.GitHubApp
		API       string
	}{o, g, j.api})
}

// sorted is g without its reference, in an order that does not count.
func sorted(g v1alpha1.GitHubApp) v1alpha1.GitHubApp {
	g.PrivateKeyRef = v1alpha1.KeyReference{}
	g.Repositories = slices.Sorted(slices.Values(g.Repositories))
	return g
}

// digestOf names a value that can be encoded.
func digestOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("mint: naming a spec: %v", err)) // strings and numbers can be encoded
	}
	return digest(string(text))
}

// digest names a list of texts.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(t), t) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Basis is the keys of j as one value, for the name of their version.
func (j *Job) Basis() secret.Value { return secret.New(j.Want().Keys) }
