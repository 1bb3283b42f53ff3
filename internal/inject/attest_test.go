package inject

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/randfill"
)

func digestOf(pair string) string { return "sha256:" + strings.Repeat(pair, 32) }

// testTrust is what an operator says who has had one release before this one.
func testTrust() Trust {
	t := testSettings().Trust()
	t.Releases = append(t.Releases, Release{digestOf("cd"), digestOf("ce"), digestOf("cf")})
	return t
}

// flawed holds that pod does not attest, for the field that is named.
func flawed(t *testing.T, why string, pod *corev1.Pod, trust Trust, field string) {
	t.Helper()
	names, err := Attest(pod, trust)
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(names) != 0 {
		t.Fatalf("%s: got %v, %v, want a refusal", why, names, err)
	}
	if !strings.Contains(refusal.Field, field) || refusal.Remedy == "" {
		t.Errorf("%s: %q names %q, want %q, and a remedy", why, err, refusal.Field, field)
	}
}

// attested holds that pod attests and may have these credentials.
func attested(t *testing.T, why string, pod *corev1.Pod, trust Trust, credentials ...string) {
	t.Helper()
	before := pod.DeepCopy()
	names, err := Attest(pod, trust)
	if err != nil {
		t.Fatalf("%s: %v", why, err)
	}
	if diff := cmp.Diff(credentials, names, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", why, diff)
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Errorf("looking at the pod changed it (-before +after):\n%s", diff)
	}
}

// TestAttestGolden holds that each shape of pod that people run attests, as
// admission leaves it.
func TestAttestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.out.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("listing testdata/golden: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".out.yaml"), func(t *testing.T) {
			pod := readPod(t, file)
			asked := strings.Split(pod.Annotations[AnnotationCredentials], ",")
			attested(t, "nobody touched it", pod, testTrust(), asked...)
			flawed(t, "the zero trust vouches for nothing", pod, Trust{}, AnnotationPlan)
		})
	}
}

// tampering is one change of an injected pod that serves release-notes to its
// container agent.
type tampering struct {
	why    string
	change func(*corev1.Pod)
	field  string // that the refusal names
}

const ours = "spec.initContainers[sallyport-sidecar]"

func ourContainer(p *corev1.Pod) *corev1.Container { return &p.Spec.InitContainers[0] }

// inSidecar changes our container.
func inSidecar(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { change(ourContainer(p)) }
}

func env(name, value string) func(*corev1.Pod) {
	return inSidecar(func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value}) })
}

func debug(change func(*corev1.EphemeralContainer)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug:1"}}
		change(&c)
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
	}
}

func capability(name corev1.Capability) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{name}}}
	}
}

func shown(imageID string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "other", ImageID: "x@" + digestOf("ee")}, {Name: ContainerName, ImageID: imageID}}
	}
}

// rewritePlan replaces text in the record of the plan.
func rewritePlan(from, to string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Annotations[AnnotationPlan] = strings.ReplaceAll(p.Annotations[AnnotationPlan], from, to)
	}
}

func tokenVolume(name, audience string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}},
	}}}
}

const otherRoots = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

// forgeRoots has the sidecar trust roots, and the plan say that it should.
func forgeRoots(roots string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		ourContainer(p).Env[3].Value = roots
		rewritePlan(digest(testRoots), digest(roots))(p)
	}
}

// forgeImage has the sidecar run image, and the plan say that it should.
func forgeImage(image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		rewritePlan(ourContainer(p).Image, image)(p)
		ourContainer(p).Image = image
	}
}

// containerTampering changes our container.
var containerTampering = map[string]tampering{
	"image":             {"another program", inSidecar(func(c *corev1.Container) { c.Image = "evil@" + digestOf("ee") }), ours + ".image"},
	"image by tag":      {"a tag may move", inSidecar(func(c *corev1.Container) { c.Image = "registry.example/sallyport-sidecar:v1" }), ours + ".image"},
	"another release":   {"the plan says otherwise", inSidecar(func(c *corev1.Container) { c.Image = "x@" + digestOf("cd") }), ours + ".image"},
	"forged image":      {"the plan proves nothing", forgeImage("evil@" + digestOf("ee")), AnnotationPlan},
	"image by two ways": {"one digest, one image", inSidecar(func(c *corev1.Container) { c.Image += "@" + digestOf("ab") }), ours + ".image"},
	"command":           {"another program of the image", inSidecar(func(c *corev1.Container) { c.Command = []string{"/sidecar"} }), ours + ".command"},
	"argument":          {"another setting", inSidecar(func(c *corev1.Container) { c.Args = append(c.Args, "--x") }), ours + ".args"},
	"broker":            {"the identity would go to another one", inSidecar(func(c *corev1.Container) { c.Args[0] = "--broker=evil:9443" }), ours + ".args"},
	"handle":            {"one that others know", inSidecar(func(c *corev1.Container) { c.Args[2] = "--handle=release-notes=" + handleB }), ours + ".args"},
	"working directory": {"relative paths would be others", inSidecar(func(c *corev1.Container) { c.WorkingDir = "/tmp" }), ours + ".workingDir"},
	"port":              {"a name that others can aim at", inSidecar(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 1}} }), ours + ".ports"},
	"variables from": {"names and values of the author's", inSidecar(func(c *corev1.Container) {
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{}}}
	}), ours + ".envFrom"},
	"variable":         {"not on the operator's list, which is empty", env("HARMLESS", "x"), ours + ".env HARMLESS"},
	"GODEBUG":          {"it can loosen TLS", env("GODEBUG", "x509negativeserial=1"), ours + ".env GODEBUG"},
	"another limit":    {"the kernel would end the sidecar", inSidecar(func(c *corev1.Container) { c.Env[4].Value = "1" }), ours + ".env GOMEMLIMIT"},
	"second limit":     {"the last of a name counts", env("GOMEMLIMIT", "1"), ours + ".env GOMEMLIMIT"},
	"missing variable": {"nothing is left out", inSidecar(func(c *corev1.Container) { c.Env = c.Env[:4] }), ours + ".env GOMEMLIMIT"},
	"another pod": {"whose tokens would it take", inSidecar(func(c *corev1.Container) {
		c.Env[2] = corev1.EnvVar{Name: "POD_UID", Value: "x"}
	}), ours + ".env POD_UID"},
	"authorities":        {"whoever holds that key is the broker", inSidecar(func(c *corev1.Container) { c.Env[3].Value = otherRoots }), ours + ".env SALLYPORT_ROOTS"},
	"forged authorities": {"the plan proves nothing", forgeRoots(otherRoots), ours + ".env SALLYPORT_ROOTS"},
	"added authority":    {"one of two is enough to be believed", forgeRoots(testRoots + otherRoots), ours + ".env SALLYPORT_ROOTS"},
	"no authority":       {"nothing to be held to", forgeRoots(""), ours + ".env SALLYPORT_ROOTS"},
	"other text":         {"what reads it as another does", forgeRoots(testRoots + "-----BEGIN TRUSTED CERTIFICATE-----\n"), ours + ".env SALLYPORT_ROOTS"},
	"another block":      {"not an authority", forgeRoots(strings.ReplaceAll(testRoots, "CERTIFICATE", "X509 CRL")), ours + ".env SALLYPORT_ROOTS"},
	"authorities by reference": {"they could change later", inSidecar(func(c *corev1.Container) {
		c.Env[3] = corev1.EnvVar{Name: "SALLYPORT_ROOTS", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: "x"}}}
	}), ours + ".env SALLYPORT_ROOTS"},
	"second authorities": {"the last of a name counts", env("SALLYPORT_ROOTS", otherRoots), ours + ".env SALLYPORT_ROOTS"},
	"mount": {"a file of ours could be replaced", inSidecar(func(c *corev1.Container) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/etc/ssl"})
	}), ours + ".volumeMounts"},
	"no identity": {"the API token would be there", inSidecar(func(c *corev1.Container) { c.VolumeMounts = c.VolumeMounts[1:] }), ours + ".volumeMounts"},
	"device": {"a disk of the author's", inSidecar(func(c *corev1.Container) {
		c.VolumeDevices = []corev1.VolumeDevice{{Name: "data", DevicePath: "/dev/x"}}
	}), ours + ".volumeDevices"},
	"hook": {"a command in the sidecar", inSidecar(func(c *corev1.Container) {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}}
	}), ours + ".lifecycle"},
	"liveness": {"a command in the sidecar", inSidecar(func(c *corev1.Container) {
		c.LivenessProbe.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}
	}), ours + ".livenessProbe"},
	"readiness": {"a command in the sidecar", inSidecar(func(c *corev1.Container) { c.ReadinessProbe = c.LivenessProbe }), ours + ".readinessProbe"},
	"startup":   {"the agent would start before it is guarded", inSidecar(func(c *corev1.Container) { c.StartupProbe = nil }), ours + ".startupProbe"},
	"run once":  {"it would end before the agent starts", inSidecar(func(c *corev1.Container) { c.RestartPolicy = nil }), ours + ".restartPolicy"},
	"restart rules": {"it could stay away", inSidecar(func(c *corev1.Container) {
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart}}
	}), ours + ".restartPolicyRules"},
	"terminal":            {"somebody could type into it", inSidecar(func(c *corev1.Container) { c.TTY = true }), ours + ".tty"},
	"input":               {"somebody could type into it", inSidecar(func(c *corev1.Container) { c.Stdin = true }), ours + ".stdin"},
	"message":             {"a file of the node's at a place of ours", inSidecar(func(c *corev1.Container) { c.TerminationMessagePath = PrivateDirectory + "/x" }), ours + ".terminationMessagePath"},
	"log as message":      {"logs would be in the pod's status", inSidecar(func(c *corev1.Container) { c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError }), ours + ".terminationMessagePolicy"},
	"root":                {"it could read what is the node's", inSidecar(func(c *corev1.Container) { root := int64(0); c.SecurityContext.RunAsUser = &root }), ours + ".securityContext"},
	"agent's user":        {"the plan says otherwise", inSidecar(func(c *corev1.Container) { user := int64(1000); c.SecurityContext.RunAsUser = &user }), ours + ".securityContext"},
	"no security context": {"it would have the runtime's defaults", inSidecar(func(c *corev1.Container) { c.SecurityContext = nil }), ours + ".securityContext"},
	"profile": {"it would be traced by whoever may", inSidecar(func(c *corev1.Container) {
		c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	}), ours + ".securityContext"},
}

// podTampering changes the pod around our container.
var podTampering = map[string]tampering{
	"label gone":         {"no informer sees the pod any more", func(p *corev1.Pod) { delete(p.Labels, LabelInjected) }, "label " + LabelInjected},
	"label changed":      {"no informer sees the pod any more", func(p *corev1.Pod) { p.Labels[LabelInjected] = "TRUE" }, "label " + LabelInjected},
	"plan gone":          {"nothing to render from", func(p *corev1.Pod) { delete(p.Annotations, AnnotationPlan) }, AnnotationPlan},
	"plan of no client":  {"nothing that we write", rewritePlan("base-url", "proxy"), AnnotationPlan},
	"plan of more ports": {"nothing that we rendered", rewritePlan(`"listen":[`, `"listen":[{"c":"release-notes","e":"other","port":14400},`), AnnotationPlan},
	"plan of other name": {"another credential's ports", rewritePlan("release-notes", "other"), ours + ".args"},
	"plan of other user": {"nothing that we rendered", rewritePlan("14399", "1000"), ours + ".securityContext"},
	"plan of a handle":   {"a handle without a port", rewritePlan(`"handles":{`, `"handles":{"other":"`+handleB+`",`), AnnotationPlan},
	"plan serves none":   {"the agent has a mount all the same", rewritePlan(`"containers":["agent"]`, `"containers":[]`), "container agent"},
	"annotation gone":    {"it asks for nothing", func(p *corev1.Pod) { delete(p.Annotations, AnnotationCredentials) }, AnnotationCredentials},
	"annotation broken":  {"nothing is repaired", func(p *corev1.Pod) { p.Annotations[AnnotationCredentials] = "release-notes, x" }, AnnotationCredentials},
	"unknown annotation": {"nobody reads it", func(p *corev1.Pod) { p.Annotations[Domain+"x"] = "y" }, Domain + "x"},
	"no sidecar":         {"the marks alone are no sidecar", func(p *corev1.Pod) { p.Spec.InitContainers = nil }, "spec.initContainers"},
	"two sidecars": {"one of them is not ours", func(p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, *ourContainer(p).DeepCopy())
	}, "spec.initContainers"},
	"app container": {"ours is an init container", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: ContainerName})
	}, "spec.containers"},
	"debug container": {"ours is an init container", debug(func(c *corev1.EphemeralContainer) { c.Name = ContainerName }), "spec.ephemeralContainers"},

	"identity gone": {"whatever has that name next", func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[1:] }, "spec.volumes[sallyport-identity]"},
	"forged identity": {"a token of the author's", func(p *corev1.Pod) {
		p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "x"}}
	}, "spec.volumes[sallyport-identity]"},
	"longer identity": {"good for a day after the pod", func(p *corev1.Pod) {
		day := int64(86400)
		p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = &day
	}, "spec.volumes[sallyport-identity]"},
	"wider identity": {"the cluster's API, too", func(p *corev1.Pod) {
		v := p.Spec.Volumes[0].Projected
		v.Sources = append(v.Sources, tokenVolume("", "").Projected.Sources[0])
	}, "spec.volumes[sallyport-identity]"},
	"private on disk": {"others could read it there", func(p *corev1.Pod) { p.Spec.Volumes[1].EmptyDir.Medium = "" }, "spec.volumes[sallyport-private]"},
	"agent's volume":  {"others could write to it", func(p *corev1.Pod) { p.Spec.Volumes[2].EmptyDir.SizeLimit = nil }, "spec.volumes[sallyport-agent]"},
	"second volume":   {"which of them is mounted", func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, p.Spec.Volumes[0]) }, "spec.volumes"},
	"second identity": {"any container can mount it", func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, tokenVolume("mine", Audience)) }, "volume mine"},

	"identity mounted":       {"the agent would be the sidecar", func(p *corev1.Pod) { mount(p, volumeIdentity, "/x") }, "container agent"},
	"private mounted":        {"a key of the sidecar's may be there", func(p *corev1.Pod) { mount(p, volumePrivate, "/x") }, "container agent"},
	"agent's mount writable": {"the sidecar's writes could be redirected", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = false }, "container agent"},
	"agent's mount moved":    {"not what we rendered", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].MountPath = "/x" }, "container agent"},
	"agent's mount gone":     {"not what we rendered", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = nil }, "container agent"},
	"agent's mount hidden":   {"the agent would read another's token", func(p *corev1.Pod) { mount(p, "data", AgentDirectory+"/release-notes") }, "container agent"},
	"identity as device": {"as a mount", func(p *corev1.Pod) {
		p.Spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: volumeIdentity}}
	}, "container agent"},

	"debug of the sidecar": {"its processes are seen", debug(func(c *corev1.EphemeralContainer) { c.TargetContainerName = ContainerName }), "ephemeral container debug"},
	"debug of the identity": {"it would be the sidecar", debug(func(c *corev1.EphemeralContainer) {
		c.VolumeMounts = []corev1.VolumeMount{{Name: volumeIdentity, MountPath: "/x"}}
	}), "ephemeral container debug"},
	"debug of the private": {"a key of the sidecar's may be there", debug(func(c *corev1.EphemeralContainer) {
		c.VolumeMounts = []corev1.VolumeMount{{Name: volumePrivate, MountPath: "/x"}}
	}), "ephemeral container debug"},
	"debug of the agent's": {"the sidecar's writes could be redirected", debug(func(c *corev1.EphemeralContainer) {
		c.VolumeMounts = []corev1.VolumeMount{agentMount}
	}), "ephemeral container debug"},
	"privileged debug": {"it has the node", debug(func(c *corev1.EphemeralContainer) {
		yes := true
		c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	}), "container debug"},

	"hostNetwork": {"loopback would be the node's", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "spec.hostNetwork"},
	"hostPID":     {"processes of the node", func(p *corev1.Pod) { p.Spec.HostPID = true }, "spec.hostPID"},
	"hostIPC":     {"memory of the node", func(p *corev1.Pod) { p.Spec.HostIPC = true }, "spec.hostIPC"},
	"processes":   {"/proc of the sidecar", func(p *corev1.Pod) { yes := true; p.Spec.ShareProcessNamespace = &yes }, "spec.shareProcessNamespace"},
	"hostPath": {"files of the node", func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
	}, "volume node"},
	"privileged": {"it has the node", func(p *corev1.Pod) {
		yes := true
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	}, "container agent"},
	"init container": {"it runs before us, and has the node", func(p *corev1.Pod) {
		yes := true
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "first", SecurityContext: &corev1.SecurityContext{Privileged: &yes}})
	}, "container first"},
	"SYS_PTRACE":      {"memory of others", capability("SYS_PTRACE"), "container agent"},
	"SYS_ADMIN":       {"mounts and namespaces", capability("SYS_ADMIN"), "container agent"},
	"NET_ADMIN":       {"it could take the sidecar's connections", capability("NET_ADMIN"), "container agent"},
	"BPF":             {"memory of others", capability("BPF"), "container agent"},
	"SYS_MODULE":      {"it has the node", capability("SYS_MODULE"), "container agent"},
	"all of them":     {"each of the above", capability("ALL"), "container agent"},
	"as runtimes say": {"they read it so", capability("cap_sys_ptrace"), "container agent"},
	"annotated profile": {"about our container", func(p *corev1.Pod) {
		p.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+ContainerName] = "unconfined"
	}, "apparmor"},

	"runs another release": {"not what was planned", shown("x@" + digestOf("cd")), "imageID"},
}

// TestTamperMatrix breaks each invariant alone, with no admission policy in the
// way, and holds that it is found and named.
func TestTamperMatrix(t *testing.T) {
	clean := again(t, ask("release-notes"), testSettings(), github())
	attested(t, "nobody touched it", clean, testTrust(), "release-notes")
	for part, all := range map[string]map[string]tampering{"container": containerTampering, "pod": podTampering} {
		for name, test := range all {
			t.Run(part+"/"+name, func(t *testing.T) {
				pod := clean.DeepCopy()
				test.change(pod)
				if cmp.Equal(clean, pod) {
					t.Fatal("nothing was changed")
				}
				flawed(t, test.why, pod, testTrust(), test.field)
			})
		}
	}
}

// TestEveryFieldCounts changes each field that a container has, those of future
// versions of Kubernetes included: what is tolerated is a list, what is held is
// not.
func TestEveryFieldCounts(t *testing.T) {
	clean := again(t, ask("release-notes"), testSettings(), github())
	tolerated := []string{"Resources", "ResizePolicy", "ImagePullPolicy"}
	fields := reflect.TypeFor[corev1.Container]()
	for i := range fields.NumField() {
		t.Run(fields.Field(i).Name, func(t *testing.T) {
			pod := clean.DeepCopy()
			field := reflect.ValueOf(ourContainer(pod)).Elem().Field(i)
			filler := randfill.NewWithSeed(int64(i)).NilChance(0).NumElements(1, 2).Funcs(
				func(q *resource.Quantity, _ randfill.Continue) { *q = resource.MustParse("7") })
			for equality.Semantic.DeepEqual(clean.Spec, pod.Spec) { // a bool may be what it was
				filler.Fill(field.Addr().Interface())
			}
			if slices.Contains(tolerated, fields.Field(i).Name) {
				attested(t, "listed", pod, testTrust(), "release-notes")
				return
			}
			flawed(t, "not listed", pod, testTrust(), "spec.initContainers")
		})
	}
}

// TestTolerated holds what others may change, by default and by the operator's
// leave.
func TestTolerated(t *testing.T) {
	all := func(t *Trust) { t.Env, t.Tolerate = []string{"CLUSTER", "GODEBUG"}, powers }
	nobody := func(*Trust) {}
	resources := func(c *corev1.Container) {
		c.Resources.Limits[corev1.ResourceCPU] = resource.MustParse("1")
		c.Resources.Requests[corev1.ResourceMemory] = resource.MustParse("1Gi")
		c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.NotRequired}}
	}
	previous := testSettings()
	previous.Image = "old.example/sidecar@" + digestOf("ce")
	tests := map[string]struct {
		why    string
		trust  func(*Trust)
		change func(*corev1.Pod)
	}{
		"resources":   {"a LimitRange and a resize set them", nobody, inSidecar(resources)},
		"pull policy": {"AlwaysPullImages sets it", nobody, inSidecar(func(c *corev1.Container) { c.ImagePullPolicy = corev1.PullAlways })},
		"registry":    {"a mirror has the same image", nobody, inSidecar(func(c *corev1.Container) { c.Image = "mirror.corp:5000/cache/sidecar@" + digestOf("ab") })},
		"proxy of a mesh": {"it comes before us and after us", nobody, func(p *corev1.Pod) {
			p.Spec.InitContainers = slices.Insert(p.Spec.InitContainers, 0, corev1.Container{Name: "mesh-proxy"})
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "mesh-agent"})
		}},
		"API token": {"admission of service accounts mounts it into others", nobody, func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, tokenVolume("kube-api-access", ""))
			mount(p, "kube-api-access", IdentityDirectory)
		}},
		"another audience": {"a token for somebody else", nobody, func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, tokenVolume("vault", "vault")) }},
		"debug":            {"it sees no process of ours", nobody, debug(func(c *corev1.EphemeralContainer) { c.TargetContainerName = "agent" })},
		"profile of the pod": {"older API servers copy it to each container", nobody, func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}}
			p.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+ContainerName] = "runtime/default"
		}},
		"image runs":         {"what was planned", nobody, shown("docker-pullable://mirror/x@" + digestOf("ab"))},
		"image starts":       {"nothing is known yet", nobody, shown("")},
		"image's other name": {"a release of one digest does not say what else it is called", nobody, shown(digestOf("ee"))},
		"order of volumes":   {"others put theirs between", nobody, func(p *corev1.Pod) { slices.Reverse(p.Spec.Volumes) }},
		"default container":  {"it is only kubectl's", nobody, func(p *corev1.Pod) { delete(p.Annotations, annotationDefaultContainer) }},
		"variables":          {"of the agent's container", nobody, func(p *corev1.Pod) { p.Spec.Containers[0].Env = nil }},
		"listed variable":    {"the operator lists it", all, env("CLUSTER", "x")},
		"capability":         {"the operator takes the risk", all, capability("NET_ADMIN")},
		"privileged": {"the operator takes the risk", all, func(p *corev1.Pod) {
			yes := true
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod, trust := again(t, ask("release-notes"), testSettings(), github()), testTrust()
			test.trust(&trust)
			test.change(pod)
			attested(t, test.why, pod, trust, "release-notes")
		})
	}
	t.Run("release before", func(t *testing.T) {
		pod := again(t, ask("release-notes"), previous, github())
		attested(t, "an upgrade cuts nobody off", pod, testTrust(), "release-notes")
		shown("x@" + digestOf("cf"))(pod)
		attested(t, "another name of that release", pod, testTrust(), "release-notes")
		shown("x@" + digestOf("ee"))(pod)
		flawed(t, "that release says all its names", pod, testTrust(), "imageID")
		flawed(t, "it is not listed any more", pod, testSettings().Trust(), AnnotationPlan)
	})
	for _, name := range []string{"GODEBUG", "SSL_CERT_FILE", "ssl_cert_dir", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "GOTRACEBACK", "SALLYPORT_ROOTS", "GOMEMLIMIT"} {
		t.Run("never "+name, func(t *testing.T) {
			pod, trust := again(t, ask("release-notes"), testSettings(), github()), testTrust()
			trust.Env = []string{name}
			if trust.Validate() == nil {
				t.Error("it must not be listed")
			}
			env(name, "x")(pod)
			flawed(t, "listed or not", pod, trust, ours+".env "+name)
		})
	}
}

// TestRotatedAuthorities walks one pod through the rotation of the broker's
// authority: its environment holds those of its birth.
func TestRotatedAuthorities(t *testing.T) {
	born := testSettings()
	born.RootsPEM = testRoots + otherRoots // in the middle of a rotation
	pod := again(t, ask("release-notes"), born, github())
	trust := testTrust()
	trust.RootsPEM = otherRoots + testRoots
	attested(t, "the same two", pod, trust, "release-notes")
	trust.RootsPEM = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n" + otherRoots + testRoots
	attested(t, "a third has come, the first two have been", pod, trust, "release-notes")
	trust.RootsPEM = otherRoots
	flawed(t, "the first was never the broker's", pod, trust, "SALLYPORT_ROOTS")
	trust.RootsPEM = ""
	flawed(t, "no authority is known", pod, trust, "SALLYPORT_ROOTS")
}

// TestPlannedAndAsked holds that a pod is served what is in plan and annotation.
func TestPlannedAndAsked(t *testing.T) {
	for annotation, want := range map[string][]string{
		"release-notes,openai":       {"release-notes", "openai"},
		"openai,release-notes":       {"openai", "release-notes"},
		"openai":                     {"openai"},
		"other":                      nil,
		"release-notes,openai,other": {"release-notes", "openai"},
	} {
		t.Run(annotation, func(t *testing.T) {
			pod := again(t, ask("release-notes,openai"), testSettings(), github(), notes())
			pod.Annotations[AnnotationCredentials] = annotation
			attested(t, "plan and annotation", pod, testTrust(), want...)
		})
	}
}

func TestParseRelease(t *testing.T) {
	one := "registry.example/sidecar@" + digestOf("ab")
	for text, want := range map[string]Release{
		one: {digestOf("ab")},
		one + "," + digestOf("cd") + "," + digestOf("ef"): {digestOf("ab"), digestOf("cd"), digestOf("ef")},
		"":                               nil,
		digestOf("ab"):                   nil,
		"registry.example/sidecar:v1":    nil,
		one + ",":                        nil,
		one + ", " + digestOf("cd"):      nil,
		one + ",x@" + digestOf("cd"):     nil,
		one + "," + digestOf("cd") + ",": nil,
	} {
		got, err := ParseRelease(text)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestTrustValidate(t *testing.T) {
	if err := testTrust().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Trust){
		"no release": func(t *Trust) { t.Releases = nil },
		"no broker":  func(t *Trust) { t.Broker = "" },
		"no port":    func(t *Trust) { t.Broker = "broker" },
		"variable":   func(t *Trust) { t.Env = []string{"A=B"} },
		"power":      func(t *Trust) { t.Tolerate = []string{"everything"} },
		"lower case": func(t *Trust) { t.Tolerate = []string{"sys_ptrace"} },
	} {
		trust := testTrust()
		change(&trust)
		if err := trust.Validate(); err == nil {
			t.Errorf("%s: %s must be refused", name, fmt.Sprintf("%+v", trust))
		}
	}
}

// TestAttestTunnel holds that a pod leads past its credentials where the operator
// says so at that time, and in proxy mode alone.
func TestAttestTunnel(t *testing.T) {
	settings, trust := testSettings(), testTrust()
	settings.Tunnel, trust.Tunnel = true, true
	injected := again(t, ask("release-notes", byProxy), settings, github())
	if args := ourContainer(injected).Args; !slices.Contains(args, "--tunnel") || !strings.Contains(injected.Annotations[AnnotationPlan], `"tunnel":true`) {
		t.Errorf("got %q, %s", args, injected.Annotations[AnnotationPlan])
	}
	attested(t, "the operator says so", injected, trust, "release-notes")
	if _, err := Attest(injected, settings.Trust()); err != nil {
		t.Errorf("admission says so: %v", err)
	}
	flawed(t, "the operator does not say so any more", injected, testTrust(), AnnotationPlan)
	attested(t, "a pod that was made before", again(t, ask("release-notes", byProxy), testSettings(), github()), trust, "release-notes")
	without := injected.DeepCopy()
	ourContainer(without).Args = slices.DeleteFunc(ourContainer(without).Args, func(a string) bool { return a == "--tunnel" })
	flawed(t, "not what was planned", without, trust, ours+".args")
	urls := again(t, ask("release-notes"), settings, github())
	if strings.Contains(strings.Join(ourContainer(urls).Args, " ")+urls.Annotations[AnnotationPlan], "tunnel") {
		t.Error("a pod that asks for base URLs has a way out")
	}
	rewritePlan(`"containers":["agent"]`, `"containers":["agent"],"tunnel":true`)(urls)
	flawed(t, "there is no proxy", urls, trust, AnnotationPlan)
}

// TestAttestProxy holds a pod in proxy mode to what injection makes of it, and
// to the mode that it asked for.
func TestAttestProxy(t *testing.T) {
	injected := again(t, ask("release-notes,openai", byProxy), testSettings(), github(), notes())
	attested(t, "nobody touched it", injected, testTrust(), "release-notes", "openai")
	if diff := cmp.Diff(injected, again(t, injected, testSettings(), github(), notes())); diff != "" {
		t.Errorf("a second pass changes it:\n%s", diff)
	}
	other := again(t, ask("release-notes,openai"), testSettings(), github(), notes())
	for why, test := range map[string]tampering{
		"it asks for base URLs now":  {field: AnnotationPlan, change: func(p *corev1.Pod) { delete(p.Annotations, AnnotationClient) }},
		"another mode":               {field: AnnotationClient, change: func(p *corev1.Pod) { p.Annotations[AnnotationClient] = "pinned" }},
		"arguments of the other one": {field: ours + ".args", change: func(p *corev1.Pod) { ourContainer(p).Args = ourContainer(other).Args }},
		"a way out":                  {field: ours + ".args", change: func(p *corev1.Pod) { ourContainer(p).Args = append(ourContainer(p).Args, "--tunnel") }},
		"a way out, and a plan of it": {field: AnnotationPlan, change: func(p *corev1.Pod) {
			ourContainer(p).Args = slices.Insert(ourContainer(p).Args, 2, "--tunnel")
			rewritePlan(`"containers":["agent"]`, `"containers":["agent"],"tunnel":true`)(p)
		}},
		"another port":               {field: ours + ".args", change: func(p *corev1.Pod) { ourContainer(p).Args[1] = "--proxy=14401" }},
		"a listener besides":         {field: ours + ".args", change: func(p *corev1.Pod) { ourContainer(p).Args = append(ourContainer(p).Args, "--listen=openai/api=14401") }},
		"plan of the other one":      {field: AnnotationPlan, change: func(p *corev1.Pod) { p.Annotations[AnnotationPlan] = other.Annotations[AnnotationPlan] }},
		"a proxy for the sidecar":    {field: ours + ".env", change: env("HTTPS_PROXY", "http://evil.example")},
		"trust for the sidecar":      {field: ours + ".env", change: env("SSL_CERT_FILE", "/var/run/sallyport/_trust/bundle.crt")},
		"the agent writes its trust": {field: "container agent", change: func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = false }},
		"the agent has the keys": {field: "container agent", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: volumePrivate, MountPath: "/keys"})
		}},
	} {
		pod := injected.DeepCopy()
		test.change(pod)
		flawed(t, why, pod, testTrust(), test.field)
	}
}
