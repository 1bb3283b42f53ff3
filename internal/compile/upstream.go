package compile

import (
	"encoding/pem"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/source"
	"github.com/sallyport-dev/sallyport/internal/profile"
)

// UpstreamNotFound is what is said where an UpstreamSecret is missing. One
// that is not shared with the namespace gets the same words, so that nobody
// learns of it: admission and conditions both use this function.
func UpstreamNotFound(namespace, name string) string {
	return "UpstreamSecret " + namespace + "/" + name + " does not exist or is not shared with this namespace: " +
		"correct spec.upstream, or ask its owner to add the namespace to spec.consumers.namespaces"
}

// MayConsume reports whether ScopedCredentials of namespace may use up. A nil
// up is missing, and nobody may use it.
func MayConsume(up *v1alpha1.UpstreamSecret, namespace string) bool {
	switch {
	case up == nil || namespace == "":
		return false
	case up.Spec.Consumers == nil:
		return up.Namespace == namespace
	}
	return slices.Contains(up.Spec.Consumers.Namespaces, namespace)
}

// Upstream says whether up can be served as it is, without looking at its
// Secret. The error is a *Refused.
func (c Compiler) Upstream(up *v1alpha1.UpstreamSecret) error {
	var p problem.List
	spec := field.NewPath("spec")
	endpoints := c.endpoints(&p, spec.Child("endpoints"), up)
	before := p.Len()
	material.Check(&p, spec, up)
	if p.Len() == before { // else it is not said which source is meant
		source.Check(&p, spec.Child("source"), up)
	}
	c.ceiling(&p, spec.Child("ceiling"), up, endpoints)
	return p.Err()
}

// CeilingOf returns the endpoints of up, and the ceiling at them; nil where it
// has none. The error is a *Refused.
func (c Compiler) CeilingOf(up *v1alpha1.UpstreamSecret) ([]bundle.Endpoint, *bundle.Ceiling, error) {
	var p problem.List
	spec := field.NewPath("spec")
	endpoints := c.endpoints(&p, spec.Child("endpoints"), up)
	above := c.ceiling(&p, spec.Child("ceiling"), up, endpoints)
	return endpoints, above, p.Err()
}

// endpoints compiles the endpoints and collects what is wrong.
func (c Compiler) endpoints(p *problem.List, path *field.Path, up *v1alpha1.UpstreamSecret) []bundle.Endpoint {
	var endpoints []bundle.Endpoint
	for i := range up.Spec.Endpoints {
		e := &up.Spec.Endpoints[i]
		at := path.Index(i)
		known, supported := profile.Lookup(string(e.Profile))
		p.Unsupported(!supported, at.Child("profile"), string(e.Profile))
		c.Schemas.check(p, at.Child("graphql", "schemaRef"), e)
		checkURL(p, at.Child("url"), e.URL, up.Spec.Plaintext)
		material.CheckInjection(p, at, e)
		compiled := bundle.Endpoint{
			Name:      e.Name,
			URL:       e.URL,
			Profile:   known.Scope,
			Inject:    inject(p, at.Child("inject"), &e.Inject),
			Headers:   fixedHeaders(p, at.Child("headers"), e),
			MinTLS:    string(v1alpha1.TLS12),
			Private:   up.Spec.Network != nil && up.Spec.Network.Private == v1alpha1.PrivateAllow,
			Plaintext: up.Spec.Plaintext == v1alpha1.PlaintextAllowClusterInternal,
		}
		tunedTLS(p, at.Child("tls"), e.TLS, &compiled)
		endpoints = append(endpoints, compiled)
	}
	if len(endpoints) == 0 {
		p.Invalid(path, "", "list at least one endpoint: the key can be sent nowhere else")
	}
	return endpoints
}

// checkURL holds a url to the schema's rules a second time: it is where the
// key goes, and the installed schema may be older than this code.
func checkURL(p *problem.List, path *field.Path, text string, plaintext v1alpha1.Plaintext) {
	u, err := url.Parse(text)
	if err != nil || !plainURL(u) || strings.Contains(text, "#") {
		p.Invalid(path, text, "write it as https://host, with :port and /base/path where needed, without user information, query or fragment")
		return
	}
	switch {
	case strings.HasSuffix(u.Path, "/"):
		p.Invalid(path, text, "remove the trailing slash: paths of grants begin with one")
	case !validPort(u):
		p.Invalid(path, text, "write a port between 1 and 65535")
	case u.Scheme == "http" && plaintext != v1alpha1.PlaintextAllowClusterInternal:
		p.Invalid(path, text, "http:// sends the key in clear text: use https://, or set plaintext: AllowClusterInternal")
	case u.Scheme == "http" && !clusterInternal(u.Hostname()):
		p.Invalid(path, text, "http:// may only name a host under .svc: use https://, or the name of a Service in this cluster")
	}
}

// plainURL tells whether u has scheme, host and path alone.
func plainURL(u *url.URL) bool {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return *u == bare && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

func clusterInternal(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc.cluster.local")
}

func tunedTLS(p *problem.List, path *field.Path, tls *v1alpha1.TLS, compiled *bundle.Endpoint) {
	if tls == nil {
		return
	}
	if tls.MinVersion != "" {
		compiled.MinTLS = string(tls.MinVersion)
	}
	compiled.CABundle = tls.CABundle
	if tls.CABundle == "" {
		return
	}
	if block, _ := pem.Decode([]byte(tls.CABundle)); block == nil || block.Type != "CERTIFICATE" {
		p.Invalid(path.Child("caBundle"), "", "write at least one certificate in PEM")
	}
}

func inject(p *problem.List, path *field.Path, in *v1alpha1.Inject) bundle.Inject {
	var out bundle.Inject
	set := 0
	if in.Bearer != nil {
		out.Bearer = &struct{}{}
		set++
	}
	if in.Header != nil {
		out.Header = &bundle.HeaderInjection{Name: in.Header.Name, Template: in.Header.Template}
		if out.Header.Template == "" {
			out.Header.Template = "{secret}"
		}
		set++
	}
	if in.Basic != nil {
		out.Basic = &bundle.BasicInjection{Username: in.Basic.Username}
		set++
	}
	if in.Query != nil {
		out.Query = &bundle.QueryInjection{Name: in.Query.Name}
		set++
	}
	if in.AWSSigV4 != nil {
		out.AWSSigV4 = &bundle.SignatureInjection{Region: in.AWSSigV4.Region, Service: in.AWSSigV4.Service}
		set++
	}
	if in.ClientCertificate != nil {
		out.ClientCertificate = &struct{}{}
		set++
	}
	if set != 1 {
		p.Invalid(path, "", "set exactly one of bearer, header, basic, query, awsSigV4 or clientCertificate")
	}
	return out
}

// limits writes out what the schema would default.
func limits(l *v1alpha1.UpstreamLimits) bundle.Limits {
	if l == nil {
		l = &v1alpha1.UpstreamLimits{}
	}
	return bundle.Limits{
		HeaderBytes:    int(or(l.HeaderBytes, 32768)),
		BodyBytes:      or(l.BodyBytes, 1048576),
		RequestTimeout: orDuration(l.RequestTimeout, 30*time.Second),
		AnswerTimeout:  orDuration(l.AnswerTimeout, 5*time.Minute),
		StreamTimeout:  orDuration(l.StreamTimeout, 30*time.Minute),
		Concurrency:    int(or(l.Concurrency, 256)),
	}
}

func response(r *v1alpha1.UpstreamResponse) bundle.Response {
	if r == nil {
		return bundle.Response{}
	}
	return bundle.Response{
		RefuseRedirects: r.Redirects == v1alpha1.RedirectsRefuse,
		KeepCookies:     r.Cookies == v1alpha1.CookiesKeep,
	}
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

func orDuration(value *metav1.Duration, otherwise time.Duration) time.Duration {
	if value == nil {
		return otherwise
	}
	return value.Duration
}
