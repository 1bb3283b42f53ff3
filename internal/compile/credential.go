package compile

import (
	"errors"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/prove"
	"github.com/sallyport-dev/sallyport/internal/profile"
)

// Bounds of what a ScopedCredential may ask for.
const (
	defaultLifetime = 10 * time.Minute
	minLifetime     = time.Minute
	maxLifetime     = time.Hour
)

// Lifetime is the lifetime of the scoped tokens of sc, 10 minutes where it
// does not say.
func Lifetime(sc *v1alpha1.ScopedCredential) time.Duration {
	return orDuration(sc.Spec.Lifetime, defaultLifetime)
}

// MaxOffline is how long a sidecar may serve sc without news: 10 minutes where
// sc does not say, and never longer than a token lives.
func MaxOffline(sc *v1alpha1.ScopedCredential) time.Duration {
	return min(orDuration(sc.Spec.MaxOffline, defaultLifetime), Lifetime(sc))
}

// Refused says why an object is not accepted.
type Refused = problem.Refused

// Problem is one thing that keeps an object from being accepted.
type Problem = problem.Problem

// ErrRefused is what every refusal is: only a change of an object can help.
var ErrRefused = problem.ErrRefused

// Credential compiles sc for the UpstreamSecret that it names. A nil up, and
// one that does not list sc's namespace as a consumer, is refused with reason
// NotFound. Secret, SecretVersion, Token and LeaseEnds are left to the caller,
// and so are suspend and the passing of expiresAt: they are no matter of the
// scope. The error is a *Refused.
func (c Compiler) Credential(sc *v1alpha1.ScopedCredential, up *v1alpha1.UpstreamSecret) (bundle.Credential, error) {
	var p problem.List
	spec := field.NewPath("spec")
	if !MayConsume(up, sc.Namespace) {
		ref := sc.Spec.Upstream
		if ref.Namespace == "" {
			ref.Namespace = sc.Namespace
		}
		p.Add(v1alpha1.ReasonNotFound, spec.Child("upstream"), "", UpstreamNotFound(ref.Namespace, ref.Name))
		return bundle.Credential{}, p.Err()
	}
	if err := c.upstreamAccepted(spec.Child("upstream"), up); err != nil {
		return bundle.Credential{}, err
	}
	out := bundle.Credential{
		Namespace:  sc.Namespace,
		Name:       sc.Name,
		Object:     bundle.Object{UID: string(sc.UID), Generation: sc.Generation},
		Upstream:   bundle.Object{UID: string(up.UID), Generation: up.Generation},
		Endpoints:  c.endpoints(&p, spec, up),
		MaxOffline: MaxOffline(sc),
		Limits:     limits(up.Spec.Limits),
		Response:   response(up.Spec.Response),
	}
	if sc.Spec.ExpiresAt != nil {
		out.ExpiresAt = sc.Spec.ExpiresAt.UTC()
	}
	c.spec(&p, spec, sc, up, &out)
	if err := p.Err(); err != nil {
		return bundle.Credential{}, err
	}
	return out, nil
}

// upstreamAccepted refuses sc for an UpstreamSecret that is not accepted, and
// leaves it to that one's conditions to say why: sc's author may not know it.
func (c Compiler) upstreamAccepted(path *field.Path, up *v1alpha1.UpstreamSecret) error {
	err := c.Upstream(up)
	if err == nil {
		return nil
	}
	var refused *Refused
	if !errors.As(err, &refused) {
		return err
	}
	var p problem.List
	p.Add(refused.Reason, path, up.Namespace+"/"+up.Name, "this UpstreamSecret is not accepted: its owner sees why in its conditions")
	return p.Err()
}

// spec walks the spec in the order of its fields.
func (c Compiler) spec(p *problem.List, spec *field.Path, sc *v1alpha1.ScopedCredential, up *v1alpha1.UpstreamSecret, out *bundle.Credential) {
	if l := Lifetime(sc); l < minLifetime || l > maxLifetime {
		p.Invalid(spec.Child("lifetime"), l.String(), "set lifetime between 1m and 1h")
	}
	if o := sc.Spec.MaxOffline; o != nil && (o.Duration < 0 || o.Duration > Lifetime(sc)) {
		p.Invalid(spec.Child("maxOffline"), o.Duration.String(), "set maxOffline to at most lifetime: a lease never outlives its token")
	}
	p.Unsupported(sc.Spec.Mode != "" && sc.Spec.Mode != v1alpha1.ModeEnforce, spec.Child("mode"), string(sc.Spec.Mode))
	checkVariables(p, spec.Child("client", "env"), sc.Spec.Client, up)
	out.Env = Variables(sc, up)
	before := p.Len()
	g := &grants{
		p:         p,
		sets:      matcher.NewSets(p, spec.Child("sets"), sc.Spec.Sets),
		upstream:  up,
		endpoints: out.Endpoints,
		bodyBytes: out.Limits.BodyBytes,
		schemas:   c.Schemas,
	}
	g.badSets = p.Len() > before
	out.Grants = g.all(spec.Child("grants"), sc.Spec.Grants)
	never := g.never(spec.Child("never"), sc.Spec.Never)
	out.Ceiling = c.ceiling(p, spec.Child("upstream"), up, out.Endpoints) // it was accepted: nothing is wrong with it
	credentialLimits(p, spec.Child("limits"), sc.Spec.Limits, out)
	if p.Len() == 0 { // what would be decided otherwise when corrected is not decided
		space := prove.NewSpace()
		out.ScopeHash = measure.Hash(space, out.Endpoints, out.Grants, measure.Limits{Requests: out.Requests, Concurrency: out.Limits.Concurrency})
		proveAll(p, spec, out, space, never)
		newExamples(p, space, out).all(spec.Child("examples"), sc.Spec.Examples)
	}
}

// credentialLimits adds the author's own limits. Of two bounds of the same,
// both hold.
func credentialLimits(p *problem.List, path *field.Path, in *v1alpha1.CredentialLimits, out *bundle.Credential) {
	if in == nil {
		return
	}
	checkRate(p, path.Child("requests"), in.Requests)
	out.Requests = rate(in.Requests)
	if in.Concurrency == nil {
		return
	}
	if *in.Concurrency < 1 {
		p.Invalid(path.Child("concurrency"), "", "allow at least one request at a time, or suspend the credential")
	}
	out.Limits.Concurrency = min(out.Limits.Concurrency, int(*in.Concurrency))
}

// Variables are the author's client variables, then those of the profiles that
// the author did not set. Of two endpoints that bring the same, the first has
// it. A profile that this release does not have brings none; the credential is
// not accepted then.
func Variables(sc *v1alpha1.ScopedCredential, up *v1alpha1.UpstreamSecret) []bundle.EnvVar {
	var out []bundle.EnvVar
	taken := map[string]bool{}
	add := func(v bundle.EnvVar) {
		if !taken[v.Name] {
			taken[v.Name] = true
			out = append(out, v)
		}
	}
	if sc.Spec.Client != nil {
		for _, v := range sc.Spec.Client.Env {
			add(bundle.EnvVar{Name: v.Name, Value: v.Value})
		}
	}
	for i := range up.Spec.Endpoints {
		e := &up.Spec.Endpoints[i]
		filled := placeholders(e)
		for _, v := range presets(e) {
			add(bundle.EnvVar{Name: preset(v.Name, e, filled), Value: preset(v.Value, e, filled)})
		}
	}
	return out
}

// presets are the client variables that an endpoint brings.
func presets(e *v1alpha1.Endpoint) []profile.EnvVar {
	var out []profile.EnvVar
	known, _ := profile.Lookup(string(e.Profile))
	for _, v := range known.Env {
		if fits(v, &e.Inject) {
			out = append(out, v)
		}
	}
	if e.Inject.AWSSigV4 != nil {
		out = append(out, profile.Signed()...)
	}
	return out
}

// checkVariables refuses what an author's variables cannot mean.
func checkVariables(p *problem.List, path *field.Path, client *v1alpha1.Client, up *v1alpha1.UpstreamSecret) {
	if client == nil {
		return
	}
	seen := map[string]bool{}
	for i, v := range client.Env {
		checkVariable(p, path.Index(i), v, up)
		if seen[v.Name] {
			p.Invalid(path.Index(i).Child("name"), v.Name, "this variable is set twice: remove one")
		}
		seen[v.Name] = true
	}
}

// fits tells whether a client that reads v sends the token where the endpoint
// takes it from.
func fits(v profile.EnvVar, in *v1alpha1.Inject) bool {
	switch v.Inject {
	case "bearer":
		return in.Bearer != nil
	case "header":
		return in.Header != nil
	case "basic":
		return in.Basic != nil
	}
	return true
}

const placeholderURL = "{url:ENDPOINT}"

// preset is a name or a value of a profile for an endpoint. What stands behind the
// address is left out where it is part of the url: paths are relative to that.
func preset(value string, e *v1alpha1.Endpoint, filled *strings.Replacer) string {
	if !strings.Contains(value, "{") {
		return value
	}
	if base, found := strings.CutPrefix(value, placeholderURL); found && strings.HasSuffix(e.URL, base) {
		value = placeholderURL
	}
	return filled.Replace(value)
}

// placeholders puts what e has in the places that profiles leave.
func placeholders(e *v1alpha1.Endpoint) *strings.Replacer {
	pairs := []string{placeholderURL, "{url:" + e.Name + "}", "{upstream}", e.URL}
	if s := e.Inject.AWSSigV4; s != nil {
		pairs = append(pairs, "{SERVICE}", strings.ToUpper(strings.ReplaceAll(s.Service, "-", "_")), "{region}", s.Region)
	}
	return strings.NewReplacer(pairs...)
}

// checkVariable refuses a value that names no endpoint: the agent would get
// the placeholder.
func checkVariable(p *problem.List, path *field.Path, v v1alpha1.EnvVar, up *v1alpha1.UpstreamSecret) {
	rest := strings.ReplaceAll(v.Value, "{token}", "")
	for i := range up.Spec.Endpoints {
		rest = strings.ReplaceAll(rest, "{url:"+up.Spec.Endpoints[i].Name+"}", "")
	}
	switch {
	case strings.Contains(rest, "{url:"):
		p.Invalid(path.Child("value"), v.Value, "it names no endpoint of the UpstreamSecret: write {url:ENDPOINT} with one that exists")
	case rest == v.Value:
		p.Invalid(path.Child("value"), v.Value, "write {token} or {url:ENDPOINT} in it")
	}
}
