package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// attest tells whether the live pod still is what injection made of it, as far
// as is looked at: it was injected, it runs or is about to, our container is
// the native sidecar and the only one of its name, and nobody looks into it.
// It returns the names of the credentials that were planned for the pod.
func attest(pod *corev1.Pod, now time.Time) ([]string, error) {
	if err := running(pod, now); err != nil {
		return nil, err
	}
	plan, injected, err := inject.Injected(pod)
	if err != nil {
		return nil, err
	}
	if !injected {
		return nil, errors.New("it was not injected: create it again")
	}
	asked, err := inject.ParseAnnotations(pod.Annotations)
	if err != nil {
		return nil, err
	}
	if err := guarded(&pod.Spec, plan); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(asked.Credentials, func(name string) bool {
		_, planned := plan.Handles[name]
		return !planned
	}), nil
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

// guarded tells whether the sidecar is where only we would put it, and alone.
func guarded(spec *corev1.PodSpec, plan inject.Plan) error {
	return cmp.Or(apart(spec), native(spec, plan.Image), unobserved(spec))
}

// apart refuses a pod in which others than the sidecar could reach into it.
func apart(spec *corev1.PodSpec) error {
	switch {
	case spec.HostNetwork || spec.HostPID || spec.HostIPC:
		return errors.New("it shares a namespace with its node: set hostNetwork, hostPID and hostIPC to false")
	case spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace:
		return errors.New("its containers share their processes: set shareProcessNamespace to false")
	}
	return nil
}

// native refuses a pod whose sidecar is not the container that was planned.
func native(spec *corev1.PodSpec, image string) error {
	i := slices.IndexFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == inject.ContainerName })
	if i < 0 {
		return fmt.Errorf("it has no init container %s: create it again", inject.ContainerName)
	}
	switch sidecar := &spec.InitContainers[i]; {
	case sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways:
		return fmt.Errorf("container %s is no native sidecar: create the pod again", inject.ContainerName)
	case sidecar.Image != image:
		return fmt.Errorf("container %s has another image than was planned: create the pod again", inject.ContainerName)
	}
	return nil
}

// unobserved refuses a pod with a container that shares the sidecar's processes.
func unobserved(spec *corev1.PodSpec) error {
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].TargetContainerName == inject.ContainerName {
			return fmt.Errorf("ephemeral container %s looks into the sidecar: create the pod again", spec.EphemeralContainers[i].Name)
		}
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
