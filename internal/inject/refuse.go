package inject

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const takeOff = "or take the annotation off the pod"

// admissible refuses what cannot be served safely. marked says that the pod
// bears our label and plan, so that things with our names are ours to render
// again.
func admissible(pod *corev1.Pod, plan Plan, marked bool) error {
	for _, check := range []func() error{
		func() error { return sharing(&pod.Spec) },
		func() error { return platform(pod) },
		func() error { return reaches(pod, plan.Tolerate) },
		func() error { return reservedKeys(pod.Annotations) },
		func() error { return reservedNames(&pod.Spec, marked) },
		func() error { return reservedMounts(pod, marked) },
		func() error { return audiences(&pod.Spec) },
		func() error { return ports(pod, plan) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// sharing refuses namespaces that would let others than the pod's containers
// reach the sidecar's listeners, or those containers its memory.
func sharing(spec *corev1.PodSpec) error {
	shared := spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace
	for _, s := range []struct {
		field, why string
		set        bool
	}{
		{"spec.hostNetwork", "is true, so every process of the node could reach the sidecar", spec.HostNetwork},
		{"spec.hostPID", "is true, so the agent could reach other processes of the node", spec.HostPID},
		{"spec.hostIPC", "is true, so the agent could reach memory of the node", spec.HostIPC},
		{"spec.shareProcessNamespace", "is true, so the agent could reach the sidecar's memory", shared},
	} {
		if s.set {
			return &Refusal{s.field, s.why, "set it to false, " + takeOff}
		}
	}
	return nil
}

// powers are what lets a container reach the node or the memory of others, and
// so at what the sidecar holds.
var powers = []string{
	"privileged", "hostPath", "ALL",
	"SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN", "BPF",
	"PERFMON", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", // as good as root on the node
}

func validPowers(tolerated []string) error {
	for _, name := range tolerated {
		if !slices.Contains(powers, name) {
			return fmt.Errorf("power %q cannot be tolerated: name one of %s", name, strings.Join(powers, ", "))
		}
	}
	return nil
}

// reaches refuses powers that the operator does not tolerate.
func reaches(pod *corev1.Pod, tolerated []string) error {
	forbidden := func(name string) bool { return slices.Contains(powers, name) && !slices.Contains(tolerated, name) }
	for _, v := range pod.Spec.Volumes {
		if v.HostPath != nil && forbidden("hostPath") {
			return &Refusal{"volume " + v.Name, "is a directory of the node, by hostPath", "use another kind of volume, " + takeOff}
		}
	}
	all := containers(pod)
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		all = append(all, &c)
	}
	for _, c := range all {
		for _, power := range has(c.SecurityContext) {
			if forbidden(power) {
				return &Refusal{"container " + c.Name, "is given " + power + ", by which it could reach into the sidecar or the node", "take that off, " + takeOff}
			}
		}
	}
	return nil
}

// has names the powers that a container is given.
func has(s *corev1.SecurityContext) (all []string) {
	if s == nil {
		return nil
	}
	if s.Privileged != nil && *s.Privileged {
		all = append(all, "privileged")
	}
	if s.Capabilities != nil {
		for _, c := range s.Capabilities.Add {
			all = append(all, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_")) // as runtimes read it
		}
	}
	return all
}

func platform(pod *corev1.Pod) error {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return &Refusal{"spec.os.name", "is windows, for which there is no sidecar", "run the agent on Linux, " + takeOff}
	}
	if pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows) {
		return &Refusal{"spec.nodeSelector", "asks for Windows, for which there is no sidecar", "run the agent on Linux, " + takeOff}
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return &Refusal{"annotation " + corev1.MirrorPodAnnotationKey, "marks a static pod, which runs before it is admitted", "use a Deployment or a bare pod, " + takeOff}
	}
	return nil
}

// reservedKeys refuses annotations that are about the sidecar, as those that
// set a container's AppArmor profile.
func reservedKeys(annotations map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasSuffix(key, "/"+ContainerName) {
			return &Refusal{"annotation " + key, "is about a container that is Sallyport's", "remove it"}
		}
	}
	return nil
}

// reservedNames refuses containers and volumes that merely bear our names: to
// skip them would be to trust them.
func reservedNames(spec *corev1.PodSpec, marked bool) error {
	foreign := func(field, name string) error {
		return &Refusal{field, fmt.Sprintf("holds %q, a name that is reserved for Sallyport", name), "rename or remove it"}
	}
	if !marked && slices.ContainsFunc(spec.InitContainers, isSidecar) {
		return foreign("spec.initContainers", ContainerName)
	}
	if slices.ContainsFunc(spec.Containers, isSidecar) {
		return foreign("spec.containers", ContainerName)
	}
	for _, c := range spec.EphemeralContainers {
		if c.Name == ContainerName {
			return foreign("spec.ephemeralContainers", ContainerName)
		}
	}
	for _, v := range spec.Volumes {
		if !marked && slices.Contains(volumeNames, v.Name) {
			return foreign("spec.volumes", v.Name)
		}
	}
	return nil
}

func isSidecar(c corev1.Container) bool { return c.Name == ContainerName }

// reservedMounts refuses mounts that would come to life with our volumes, and
// those that would hide the agent's token. Ours, from an earlier pass, stays.
func reservedMounts(pod *corev1.Pod, marked bool) error {
	for _, c := range containers(pod) {
		for _, d := range c.VolumeDevices {
			if slices.Contains(volumeNames, d.Name) {
				return &Refusal{"container " + c.Name, fmt.Sprintf("uses volume %q, which is Sallyport's", d.Name), "remove the device"}
			}
		}
		for _, m := range c.VolumeMounts {
			if marked && isAgentMount(m) {
				continue
			}
			if slices.Contains(volumeNames, m.Name) {
				return &Refusal{"container " + c.Name, fmt.Sprintf("mounts volume %q, which is Sallyport's", m.Name), "remove the mount"}
			}
			if hides(m.MountPath) {
				return &Refusal{"container " + c.Name, fmt.Sprintf("mounts %q at %s, where Sallyport puts the agent's token", m.Name, AgentDirectory), "mount it elsewhere"}
			}
		}
	}
	return nil
}

// hides reports whether a mount covers the agent's directory, or lies in it.
// /var/run is a link to /run in most images.
func hides(mountPath string) bool {
	p := path.Clean("/" + mountPath)
	if p == "/run" || strings.HasPrefix(p, "/run/") {
		p = "/var" + p
	}
	return p == AgentDirectory || strings.HasPrefix(p, AgentDirectory+"/")
}

// audiences refuses a second identity for the broker, which any container could
// mount.
func audiences(spec *corev1.PodSpec) error {
	for _, v := range spec.Volumes {
		if v.Projected == nil || v.Name == volumeIdentity {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == Audience {
				return &Refusal{"volume " + v.Name, "asks for a token of audience " + Audience + ", which is the sidecar's alone", "remove that source"}
			}
		}
	}
	return nil
}

// ports refuses a pod that says it listens where the sidecar will: containers
// share their ports.
func ports(pod *corev1.Pod, plan Plan) error {
	last := int32(plan.lastPort())
	for _, c := range containers(pod) {
		for _, p := range c.Ports {
			if p.ContainerPort >= HealthPort && p.ContainerPort <= last {
				return &Refusal{"container " + c.Name, fmt.Sprintf("listens on port %d, which the sidecar needs", p.ContainerPort), fmt.Sprintf("use a port outside %d to %d", HealthPort, last)}
			}
		}
	}
	return nil
}
