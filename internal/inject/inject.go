package inject

import (
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// annotationDefaultContainer is where kubectl logs and exec look.
const annotationDefaultContainer = "kubectl.kubernetes.io/default-container"

// annotationsExclude are lists of ports whose traffic a mesh leaves alone. A
// sidecar that starts before the mesh's proxy could not reach the broker
// through it.
var annotationsExclude = []string{
	"traffic.sidecar.istio.io/excludeOutboundPorts",
	"config.linkerd.io/skip-outbound-ports",
}

// Sidecar gives pod the sidecar that plan describes. Run on its own result, it
// changes nothing. A pod that cannot be served is left as it was, and the error
// is a [*Refusal]. It only adds, but for our own container, volumes, variables
// and annotations, which are brought up to date in their places.
func Sidecar(pod *corev1.Pod, plan Plan) error {
	asked, err := ParseAnnotations(pod.Annotations)
	if err != nil {
		return err
	}
	if err := plan.check(asked); err != nil {
		return err
	}
	earlier, marked, err := Injected(pod)
	if err != nil {
		return err
	}
	if err := admissible(pod, plan, marked); err != nil {
		return err
	}
	mark(pod, plan)
	putContainer(&pod.Spec, Container(plan, asked))
	for _, v := range Volumes() {
		putVolume(&pod.Spec, v)
	}
	for _, c := range containers(pod) {
		if slices.Contains(plan.Containers, c.Name) {
			plan.environ(c, earlier)
			putMount(c)
		}
	}
	return nil
}

// Injected returns the plan of a pod that was injected before: one with our
// label and a well-formed plan. One without the other is refused, since only we
// write them.
func Injected(pod *corev1.Pod) (Plan, bool, error) {
	label, labelled := pod.Labels[LabelInjected]
	text, planned := pod.Annotations[AnnotationPlan]
	switch {
	case !labelled && !planned:
		return Plan{}, false, nil
	case label != "true" || !planned:
		return Plan{}, false, &Refusal{"label " + LabelInjected, "and annotation " + AnnotationPlan + " are written by Sallyport", "remove both"}
	}
	plan, err := ParsePlan(text)
	if err != nil {
		return Plan{}, false, err
	}
	return plan, true, nil
}

// Handles returns the handles of a pod that was injected before, by credential;
// nil, of any other. They are kept when the pod is judged again, since its
// containers know them.
func Handles(pod *corev1.Pod) map[string]string {
	plan, _ := previous(pod)
	return plan.Handles
}

// previous returns the plan of a pod that has a sidecar. A copy of the marks
// alone, as in a template, does not count.
func previous(pod *corev1.Pod) (Plan, bool) {
	plan, marked, err := Injected(pod)
	if err != nil || !marked || !slices.ContainsFunc(pod.Spec.InitContainers, isSidecar) {
		return Plan{}, false
	}
	return plan, true
}

// containers returns the containers of others, in the order in which they start.
func containers(pod *corev1.Pod) []*corev1.Container {
	var all []*corev1.Container
	for i := range pod.Spec.InitContainers {
		if !isSidecar(pod.Spec.InitContainers[i]) {
			all = append(all, &pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i])
	}
	return all
}

func mark(pod *corev1.Pod, plan Plan) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[LabelInjected] = "true"
	pod.Annotations[AnnotationPlan] = plan.String()
	if _, set := pod.Annotations[annotationDefaultContainer]; !set {
		if name := agent(pod, plan); name != "" {
			pod.Annotations[annotationDefaultContainer] = name
		}
	}
	_, port, _ := net.SplitHostPort(plan.Broker)
	for _, key := range annotationsExclude {
		pod.Annotations[key] = withPort(pod.Annotations[key], port)
	}
}

// agent names the container that a user means: the first that is served.
func agent(pod *corev1.Pod, plan Plan) string {
	for _, c := range pod.Spec.Containers {
		if slices.Contains(plan.Containers, c.Name) {
			return c.Name
		}
	}
	return ""
}

// withPort adds port to a list that the author may have begun.
func withPort(list, port string) string {
	if list == "" {
		return port
	}
	for entry := range strings.SplitSeq(list, ",") {
		if e := strings.TrimSpace(entry); e == port || e == "*" {
			return list
		}
	}
	return list + "," + port
}

// putContainer puts c first, or in the place where it is already: another
// webhook may have put its own before it, and would do so again.
func putContainer(spec *corev1.PodSpec, c corev1.Container) {
	i := slices.IndexFunc(spec.InitContainers, isSidecar)
	if i < 0 {
		spec.InitContainers = slices.Insert(spec.InitContainers, 0, c)
		return
	}
	keepResources(&c.Resources, spec.InitContainers[i].Resources)
	if user := platformUser(&spec.InitContainers[i], &c); user != nil {
		c.SecurityContext.RunAsUser = user
	}
	spec.InitContainers[i] = c
}

// platformUser is the user that a platform has chosen for a sidecar whose user is
// left to it, as one does that hands each namespace a range; nil: none. It is
// never root.
func platformUser(live, made *corev1.Container) *int64 {
	l, m := live.SecurityContext, made.SecurityContext
	if l == nil || m == nil || m.RunAsUser != nil || l.RunAsUser == nil || *l.RunAsUser <= 0 {
		return nil
	}
	return l.RunAsUser
}

// keepResources keeps what a LimitRange added, without which a quota may refuse
// the pod.
func keepResources(ours *corev1.ResourceRequirements, live corev1.ResourceRequirements) {
	for name, q := range live.Requests {
		if _, set := ours.Requests[name]; !set {
			ours.Requests[name] = q
		}
	}
	for name, q := range live.Limits {
		if _, set := ours.Limits[name]; !set {
			ours.Limits[name] = q
		}
	}
}

func putVolume(spec *corev1.PodSpec, v corev1.Volume) {
	i := slices.IndexFunc(spec.Volumes, func(w corev1.Volume) bool { return w.Name == v.Name })
	if i < 0 {
		spec.Volumes = append(spec.Volumes, v)
		return
	}
	spec.Volumes[i] = v
}

func putMount(c *corev1.Container) {
	if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volumeAgent }) {
		c.VolumeMounts = append(c.VolumeMounts, agentMount)
	}
}
