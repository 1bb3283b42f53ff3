package inject

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Trust is what the operator vouches for: what a sidecar may be made of. The
// zero Trust vouches for nothing, so no pod attests.
type Trust struct {
	Releases []Release // the current one, and those before it whose pods still run
	Broker   string    // host:port, as in [Settings]
	RootsPEM string    // every authority that the broker has ever had
	Env      []string  // variables that others may add to the sidecar, by name
	Tolerate []string  // as in [Settings]
	Tunnel   bool      // as in [Settings]; a pod without it is trusted as well
}

// Release is one release of the sidecar's image, by all digests that may stand
// for it: what a pod names, and what a runtime may show of it, which depends on
// how it got the image. Where there is more than one, they are taken for
// complete.
type Release []string

var (
	imageDigest  = regexp.MustCompile(`sha256:[0-9a-f]{64}$`)
	isDigest     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	environments = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ParseRelease reads an image by digest, as in registry/sidecar@sha256:…; more
// digests of the same release may follow, each after a comma.
func ParseRelease(text string) (Release, error) {
	image, more, _ := strings.Cut(text, ",")
	if !byDigest.MatchString(image) {
		return nil, fmt.Errorf("image %q: name the sidecar's image by digest, as in registry/sidecar@sha256:<64 hexadecimal digits>", image)
	}
	r := Release{imageDigest.FindString(image)}
	if more == "" && strings.Contains(text, ",") {
		return nil, fmt.Errorf("image %q: take the comma at its end away", text)
	}
	if more == "" {
		return r, nil
	}
	for d := range strings.SplitSeq(more, ",") {
		if !isDigest.MatchString(d) {
			return nil, fmt.Errorf("image %q: write sha256:<64 hexadecimal digits> after a comma, not %q", image, d)
		}
		r = append(r, d)
	}
	return r, nil
}

// Validate says what is wrong with t, but for its authorities, which may come
// later.
func (t Trust) Validate() error {
	if len(t.Releases) == 0 {
		return errors.New("no image of a sidecar is trusted: name the one that the webhook puts into pods")
	}
	if err := validBroker(t.Broker); err != nil {
		return err
	}
	for _, name := range t.Env {
		if !environments.MatchString(name) || untouchable(name) {
			return fmt.Errorf("variable %q can change what the sidecar does: it is never tolerated", name)
		}
	}
	return validPowers(t.Tolerate)
}

func validBroker(broker string) error {
	if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || port == "" {
		return fmt.Errorf("broker %q: write host:port", broker)
	}
	return nil
}

// untouchable reports whether a variable steers Go's runtime, its TLS or its
// ways into the network, or is one of ours.
func untouchable(name string) bool {
	upper := strings.ToUpper(name) // Go reads http_proxy, too
	return strings.HasPrefix(upper, "GO") || strings.HasPrefix(upper, "SSL_CERT_") || strings.HasSuffix(upper, "_PROXY") ||
		strings.HasPrefix(upper, "SALLYPORT_") || slices.Contains(ownVariables, upper)
}

// release is the one that image, by digest, is of.
func (t Trust) release(image string) (Release, bool) {
	digest := imageDigest.FindString(image)
	i := slices.IndexFunc(t.Releases, func(r Release) bool { return slices.Contains(r, digest) })
	if digest == "" || i < 0 {
		return nil, false
	}
	return t.Releases[i], true
}

// hasAll reports whether bundle consists of authorities that the broker has
// had, and of nothing else: a sidecar with another one would believe whoever
// holds its key. A pod may well be older than today's authorities.
func (t Trust) hasAll(bundle string) bool {
	ours := map[string]bool{}
	for rest := []byte(t.RootsPEM); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		ours[string(block.Bytes)] = true
	}
	for rest, found := []byte(bundle), false; ; found = true {
		block, next := pem.Decode(rest)
		if block == nil {
			return found && strings.TrimSpace(string(rest)) == ""
		}
		if block.Type != "CERTIFICATE" || !ours[string(block.Bytes)] {
			return false
		}
		rest = next
	}
}

// complete fills in what a recorded plan leaves out, from what is trusted. Of
// the live container it takes the authorities, once they are known for ours.
func (t Trust) complete(plan Plan, live *corev1.Container) (Plan, error) {
	if _, ok := t.release(plan.Image); !ok {
		return Plan{}, &Refusal{AnnotationPlan, "names an image of no release that is trusted", anew}
	}
	if plan.Tunnel && !t.Tunnel {
		return Plan{}, &Refusal{AnnotationPlan, "lets tunnels lead past the sidecar's credentials, which this cluster does not allow", anew}
	}
	if !byDigest.MatchString(live.Image) || imageDigest.FindString(live.Image) != imageDigest.FindString(plan.Image) {
		return Plan{}, &Refusal{fieldSidecar + ".image", "is another than was planned", anew}
	}
	for _, v := range live.Env {
		if v.Name == variableRoots {
			plan.RootsPEM = v.Value
		}
	}
	if !t.hasAll(plan.RootsPEM) {
		return Plan{}, &Refusal{fieldSidecar + ".env " + variableRoots, "holds other authorities than the broker's", anew}
	}
	plan.Broker, plan.Tolerate = t.Broker, t.Tolerate
	return plan, nil
}
