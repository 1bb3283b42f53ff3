// Package inject turns a pod that asks for credentials into one with a sidecar.
//
// # Model
//
// A pod asks by the annotation sallyport.dev/credentials, and asking grants
// nothing: whether its service account may hold a credential is decided later,
// by the broker, on the live pod. What admission decides is small and written
// down in a [Plan]: the image, one loopback port per credential and endpoint,
// one handle per credential, the variables that lead the agent's programs to
// them. [Sidecar] is the one function that changes a pod, and it depends on
// nothing but its arguments, so that admission can run it and others can run it
// again to see whether a live pod is what it made.
//
//	asked, err := inject.ParseAnnotations(pod.Annotations)
//	…look up asked.Credentials, make a handle for each…
//	plan, warnings, err := inject.NewPlan(pod, settings, credentials)
//	err = inject.Sidecar(pod, plan)
//
// The sidecar is a native one (an init container that is always restarted) and
// the first, so that init containers and Jobs are served too. The projected
// identity is mounted in it alone, at the place where the API token of the
// service account would be: admission of service accounts, which runs again
// after us, would otherwise mount that token into our container. Its mode is
// 0644, which the kubelet makes 0600 where the pod has an fsGroup or where all
// containers share a user; our container can read it in each of the three.
//
// Every field that the API server would fill in is written out, so that a live
// container can be compared with a rendered one. [Attest] does: it takes off a
// live pod what injection puts on, puts it on again, and names the first
// difference. What the plan says it holds to a [Trust], which is the operator's.
//
// # What it refuses
//
// A pod that asks and cannot be served safely is refused with a [*Refusal] that
// names the annotation, the field and the remedy; nothing is repaired and
// nothing is skipped, since a pod that starts without its sidecar fails where
// nobody looks. Refused are namespaces shared with the node or between
// containers, powers by which a container could reach the sidecar or the node,
// Windows, containers, volumes, mounts, labels and annotations that bear our
// names without being ours, tokens for our audience, ports that are taken, and
// annotations of our domain that are unknown or malformed.
//
// A container of ours that differs from what the plan says is rendered again,
// in its place. Nothing of anybody else is ever changed or removed: a variable
// that the author set stays, and a warning says so. Variables that come by
// envFrom have a lower precedence in Kubernetes and are not seen here.
package inject
