package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// attest tells whether the live pod may be served: it runs or is about to, it
// is the one of the token, and it still is what injection makes of it. It
// returns the names of the credentials that were planned for the pod and that
// it asks for, or the flaw that cuts it off. An error says that this cannot be
// known now.
func (b *Broker) attest(pod *corev1.Pod, id identity.Identity) (names []string, flaw, err error) {
	return b.attestAgain(pod, id, &attested{})
}

// attested is what injection made of one version of a pod, by one trust.
type attested struct {
	version string // of the pod; empty: none was looked at
	trust   inject.Trust
	names   []string
	flaw    error
}

// attestAgain is attest for a pod that was looked at before: what that found
// holds while neither the pod nor what is trusted changes.
func (b *Broker) attestAgain(pod *corev1.Pod, id identity.Identity, before *attested) (names []string, flaw, err error) {
	trust, err := b.trust()
	if err != nil {
		return nil, nil, fmt.Errorf("attesting pod %s: %w", id.Pod, err)
	}
	if flaw := running(pod, b.now()); flaw != nil {
		return nil, flaw, nil
	}
	if flaw := bound(pod, id); flaw != nil {
		return nil, flaw, nil
	}
	if before.version == "" || before.version != pod.ResourceVersion || !reflect.DeepEqual(before.trust, trust) {
		*before = attested{version: pod.ResourceVersion, trust: trust}
		before.names, before.flaw = inject.Attest(pod, trust)
	}
	return before.names, before.flaw, nil
}

// lookBack tells of a flaw that the pod of a stream has when that has ended: to
// change a sidecar ends its stream, perhaps sooner than the change was judged,
// and what runs in its place asks for nothing. The pod would go on to show what
// the sidecar enforced that was there before. One that has ended by itself has
// no flaw.
func (s *stream) lookBack(ctx context.Context) {
	s.mu.Lock()
	told := s.report.attestation != ""
	s.mu.Unlock()
	pod, err := s.b.pod(ctx, s.id)
	if told || err != nil || running(pod, s.b.now()) != nil {
		return
	}
	if _, flaw, err := s.b.attestAgain(pod, s.id, &s.attested); err == nil && flaw != nil {
		s.b.conditions.want(s.id.UID, failedAttestation(s.id, flaw), false)
	}
}

// running refuses a pod that has ended. A pod that is being deleted may end its
// work until its grace is over: then its deletion timestamp has passed.
func running(pod *corev1.Pod, now time.Time) error {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return errors.New("it has ended")
	case pod.DeletionTimestamp != nil && now.After(pod.DeletionTimestamp.Time):
		return errors.New("its time to end is over")
	}
	return nil
}

// bound compares the pod with what the API server says of the token.
func bound(pod *corev1.Pod, id identity.Identity) error {
	switch {
	case account(pod) != id.ServiceAccount:
		return fmt.Errorf("spec.serviceAccountName is %s, and the token's %s", account(pod), id.ServiceAccount)
	case pod.Spec.NodeName != id.Node:
		return fmt.Errorf("spec.nodeName is %q, and the token's %q", pod.Spec.NodeName, id.Node)
	}
	return nil
}

// plaintext tells whether the endpoints may be served to pod: a key that is
// sent in clear text could be read, or drawn elsewhere, by whoever has raw
// sockets in the pod's network namespace or chooses its name servers.
func plaintext(endpoints []bundle.Endpoint, pod *corev1.Pod) error {
	if !slices.ContainsFunc(endpoints, func(e bundle.Endpoint) bool { return strings.HasPrefix(e.URL, "http://") }) {
		return nil
	}
	if pod.Spec.DNSPolicy != corev1.DNSClusterFirst || pod.Spec.DNSConfig != nil {
		return errors.New("an http:// endpoint needs the cluster's DNS: set dnsPolicy to ClusterFirst and no dnsConfig")
	}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, corev1.Container(c.EphemeralContainerCommon))
	}
	for _, c := range all {
		if !dropsRaw(c.SecurityContext) {
			return fmt.Errorf("an http:// endpoint needs every container to drop the capability NET_RAW, and %s does not", c.Name)
		}
	}
	return nil
}

// dropsRaw tells whether raw sockets are out of reach.
func dropsRaw(s *corev1.SecurityContext) bool {
	if s == nil || s.Capabilities == nil || (s.Privileged != nil && *s.Privileged) {
		return false
	}
	raw := func(c corev1.Capability) bool {
		name := strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_") // as runtimes read it
		return name == "NET_RAW" || name == "ALL"
	}
	return slices.ContainsFunc(s.Capabilities.Drop, raw) && !slices.ContainsFunc(s.Capabilities.Add, raw)
}
