package inject_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// A pod that asks for one credential gets the sidecar first, and two variables.
func ExampleSidecar() {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:1"}}}}
	pod.Annotations = map[string]string{inject.AnnotationCredentials: "release-notes"}

	settings := inject.Settings{
		Image:    "registry.example/sidecar@sha256:0f343b0931126a20f133d67c2b018a3b6f1d0ddc8f5d8f6a6d9f0b1c2d3e4f50",
		Broker:   "sallyport-broker.sallyport-system.svc:9443",
		RootsPEM: "-----BEGIN CERTIFICATE-----\n...",
	}
	credential := inject.Credential{
		Name: "release-notes", Handle: "spt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp", Endpoints: []string{"rest"},
		Env: []bundle.EnvVar{{Name: "GITHUB_API_URL", Value: "{url:rest}"}, {Name: "GITHUB_TOKEN", Value: "{token}"}},
	}
	plan, _, err := inject.NewPlan(pod, settings, []inject.Credential{credential})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := inject.Sidecar(pod, plan); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pod.Spec.InitContainers[0].Name, pod.Spec.InitContainers[0].Args[1])
	for _, v := range pod.Spec.Containers[0].Env {
		fmt.Println(v.Name + "=" + v.Value)
	}

	pod.Spec.HostNetwork = true
	fmt.Println(inject.Sidecar(pod, plan))
	// Output:
	// sallyport-sidecar --listen=release-notes/rest=14400
	// GITHUB_API_URL=http://127.0.0.1:14400
	// GITHUB_TOKEN=spt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp
	// annotation sallyport.dev/credentials cannot be honoured: spec.hostNetwork is true, so every process of the node could reach the sidecar: set it to false, or take the annotation off the pod
}
