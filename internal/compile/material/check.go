package material

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
)

// Check says what of the source of up is not enforced, or does not go with how
// its endpoints take the key. The schema says the same; the installed one may be
// older than this code.
func Check(p *problem.List, spec *field.Path, up *v1alpha1.UpstreamSecret) {
	s, at := &up.Spec.Source, spec.Child("source")
	if *s == (v1alpha1.Source{}) {
		p.Invalid(at, "", "set secretRef, or another source: without one there is no key to use")
		return
	}
	if count(s.SecretRef != nil, s.GitHubApp != nil, s.OAuth2 != nil, s.AWSKeys != nil, s.ClientCertificate != nil) > 1 {
		p.Invalid(at, "", "set one source: of two it would not be said which key is used")
	}
	for i := range up.Spec.Endpoints {
		at, in := spec.Child("endpoints").Index(i).Child("inject"), &up.Spec.Endpoints[i].Inject
		switch {
		case (in.AWSSigV4 != nil) != (s.AWSKeys != nil):
			p.Invalid(at, "", "source.awsKeys and inject.awsSigV4 go together, on every endpoint: set both or neither")
		case (in.ClientCertificate != nil) != (s.ClientCertificate != nil):
			p.Invalid(at, "", "source.clientCertificate and inject.clientCertificate go together, on every endpoint: set both or neither")
		default:
			continue
		}
		return // the others are told when this one is put right
	}
}

func count(set ...bool) (n int) {
	for _, is := range set {
		if is {
			n++
		}
	}
	return n
}

// CheckInjection says what of inject cannot hold at the endpoint e.
func CheckInjection(p *problem.List, at *field.Path, e *v1alpha1.Endpoint) {
	if s := e.Inject.AWSSigV4; s != nil {
		for _, l := range [...]struct{ name, value string }{{"region", s.Region}, {"service", s.Service}} {
			if strings.Trim(l.value, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || l.value == "" || len(l.value) > maxLabel {
				p.Invalid(at.Child("inject", "awsSigV4", l.name), l.value, "write it in lower-case letters, digits and hyphens, such as eu-central-1 or s3")
			}
		}
		if strings.Contains(e.URL, "%") {
			p.Invalid(at.Child("url"), e.URL, "write the base path of a signed endpoint without escapes: services differ in how they sign one")
		}
	}
	if e.Inject.ClientCertificate != nil && !strings.HasPrefix(e.URL, "https://") {
		p.Invalid(at.Child("url"), e.URL, "use https://: a certificate is shown when a connection is secured")
	}
}

// maxLabel bounds the name of a region or a service.
const maxLabel = 63
