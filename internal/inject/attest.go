package inject

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	fieldSidecar = "spec.initContainers[" + ContainerName + "]"
	anew         = "create the pod again"
	differs      = "differs from what injection makes"
)

// Attest tells whether pod still is what injection makes of it, and returns the
// names of the credentials that it may be served: those that were planned and
// that it still asks for. It takes off what injection puts on, puts it on
// again and compares, so whatever is not looked for is found, too. The plan is
// the pod's own word and proves nothing: what matters is held to trust.
//
// The pod is one that the API server has, or one that admission just made. The
// error is a [*Refusal].
func Attest(pod *corev1.Pod, trust Trust) ([]string, error) {
	asked, err := ParseAnnotations(pod.Annotations)
	if err != nil {
		return nil, err
	}
	if pod.Labels[LabelInjected] != "true" {
		return nil, &Refusal{"label " + LabelInjected, "is not \"true\", so nobody watches the pod", anew}
	}
	plan, err := ParsePlan(pod.Annotations[AnnotationPlan])
	if err != nil {
		return nil, err
	}
	live := sidecar(pod)
	if live == nil {
		return nil, &Refusal{"spec.initContainers", "holds no " + ContainerName, anew}
	}
	if plan, err = trust.complete(plan, live); err != nil {
		return nil, err
	}
	made := strip(pod, plan)
	if err := Sidecar(made, plan); err != nil {
		return nil, err
	}
	if err := compare(pod, made, trust); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(asked.Credentials, func(name string) bool { return plan.Handles[name] == "" }), nil
}

// sidecar is the first init container of that name, which is the only one where
// the API server has had a look.
func sidecar(pod *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.InitContainers, isSidecar)
	if i < 0 {
		return nil
	}
	return &pod.Spec.InitContainers[i]
}

// strip returns pod as it was before injection, and as it asked then. It takes
// off what is exactly as injection makes it, or will be compared: anything else
// that bears our names stays, for [Sidecar] to refuse.
func strip(pod *corev1.Pod, plan Plan) *corev1.Pod {
	bare := pod.DeepCopy()
	delete(bare.Labels, LabelInjected)
	delete(bare.Annotations, AnnotationPlan)
	bare.Annotations[AnnotationCredentials] = strings.Join(plan.credentials(), ",")
	copied(bare)
	spec := &bare.Spec
	if i := slices.IndexFunc(spec.InitContainers, isSidecar); i >= 0 {
		spec.InitContainers = slices.Delete(spec.InitContainers, i, i+1)
	}
	for _, name := range volumeNames {
		if i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }); i >= 0 {
			spec.Volumes = slices.Delete(spec.Volumes, i, i+1)
		}
	}
	for _, c := range containers(bare) {
		if i := slices.IndexFunc(c.VolumeMounts, isAgentMount); i >= 0 {
			c.VolumeMounts = slices.Delete(c.VolumeMounts, i, i+1)
		}
	}
	return bare
}

// credentials are the names in the order in which they were asked for: that of
// the listeners.
func (p Plan) credentials() (names []string) {
	for _, l := range p.Listen {
		if !slices.Contains(names, l.Credential) {
			names = append(names, l.Credential)
		}
	}
	return names
}

// copied takes the annotation off that older API servers write for each
// container of a pod that has a profile as a whole. The field it is copied from
// is the pod's, so it says nothing about our container.
func copied(pod *corev1.Pod) {
	key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + ContainerName
	if pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.AppArmorProfile == nil {
		return
	}
	profile := pod.Spec.SecurityContext.AppArmorProfile
	text := map[corev1.AppArmorProfileType]string{
		corev1.AppArmorProfileTypeUnconfined:     corev1.DeprecatedAppArmorBetaProfileNameUnconfined,
		corev1.AppArmorProfileTypeRuntimeDefault: corev1.DeprecatedAppArmorBetaProfileRuntimeDefault,
	}[profile.Type]
	if profile.LocalhostProfile != nil {
		text = corev1.DeprecatedAppArmorBetaProfileNamePrefix + *profile.LocalhostProfile
	}
	if pod.Annotations[key] == text {
		delete(pod.Annotations, key)
	}
}

// compare names the first place where live is not as made.
func compare(live, made *corev1.Pod, trust Trust) error {
	for _, check := range []func() error{
		func() error { return sameContainer(sidecar(live), sidecar(made), trust.Env) },
		func() error { return sameVolumes(live.Spec.Volumes) },
		func() error { return sameMounts(live, made) },
		func() error { return unobserved(live.Spec.EphemeralContainers) },
		func() error { return trust.running(live) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// sameContainer compares every field there is. Only these may differ: what a
// container may use, which a LimitRange or a resize sets, when its image is
// pulled and from which registry, since the digest says what it is, the user
// where that is the platform's to choose, and variables that the operator lists.
func sameContainer(live, made *corev1.Container, tolerated []string) error {
	l, m := *live, *made // what they point to is not written to
	l.Resources, l.ResizePolicy = m.Resources, m.ResizePolicy
	l.Image, l.ImagePullPolicy = m.Image, m.ImagePullPolicy
	if platformUser(live, made) != nil {
		context := *l.SecurityContext
		context.RunAsUser = nil
		l.SecurityContext = &context
	}
	l.Env = slices.DeleteFunc(slices.Clone(l.Env), func(v corev1.EnvVar) bool {
		return slices.Contains(tolerated, v.Name) && !untouchable(v.Name)
	})
	if Equal(&l, &m) {
		return nil
	}
	if name, same := sameEnv(l.Env, m.Env); !same {
		return &Refusal{fieldSidecar + ".env " + name, differs, anew}
	}
	a, b := reflect.ValueOf(l), reflect.ValueOf(m)
	for i := range a.NumField() {
		if !Equal(a.Field(i).Interface(), b.Field(i).Interface()) {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			return &Refusal{fieldSidecar + "." + name, differs, anew}
		}
	}
	return nil
}

// sameEnv names the first variable that differs.
func sameEnv(live, made []corev1.EnvVar) (name string, same bool) {
	for i, v := range live {
		if i >= len(made) || !Equal(v, made[i]) {
			return v.Name, false
		}
	}
	if len(live) < len(made) {
		return made[len(live)].Name, false
	}
	return "", true
}

func sameVolumes(live []corev1.Volume) error {
	for _, made := range Volumes() {
		i := slices.IndexFunc(live, func(v corev1.Volume) bool { return v.Name == made.Name })
		if i < 0 || !Equal(&live[i], &made) {
			return &Refusal{"spec.volumes[" + made.Name + "]", differs, anew}
		}
	}
	return nil
}

// sameMounts holds that those have the agent's directory that were planned to.
func sameMounts(live, made *corev1.Pod) error {
	after := containers(made)
	for i, c := range containers(live) {
		if slices.ContainsFunc(c.VolumeMounts, isAgentMount) != slices.ContainsFunc(after[i].VolumeMounts, isAgentMount) {
			return &Refusal{"container " + c.Name + ".volumeMounts", differs, anew}
		}
	}
	return nil
}

func isAgentMount(m corev1.VolumeMount) bool { return Equal(&m, &agentMount) }

// unobserved refuses containers that came later and look into the sidecar. They
// never leave a pod.
func unobserved(all []corev1.EphemeralContainer) error {
	for _, c := range all {
		field := "ephemeral container " + c.Name
		if c.TargetContainerName == ContainerName {
			return &Refusal{field, "looks into the sidecar, and cannot be removed", anew}
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return slices.Contains(volumeNames, m.Name) }) {
			return &Refusal{field, "mounts what is Sallyport's, and cannot be removed", anew}
		}
	}
	return nil
}

// running compares what the kubelet says of the image. A digest that no release
// has may be another name of the same image, unless the release has all its
// names.
func (t Trust) running(pod *corev1.Pod) error {
	planned, _ := t.release(sidecar(pod).Image)
	for _, s := range pod.Status.InitContainerStatuses {
		shown := imageDigest.FindString(s.ImageID)
		if s.Name != ContainerName || shown == "" || slices.Contains(planned, shown) {
			continue
		}
		if _, another := t.release(shown); another || len(planned) > 1 {
			return &Refusal{
				"status.initContainerStatuses[" + ContainerName + "].imageID",
				fmt.Sprintf("is %s, which is not what was planned", shown), anew,
			}
		}
	}
	return nil
}
