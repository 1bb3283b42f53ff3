package inject

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ContainerName is the sidecar's, and reserved in every pod.
const ContainerName = "sallyport-sidecar"

// Audience is that of the identity: the broker takes no other, and no other
// server takes this one.
const Audience = "broker.sallyport.dev"

// Where the sidecar's volumes are mounted.
const (
	IdentityDirectory = "/var/run/secrets/kubernetes.io/serviceaccount" // token; in the sidecar alone
	PrivateDirectory  = "/var/run/sallyport-private"                    // in the sidecar alone
	AgentDirectory    = "/var/run/sallyport"                            // read-only for the agent
)

const (
	volumeIdentity = "sallyport-identity"
	volumePrivate  = "sallyport-private"
	volumeAgent    = "sallyport-agent"

	// tokenSeconds is the least that Kubernetes issues.
	tokenSeconds = 600

	variableRoots = "SALLYPORT_ROOTS"
)

// ownVariables are those of the sidecar's container.
var ownVariables = []string{"POD_NAME", "POD_NAMESPACE", "POD_UID", variableRoots, "GOMEMLIMIT"}

var volumeNames = []string{volumeIdentity, volumePrivate, volumeAgent}

// agentMount is what every served container gets.
var agentMount = corev1.VolumeMount{Name: volumeAgent, MountPath: AgentDirectory, ReadOnly: true}

// Container returns the sidecar's container, with every field that the API
// server would fill in. Two calls with equal arguments return equal containers.
func Container(plan Plan, asked Asked) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	return corev1.Container{
		Name:                     ContainerName,
		Image:                    plan.Image,
		ImagePullPolicy:          corev1.PullIfNotPresent,
		Args:                     arguments(plan, asked),
		Env:                      environment(plan, asked),
		Resources:                resources(asked),
		RestartPolicy:            &always,
		SecurityContext:          securityContext(plan.UID),
		StartupProbe:             startup(),
		LivenessProbe:            liveness(),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeIdentity, MountPath: IdentityDirectory, ReadOnly: true},
			{Name: volumePrivate, MountPath: PrivateDirectory},
			{Name: volumeAgent, MountPath: AgentDirectory},
		},
	}
}

func arguments(plan Plan, asked Asked) []string {
	args := []string{"--broker=" + plan.Broker}
	if plan.Client == ClientProxy {
		args = append(args, fmt.Sprintf("--proxy=%d", FirstPort))
		if plan.Tunnel {
			args = append(args, "--tunnel")
		}
	} else {
		for _, l := range plan.Listen {
			args = append(args, fmt.Sprintf("--listen=%s/%s=%d", l.Credential, l.Endpoint, l.Port))
		}
	}
	for _, name := range asked.Credentials {
		args = append(args, fmt.Sprintf("--handle=%s=%s", name, plan.Handles[name]))
	}
	return append(args, fmt.Sprintf("--health=:%d", HealthPort))
}

func environment(plan Plan, asked Asked) []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	// The collector works harder before the kernel ends the process; what Go does
	// not count needs the rest.
	memory := asked.Memory.Value() / 100 * 85
	return []corev1.EnvVar{
		field("POD_NAME", "metadata.name"),
		field("POD_NAMESPACE", "metadata.namespace"),
		field("POD_UID", "metadata.uid"),
		{Name: variableRoots, Value: plan.RootsPEM},
		{Name: "GOMEMLIMIT", Value: strconv.FormatInt(memory, 10)},
	}
}

func resources(asked Asked) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: asked.CPU.DeepCopy(), corev1.ResourceMemory: requestMemory.DeepCopy()},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: asked.Memory.DeepCopy()},
	}
}

func securityContext(uid int64) *corev1.SecurityContext {
	no, yes := false, true
	sc := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		ReadOnlyRootFilesystem:   &yes,
		RunAsNonRoot:             &yes,
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if uid != 0 {
		group := uid
		sc.RunAsUser, sc.RunAsGroup = &uid, &group
	}
	return sc
}

// startup passes once a first document is in force, so that what comes after
// the sidecar finds it ready. It is patient: a restart would not bring an
// absent broker back, and would add the delay of crash loops.
func startup() *corev1.Probe {
	return &corev1.Probe{ProbeHandler: get("/readyz"), PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 300}
}

// liveness asks the process alone: an outage of the broker must restart nothing.
func liveness() *corev1.Probe {
	return &corev1.Probe{ProbeHandler: get("/healthz"), PeriodSeconds: 10, TimeoutSeconds: 3, SuccessThreshold: 1, FailureThreshold: 3}
}

func get(path string) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(HealthPort), Scheme: corev1.URISchemeHTTP}}
}

// Volumes returns the sidecar's volumes, complete as [Container] is.
func Volumes() []corev1.Volume {
	seconds, mode := int64(tokenSeconds), int32(0o644)
	return []corev1.Volume{
		{Name: volumeIdentity, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: &mode,
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: Audience, ExpirationSeconds: &seconds, Path: "token",
			}}},
		}}},
		inMemory(volumePrivate),
		inMemory(volumeAgent),
	}
}

func inMemory(name string) corev1.Volume {
	size := resource.MustParse("1Mi")
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size},
	}}
}
