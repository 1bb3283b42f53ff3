package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

var (
	attestNow      = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	attestSettings = inject.Settings{
		Image: "sidecar@sha256:" + strings.Repeat("ab", 32), Broker: "broker:9443",
		RootsPEM: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
	}
	attestID = identity.Identity{
		Pod: types.NamespacedName{Namespace: "agents", Name: "a"}, UID: "uid-1", ServiceAccount: "agent", Node: "node-1",
	}
)

// injectedPod is a live pod that asks for two credentials.
func injectedPod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "agents", Name: "a", UID: "uid-1",
		Annotations: map[string]string{inject.AnnotationCredentials: "notes,other"},
	}}
	pod.Spec.ServiceAccountName, pod.Spec.NodeName = "agent", "node-1"
	pod.Spec.Containers = []corev1.Container{{Name: "agent"}}
	var credentials []inject.Credential
	for name, handle := range map[string]string{"notes": "spt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp", "other": "spt_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ3EAd4B"} {
		credentials = append(credentials, inject.Credential{Name: name, Handle: handle, Endpoints: []string{"rest"}})
	}
	slices.SortFunc(credentials, func(a, b inject.Credential) int { return strings.Compare(a.Name, b.Name) })
	plan, _, err := inject.NewPlan(pod, attestSettings, credentials)
	if err != nil {
		t.Fatal(err)
	}
	if err := inject.Sidecar(pod, plan); err != nil {
		t.Fatal(err)
	}
	return pod
}

// attestingBroker reads pods from a cache, which shows those with our label,
// and from an API server, which shows all.
func attestingBroker(t *testing.T, pod *corev1.Pod) (*Broker, *events.FakeRecorder) {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	live := fake.NewClientBuilder().WithScheme(s).WithObjects(pod).WithStatusSubresource(pod).Build()
	cached := interceptor.NewClient(live, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, into, opts...)
			if p, ok := into.(*corev1.Pod); ok && err == nil && p.Labels[inject.LabelInjected] != "true" {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, key.Name)
			}
			return err
		},
	})
	recorder := events.NewFakeRecorder(16)
	b := &Broker{
		client: cached, apiReader: live, clock: testingclock.NewFakeClock(attestNow), index: newIndex(),
		conditions: newConditions(cached, live, recorder),
		trust:      func() (inject.Trust, error) { return attestSettings.Trust(), nil },
	}
	b.offers = newOffers(b)
	return b, recorder
}

func TestAttest(t *testing.T) {
	ended := metav1.NewTime(attestNow.Add(-time.Second))
	for name, tc := range map[string]struct {
		why    string
		change func(*corev1.Pod, *identity.Identity)
		flaw   string
	}{
		"untouched":     {"as injected", func(*corev1.Pod, *identity.Identity) {}, ""},
		"succeeded":     {"nothing runs that could ask", func(p *corev1.Pod, _ *identity.Identity) { p.Status.Phase = corev1.PodSucceeded }, "has ended"},
		"failed":        {"nothing runs that could ask", func(p *corev1.Pod, _ *identity.Identity) { p.Status.Phase = corev1.PodFailed }, "has ended"},
		"ends":          {"its grace is over", func(p *corev1.Pod, _ *identity.Identity) { p.DeletionTimestamp = &ended }, "time to end"},
		"other account": {"whose token is it", func(_ *corev1.Pod, id *identity.Identity) { id.ServiceAccount = "admin" }, "spec.serviceAccountName"},
		"other node":    {"the token was issued elsewhere", func(_ *corev1.Pod, id *identity.Identity) { id.Node = "node-2" }, "spec.nodeName"},
		"no node":       {"the API server always says one", func(_ *corev1.Pod, id *identity.Identity) { id.Node = "" }, "spec.nodeName"},
		"tampered":      {"see internal/inject", func(p *corev1.Pod, _ *identity.Identity) { p.Spec.InitContainers[0].Command = []string{"x"} }, "spec.initContainers[sallyport-sidecar].command"},
	} {
		t.Run(name, func(t *testing.T) {
			pod, id := injectedPod(t), attestID
			tc.change(pod, &id)
			b, _ := attestingBroker(t, injectedPod(t))
			shared := pod.DeepCopy() // with the cache: see [Broker.pod]
			names, flaw, err := b.attest(pod, id)
			if diff := cmp.Diff(shared, pod); diff != "" {
				t.Errorf("the pod was changed (-before +after):\n%s", diff)
			}
			switch {
			case err != nil:
				t.Fatal(err)
			case tc.flaw == "" && (flaw != nil || !slices.Equal(names, []string{"notes", "other"})):
				t.Errorf("%s: %v, %v", tc.why, names, flaw)
			case tc.flaw != "" && (flaw == nil || !strings.Contains(flaw.Error(), tc.flaw) || len(names) > 0):
				t.Errorf("%s: %v, %v, want %q", tc.why, names, flaw, tc.flaw)
			}
		})
	}
	b, _ := attestingBroker(t, injectedPod(t))
	b.trust = func() (inject.Trust, error) { return inject.Trust{}, errors.New("not read yet") }
	if names, flaw, err := b.attest(injectedPod(t), attestID); err == nil || flaw != nil || len(names) > 0 {
		t.Errorf("what is not known is neither yes nor no: %v, %v, %v", names, flaw, err)
	}
}

// TestAttestedAtEveryEvent changes a pod whose stream is open, and looks at what
// the stream makes of each event.
func TestAttestedAtEveryEvent(t *testing.T) {
	b, recorder := attestingBroker(t, injectedPod(t))
	go b.offers.run(t.Context())
	s := newStream(b, attestID, [32]byte{})
	pod := &corev1.Pod{}
	step := func(what string, change func(*corev1.Pod), flaw string) {
		t.Helper()
		if err := b.apiReader.Get(t.Context(), attestID.Pod, pod); err != nil {
			t.Fatal(err)
		}
		change(pod)
		if err := b.client.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		var d *dependencies
		poll(t, "what is offered is known", func() bool {
			d = b.index.dependencies(s)
			if err := s.judge(t.Context(), d, attestNow); err != nil {
				t.Fatal(err)
			}
			return !s.unknown
		})
		if _, ok := d.keys[key{kindPod, attestID.Pod}]; !ok {
			t.Errorf("%s: the next event of the pod would not be heard of", what)
		}
		if got := s.report.attestation; (flaw == "") != (got == "") || !strings.Contains(got, flaw) {
			t.Errorf("%s: the flaw is %q, want %q", what, got, flaw)
		}
		for name, h := range s.held {
			if h.served() || strings.Contains(h.detail, "not what injection made of it") != (flaw != "") {
				t.Errorf("%s: %s is held as %q", what, name, h.detail)
			}
			if flaw != "" && h.reason != scope.Revoked {
				t.Errorf("%s: %s is denied for %s", what, name, h.reason)
			}
		}
		b.conditions.process(t.Context(), attestID.UID)
	}
	eventsSoFar := func(want int, text string) {
		t.Helper()
		if len(recorder.Events) != want {
			t.Fatalf("%d events, want %d", len(recorder.Events), want)
		}
		for range want {
			if e := <-recorder.Events; !strings.Contains(e, v1alpha1.ReasonAttestationFailed) || !strings.Contains(e, text) {
				t.Errorf("the event is %q", e)
			}
		}
	}
	step("untouched", func(*corev1.Pod) {}, "")
	eventsSoFar(0, "")
	step("label", func(p *corev1.Pod) { delete(p.Labels, inject.LabelInjected) }, "label "+inject.LabelInjected)
	eventsSoFar(1, "label "+inject.LabelInjected)
	step("label again", func(p *corev1.Pod) { p.Labels = map[string]string{inject.LabelInjected: "true"} }, "")
	step("image", func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "evil:1" }, ".image")
	step("image, still", func(p *corev1.Pod) { p.Annotations["x"] = "y" }, ".image")
	eventsSoFar(1, ".image")
	step("image again", func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = attestSettings.Image }, "")
	step("debug", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}, TargetContainerName: inject.ContainerName,
		}}
	}, "ephemeral container debug")
	eventsSoFar(1, "ephemeral container debug")
	if err := b.apiReader.Get(t.Context(), attestID.Pod, pod); err != nil {
		t.Fatal(err)
	}
	if len(pod.Status.Conditions) != 1 || flaw(pod.Status.Conditions[0]) == "" || pod.Status.Conditions[0].Status != corev1.ConditionFalse {
		t.Errorf("the pod shows %+v", pod.Status.Conditions)
	}

	narrowed := []string{"other"}
	pod.Spec.EphemeralContainers = nil
	pod.Annotations[inject.AnnotationCredentials] = "other,never-planned"
	if names, flaw, err := b.attest(pod, attestID); err != nil || flaw != nil || !slices.Equal(names, narrowed) {
		t.Errorf("served are %v, want %v: %v, %v", names, narrowed, flaw, err)
	}
}

// TestChangedAsTheStreamEnds changes a pod whose stream ends before the change
// was judged, as it does where the sidecar's image is swapped and the kubelet is
// faster than the broker.
func TestChangedAsTheStreamEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		change func(*corev1.Pod)
		flaw   string
	}{
		"untouched": {"a sidecar comes and goes", func(*corev1.Pod) {}, ""},
		"ended":     {"a job is done", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, ""},
		"image":     {"another program", func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "evil:1" }, ".image"},
		"label":     {"the cache does not see the pod any more", func(p *corev1.Pod) { delete(p.Labels, inject.LabelInjected) }, "label " + inject.LabelInjected},
	} {
		t.Run(name, func(t *testing.T) {
			pod := injectedPod(t)
			enforced := corev1.PodCondition{Type: ConditionScopeEnforced, Status: corev1.ConditionTrue, Reason: ReasonEnforced}
			pod.Status.Conditions = []corev1.PodCondition{enforced}
			tc.change(pod)
			b, _ := attestingBroker(t, pod)
			newStream(b, attestID, [32]byte{}).lookBack(t.Context())
			b.conditions.process(t.Context(), attestID.UID)
			if err := b.apiReader.Get(t.Context(), attestID.Pod, pod); err != nil {
				t.Fatal(err)
			}
			shown := pod.Status.Conditions
			if len(shown) != 1 || (shown[0].Status == corev1.ConditionTrue) != (tc.flaw == "") || !strings.Contains(flaw(shown[0]), tc.flaw) {
				t.Errorf("%s: the pod shows %+v", tc.why, shown)
			}
		})
	}
}

// TestPlaintextNeedsAGuardedPod holds where a key may be sent in clear text.
func TestPlaintextNeedsAGuardedPod(t *testing.T) {
	drops := &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	yes := true
	tests := map[string]struct {
		why    string
		change func(*corev1.Pod)
		says   string
	}{
		"guarded": {"no raw sockets, the cluster's DNS", func(*corev1.Pod) {}, ""},
		"one alone": {"the one that matters", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext.Capabilities.Drop = []corev1.Capability{"cap_net_raw"}
		}, ""},
		"raw": {"it could read the key", func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = nil }, "agent does not"},
		"raw again": {"it could read the key", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"NET_RAW"}
		}, "agent does not"},
		"privileged": {"it has all", func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.Privileged = &yes }, "agent does not"},
		"init": {"it could read the key", func(p *corev1.Pod) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "first"})
		}, "first does not"},
		"debug": {"it could read the key", func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}}
		}, "debug does not"},
		"policy": {"other name servers", func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSNone }, "dnsPolicy"},
		"config": {"other name servers", func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{} }, "dnsConfig"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := injectedPod(t)
			pod.Spec.DNSPolicy, pod.Spec.Containers[0].SecurityContext = corev1.DNSClusterFirst, drops.DeepCopy()
			tc.change(pod)
			err := plaintext([]bundle.Endpoint{{URL: "https://a.example"}, {URL: "http://b.example"}}, pod)
			if (tc.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: got %v, want %q", tc.why, err, tc.says)
			}
			if err := plaintext([]bundle.Endpoint{{URL: "https://a.example"}}, pod); err != nil {
				t.Errorf("nothing is sent in clear text, and yet: %v", err)
			}
		})
	}
}

// TestTamperingCutsOff does to a pod whose sidecar is being served what the API
// server lets happen to it, with no policy in the way.
func TestTamperingCutsOff(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		change func(*world, *corev1.Pod) error
		field  string
	}{
		"image": {"another program", func(w *world, p *corev1.Pod) error {
			p.Spec.InitContainers[0].Image = "evil:1"
			return admin.Update(w.ctx, p)
		}, "spec.initContainers[sallyport-sidecar].image"},
		"label": {"the cache does not see the pod any more", func(w *world, p *corev1.Pod) error {
			delete(p.Labels, inject.LabelInjected)
			return admin.Update(w.ctx, p)
		}, "label " + inject.LabelInjected},
		"debug": {"it sees the sidecar's processes", func(w *world, p *corev1.Pod) error {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug"}, TargetContainerName: inject.ContainerName,
			}}
			return admin.SubResource("ephemeralcontainers").Update(w.ctx, p)
		}, "ephemeral container debug"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pod := w.pod("a", "agent", nil, "notes")
			s := w.connect(pod)
			s.awaitServed("notes")
			if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(w, pod); err != nil {
				t.Fatal(err)
			}
			s.awaitDenied("notes", scope.Revoked)
			condition := w.awaitCondition(pod, corev1.ConditionFalse, v1alpha1.ReasonAttestationFailed)
			if !strings.Contains(condition.Message, tc.field) {
				t.Errorf("%s: the condition says %q", tc.why, condition.Message)
			}
			recorder := w.broker.conditions.events.(*events.FakeRecorder)
			if e := <-recorder.Events; !strings.Contains(e, tc.field) || len(recorder.Events) > 0 {
				t.Errorf("%s: the Event says %q, and %d more follow", tc.why, e, len(recorder.Events))
			}
		})
	}
}
