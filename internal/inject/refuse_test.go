package inject

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestRefuses tries what would let somebody other than the agent in, or the
// agent at what is the sidecar's.
func TestRefuses(t *testing.T) {
	yes := true
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
		field  string
	}{
		"hostNetwork": {"loopback would be the node's", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "spec.hostNetwork"},
		"hostPID":     {"processes of the node", func(p *corev1.Pod) { p.Spec.HostPID = true }, "spec.hostPID"},
		"hostIPC":     {"memory of the node", func(p *corev1.Pod) { p.Spec.HostIPC = true }, "spec.hostIPC"},
		"processes":   {"/proc/<sidecar>/environ and its memory", func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = &yes }, "spec.shareProcessNamespace"},
		"windows":     {"there is no such sidecar", func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }, "spec.os.name"},
		"windows node": {"there is no such sidecar", func(p *corev1.Pod) {
			p.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "windows"}
		}, "spec.nodeSelector"},
		"static pod": {"it runs before it is admitted", func(p *corev1.Pod) { p.Annotations[corev1.MirrorPodAnnotationKey] = "x" }, corev1.MirrorPodAnnotationKey},
		"foreign init container": {"skipping it would trust it", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: ContainerName, Image: "evil:1"}}
		}, "spec.initContainers"},
		"foreign container": {"skipping it would trust it", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: ContainerName})
		}, "spec.containers"},
		"foreign debug container": {"it would be taken for ours", func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: ContainerName}}}
		}, "spec.ephemeralContainers"},
		"foreign volume": {"it would be mounted in the sidecar", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "sallyport-identity"}}
		}, "spec.volumes"},
		"mount of the identity": {"it comes to life with our volume", func(p *corev1.Pod) { mount(p, "sallyport-identity", "/x") }, "container agent"},
		"mount of the private":  {"it comes to life with our volume", func(p *corev1.Pod) { mount(p, "sallyport-private", "/x") }, "container agent"},
		"writable mount":        {"the agent could redirect the sidecar's writes", func(p *corev1.Pod) { mount(p, "sallyport-agent", AgentDirectory) }, "container agent"},
		"device": {"as a mount", func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "sallyport-agent"}}
		}, "container agent"},
		"hiding mount":       {"the agent would read another's token", func(p *corev1.Pod) { mount(p, "data", "/var/run/sallyport/") }, AgentDirectory},
		"hiding by the link": {"/run is /var/run", func(p *corev1.Pod) { mount(p, "data", "/run//sallyport/x") }, AgentDirectory},
		"second identity": {"any container can mount it", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "mine", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: Audience}}},
			}}}}
		}, "volume mine"},
		"profile": {"an author must not loosen the sidecar", func(p *corev1.Pod) {
			p.Annotations["container.apparmor.security.beta.kubernetes.io/sallyport-sidecar"] = "unconfined"
		}, "apparmor"},
		"hostPath": {"files of the node", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}, "volume node"},
		"privileged": {"it has the node", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		}, "container agent"},
		"capability":  {"memory of others", capability("SYS_PTRACE"), "container agent"},
		"port":        {"only one can listen", func(p *corev1.Pod) { listen(p, 14400) }, "container agent"},
		"health port": {"only one can listen", func(p *corev1.Pod) { listen(p, 14399) }, "container agent"},
		"our label":   {"it says that the pod was injected", func(p *corev1.Pod) { p.Labels = map[string]string{LabelInjected: "true"} }, "label " + LabelInjected},
		"their label": {"it says something about us", func(p *corev1.Pod) { p.Labels = map[string]string{LabelInjected: "false"} }, "label " + LabelInjected},
		"our plan":    {"it says that the pod was injected", func(p *corev1.Pod) { p.Annotations[AnnotationPlan] = "{}" }, "label " + LabelInjected},
		"forged plan": {"a plan that we would not write", func(p *corev1.Pod) {
			p.Labels, p.Annotations[AnnotationPlan] = map[string]string{LabelInjected: "true"}, `{"v":1}`
		}, AnnotationPlan},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plan := mustPlan(t, ask("release-notes"), testSettings(), github())
			refused(t, test.why, Sidecar(ask("release-notes", test.change), plan), test.field)
		})
	}
}

// TestForgedMarks bears all our marks and hides something behind them.
func TestForgedMarks(t *testing.T) {
	clean := again(t, ask("release-notes"), testSettings(), github())
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
	}{
		"writable mount": {"marks do not open our volumes", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = false }},
		"moved mount":    {"marks do not open our volumes", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].MountPath = "/x" }},
		"identity":       {"marks do not open our volumes", func(p *corev1.Pod) { mount(p, "sallyport-identity", "/x") }},
		"app container":  {"ours is an init container", func(p *corev1.Pod) { p.Spec.Containers[0].Name = ContainerName }},
		"other names":    {"ports and handles of others", func(p *corev1.Pod) { p.Annotations[AnnotationCredentials] = "other" }},
		"empty handle": {"every variable would pass for ours", func(p *corev1.Pod) {
			p.Annotations[AnnotationPlan] = strings.ReplaceAll(p.Annotations[AnnotationPlan], handleA, "")
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := clean.DeepCopy()
			plan := mustPlan(t, pod, testSettings(), github())
			test.change(pod)
			refused(t, test.why, Sidecar(pod, plan), "")
		})
	}
}

func mount(p *corev1.Pod, volume, path string) {
	c := &p.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: path})
}

func listen(p *corev1.Pod, port int32) {
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: port}}
}

// refused holds that err is a refusal which names the annotation, the field and
// a remedy.
func refused(t *testing.T, why string, err error, field string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("%s: got %v, want a refusal", why, err)
	}
	if refusal.Remedy == "" || !strings.Contains(err.Error(), AnnotationCredentials) || !strings.Contains(err.Error(), field) {
		t.Errorf("%s: %q names not all of annotation, %q and remedy", why, err, field)
	}
}
