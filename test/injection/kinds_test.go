package injection

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/inject"
	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

// manageWorkloads runs the controllers that make pods of workloads, until the
// test ends.
func manageWorkloads(t *testing.T) *bytes.Buffer {
	t.Helper()
	assets, err := cluster.Assets()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, adminKubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	ctx, stop := context.WithCancel(t.Context())
	manager := exec.CommandContext(ctx, filepath.Join(assets, "kube-controller-manager"), "--kubeconfig="+kubeconfig,
		"--controllers=deployment,replicaset,statefulset,daemonset,job,cronjob", "--leader-elect=false", "--secure-port=0")
	manager.Stderr = said
	if err := manager.Start(); err != nil {
		t.Fatalf("%v: run `make binaries`", err)
	}
	t.Cleanup(func() { stop(); _ = manager.Wait() })
	return said
}

// template is agent as a part of a workload.
func template(credentials, app string) corev1.PodTemplateSpec {
	pod := agent(credentials)
	pod.Annotations["example.com/app"] = app
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Annotations: pod.Annotations, Labels: map[string]string{"app": app}}, Spec: pod.Spec,
	}
}

// workloads are all kinds that have pods, each with one.
func workloads(credentials string) map[string]client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "agents", Name: name} }
	chosen := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	}
	job := func(name string) batchv1.JobSpec {
		t := template(credentials, name)
		t.Spec.RestartPolicy = corev1.RestartPolicyNever
		return batchv1.JobSpec{Template: t}
	}
	bare := agent(credentials)
	bare.GenerateName, bare.Name, bare.Labels = "", "bare", map[string]string{"app": "bare"}
	return map[string]client.Object{
		"deployment":  &appsv1.Deployment{ObjectMeta: meta("deployment"), Spec: appsv1.DeploymentSpec{Selector: chosen("deployment"), Template: template(credentials, "deployment")}},
		"replicaset":  &appsv1.ReplicaSet{ObjectMeta: meta("replicaset"), Spec: appsv1.ReplicaSetSpec{Selector: chosen("replicaset"), Template: template(credentials, "replicaset")}},
		"statefulset": &appsv1.StatefulSet{ObjectMeta: meta("statefulset"), Spec: appsv1.StatefulSetSpec{Selector: chosen("statefulset"), ServiceName: "s", Template: template(credentials, "statefulset")}},
		"daemonset":   &appsv1.DaemonSet{ObjectMeta: meta("daemonset"), Spec: appsv1.DaemonSetSpec{Selector: chosen("daemonset"), Template: template(credentials, "daemonset")}},
		"job":         &batchv1.Job{ObjectMeta: meta("job"), Spec: job("job")},
		"cronjob": &batchv1.CronJob{ObjectMeta: meta("cronjob"), Spec: batchv1.CronJobSpec{
			Schedule: "* * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: job("cronjob")},
		}},
		"bare": bare,
	}
}

// TestEveryKind creates all kinds of workloads, with the controllers that make
// pods of them: each pod comes in with its sidecar, which attests, though its
// template has none.
func TestEveryKind(t *testing.T) {
	up, sc := objects("kinds")
	create(t, up, sc)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}
	create(t, node)        // for the DaemonSet
	node.Spec.Taints = nil // no kubelet will ever say that it is ready
	if err := api.Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Delete(context.Background(), node) })
	said := manageWorkloads(t)
	all := workloads("kinds")
	for _, o := range all {
		create(t, o)
		t.Cleanup(func() { _ = api.Delete(context.Background(), o) })
	}
	due(t, all["cronjob"])
	for app := range all {
		t.Run(app, func(t *testing.T) {
			var list corev1.PodList
			err := within(t.Context(), func() (bool, error) {
				err := api.List(t.Context(), &list, client.InNamespace("agents"), client.MatchingLabels{"app": app})
				return len(list.Items) > 0, err
			})
			if err != nil {
				t.Fatalf("no pod came: %v\n%s", err, said)
			}
			pod := &list.Items[0]
			if names, err := inject.Attest(pod, trust()); err != nil || strings.Join(names, ",") != "kinds" {
				t.Errorf("attests %v, %v", names, err)
			}
			if pod.Spec.InitContainers[0].Name != inject.ContainerName {
				t.Error("the sidecar is not first")
			}
			live, ok := all[app].DeepCopyObject().(client.Object)
			if !ok || api.Get(t.Context(), client.ObjectKeyFromObject(live), live) != nil {
				t.Fatal("reading the workload")
			}
			if app != "bare" && live.GetLabels()[inject.LabelInjected] != "" {
				t.Error("the workload itself was changed")
			}
		})
	}
}

// due has the time of a CronJob come: it was last looked at some minutes ago.
func due(t *testing.T, o client.Object) {
	t.Helper()
	c, ok := o.(*batchv1.CronJob)
	if !ok {
		t.Fatal("no CronJob")
	}
	err := within(t.Context(), func() (bool, error) {
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
			return false, err
		}
		last := metav1.NewTime(time.Now().Add(-3 * time.Minute))
		c.Status.LastScheduleTime = &last
		return api.Status().Update(t.Context(), c) == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoName holds that a pod whose name is made by the API server, after
// admission, is planned like any other.
func TestNoName(t *testing.T) {
	up, sc := objects("nameless")
	create(t, up, sc)
	pod := agent("nameless")
	if pod.Name != "" || pod.GenerateName == "" {
		t.Fatal("the pod has a name, so this test shows nothing")
	}
	create(t, pod)
	if _, err := inject.Attest(read(t, pod), trust()); err != nil || !strings.HasPrefix(pod.Name, "agent-") {
		t.Errorf("pod %q: %v", pod.Name, err)
	}
}

// TestDryRun holds that a dry run answers as the real thing would, and that
// nothing is written anywhere: no object of any kind that we know has changed.
func TestDryRun(t *testing.T) {
	up, sc := objects("dry")
	create(t, up, sc)
	before := world(t)
	pod := agent("dry")
	if err := api.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if _, err := inject.Attest(pod, trust()); err != nil {
		t.Errorf("the answer to a dry run does not attest: %v", err)
	}
	if err := api.Create(t.Context(), agent("dry-and-missing"), client.DryRunAll); err == nil {
		t.Error("a dry run lets in what would be refused")
	}
	if after := world(t); after != before {
		t.Errorf("a dry run has changed something: before\n%s\nafter\n%s", before, after)
	}
}

// world lists what there is, each object with its version.
func world(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, gvk := range scheme.PreferredVersionAllGroups() {
		for kind := range scheme.KnownTypes(gvk) {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(gvk.WithKind(kind))
			if strings.HasSuffix(kind, "List") || kind == "Lease" || api.List(t.Context(), list) != nil {
				continue // it is none that can be listed
			}
			for i := range list.Items {
				o := &list.Items[i]
				b.WriteString(kind + " " + o.Namespace + "/" + o.Name + "@" + o.ResourceVersion + "\n")
			}
		}
	}
	if !strings.Contains(b.String(), "ScopedCredential agents/dry@") {
		t.Fatalf("the list misses what is there:\n%s", b.String())
	}
	return sorted(b.String())
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestMeshPorts holds that a mesh is told to leave the way to the broker alone,
// beside what the author told it.
func TestMeshPorts(t *testing.T) {
	up, sc := objects("ports")
	create(t, up, sc)
	pod := agent("ports")
	pod.Labels = map[string]string{"mesh": "on"}
	pod.Annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] = "5432"
	create(t, pod)
	live := read(t, pod)
	for key, want := range map[string]string{
		"traffic.sidecar.istio.io/excludeOutboundPorts": "5432,9443", "config.linkerd.io/skip-outbound-ports": "9443",
	} {
		if got := live.Annotations[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, c := range live.Spec.InitContainers {
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil && *c.SecurityContext.RunAsUser == 1337 {
			t.Error("the sidecar has the user of a mesh's proxy, whose traffic goes around it")
		}
	}
	if _, err := inject.Attest(live, trust()); err != nil {
		t.Error(err)
	}
}
