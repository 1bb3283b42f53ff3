package inject

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/proxyenv"
)

// placeholder is what a value of a client variable holds.
var placeholder = regexp.MustCompile(`\{token\}|\{basic\}|\{url:([-a-z0-9]+)\}`)

// setVariables fills in the client variables. Of two credentials that set the
// same one, the first named keeps it, and the author is told.
func (p *Plan) setVariables(credentials []Credential) (warnings []string) {
	holder := map[string]string{}
	if p.Client == ClientProxy {
		for _, v := range proxyenv.Variables(Listener{Port: FirstPort}.url(), AgentDirectory) {
			holder[v.Name] = "the proxy"
			p.Env, p.Variables = append(p.Env, v.Name), append(p.Variables, v)
		}
	}
	for _, c := range credentials {
		for _, v := range c.Env {
			first, taken := holder[v.Name]
			switch {
			case taken && first != c.Name:
				warnings = append(warnings, fmt.Sprintf("variable %s leads to %s, which is named first, and not to %s", v.Name, first, c.Name))
			case taken: // the credential's own, which comes before presets
			default:
				value, err := p.fill(v.Value, c)
				if err != nil {
					warnings = append(warnings, fmt.Sprintf("variable %s of %s is not set: %v", v.Name, c.Name, err))
					continue
				}
				holder[v.Name] = c.Name
				p.Env = append(p.Env, v.Name)
				p.Variables = append(p.Variables, bundle.EnvVar{Name: v.Name, Value: value})
			}
		}
	}
	return warnings
}

func (p *Plan) fill(template string, c Credential) (string, error) {
	var unknown error
	value := placeholder.ReplaceAllStringFunc(template, func(found string) string {
		switch found {
		case "{token}":
			return c.Handle
		case "{basic}":
			return basic(c.Handle)
		}
		endpoint := strings.TrimSuffix(strings.TrimPrefix(found, "{url:"), "}")
		url, ok := p.address(c, endpoint)
		if !ok {
			unknown = fmt.Errorf("its UpstreamSecret has no endpoint %s", endpoint)
			return found
		}
		return url
	})
	return value, unknown
}

// address is what a client is told of an endpoint: where its listener is, or in
// proxy mode where it is itself.
func (p *Plan) address(c Credential, endpoint string) (string, bool) {
	if p.Client == ClientProxy {
		i := slices.Index(c.Endpoints, endpoint)
		if i < 0 || i >= len(c.URLs) {
			return "", false
		}
		return c.URLs[i], true
	}
	i := slices.IndexFunc(p.Listen, func(l Listener) bool { return l.Credential == c.Name && l.Endpoint == endpoint })
	if i < 0 {
		return "", false
	}
	return p.Listen[i].url(), true
}

// doubts name the endpoints that programs reach past the proxy.
func (p *Plan) doubts(credentials []Credential) (warnings []string) {
	if p.Client != ClientProxy {
		return nil
	}
	for _, c := range credentials {
		for i, text := range c.URLs {
			if u, err := url.Parse(text); err == nil && proxyenv.IsDirect(u.Hostname()) {
				warnings = append(warnings, fmt.Sprintf("endpoint %s of %s is within the cluster, where NO_PROXY leads programs past Sallyport: use %s %s for it", c.Endpoints[i], c.Name, AnnotationClient, ClientBaseURL))
			}
		}
	}
	return warnings
}

// basic is a handle as the password of HTTP Basic. The user name is the
// client's own affair.
func basic(handle string) string {
	return base64.StdEncoding.EncodeToString([]byte("x-access-token:" + handle))
}

// environ sets the plan's variables in c. What an earlier plan wrote is brought
// up to date in its place; what the author wrote stays.
func (p Plan) environ(c *corev1.Container, earlier Plan) {
	for _, v := range p.Variables {
		i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == v.Name })
		switch {
		case i < 0:
			c.Env = append(c.Env, corev1.EnvVar{Name: v.Name, Value: v.Value})
		case earlier.wrote(c.Env[i]):
			c.Env[i].Value = v.Value
		}
	}
}

// wrote reports whether p set v: only we know its handles and its ports.
func (p Plan) wrote(v corev1.EnvVar) bool {
	if v.ValueFrom != nil || !slices.Contains(p.Env, v.Name) {
		return false
	}
	for _, handle := range p.Handles {
		if strings.Contains(v.Value, handle) || strings.Contains(v.Value, basic(handle)) {
			return true
		}
	}
	return strings.HasPrefix(v.Value, AgentDirectory+"/"+proxyenv.Directory+"/") ||
		slices.ContainsFunc(p.Listen, func(l Listener) bool { return strings.Contains(v.Value, l.url()) })
}

// Warnings tells the author of a pod what will not work as it seems. They are
// for the pod as it was before [Sidecar], and never a reason to refuse it.
func Warnings(pod *corev1.Pod, plan Plan) []string {
	var warnings []string
	if automount := pod.Spec.AutomountServiceAccountToken; automount == nil || *automount {
		warnings = append(warnings, "the agent gets a token for the cluster's API: set automountServiceAccountToken: false, unless it needs one")
	}
	earlier, _, _ := Injected(pod) // a malformed plan is refused by Sidecar
	for _, c := range containers(pod) {
		if !slices.Contains(plan.Containers, c.Name) {
			continue
		}
		for _, v := range plan.Variables {
			if elsewhere(c, v, earlier) {
				warnings = append(warnings, fmt.Sprintf("container %s sets %s itself, which then leads past Sallyport: remove it there", c.Name, v.Name))
			}
		}
	}
	return warnings
}

func elsewhere(c *corev1.Container, v bundle.EnvVar, earlier Plan) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.Name == v.Name && (e.ValueFrom != nil || e.Value != v.Value) && !earlier.wrote(e)
	})
}
