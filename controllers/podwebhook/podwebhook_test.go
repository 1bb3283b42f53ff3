package podwebhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// store answers reads from memory, and counts them.
type store struct {
	objects []client.Object
	err     error
	reads   int
}

func (s *store) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.reads++
	if s.err != nil {
		return s.err
	}
	for _, o := range s.objects {
		if client.ObjectKeyFromObject(o) != key {
			continue
		}
		switch from := o.(type) {
		case *v1alpha1.ScopedCredential:
			if to, ok := into.(*v1alpha1.ScopedCredential); ok {
				from.DeepCopyInto(to)
				return ctx.Err()
			}
		case *v1alpha1.UpstreamSecret:
			if to, ok := into.(*v1alpha1.UpstreamSecret); ok {
				from.DeepCopyInto(to)
				return ctx.Err()
			}
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "x"}, key.Name)
}

func (*store) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nothing is listed here")
}

func credential() *v1alpha1.ScopedCredential {
	sc := &v1alpha1.ScopedCredential{}
	sc.Namespace, sc.Name = "agents", "release-notes"
	sc.Spec.Upstream = v1alpha1.UpstreamReference{Namespace: "platform", Name: "github"}
	sc.Spec.Holders.ServiceAccounts = []string{"agent"}
	meta.SetStatusCondition(&sc.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: "Accepted"})
	return sc
}

func upstream() *v1alpha1.UpstreamSecret {
	up := &v1alpha1.UpstreamSecret{}
	up.Namespace, up.Name = "platform", "github"
	up.Spec.Endpoints = []v1alpha1.Endpoint{
		{Name: "rest", URL: "https://api.github.com", Profile: v1alpha1.ProfileGitHubREST},
		{Name: "raw", URL: "https://raw.githubusercontent.com"},
	}
	up.Spec.Consumers = &v1alpha1.Consumers{Namespaces: []string{"agents"}}
	return up
}

const pod = `
apiVersion: v1
kind: Pod
metadata:
  generateName: agent-
  annotations: {sallyport.dev/credentials: release-notes}
spec:
  serviceAccountName: agent
  automountServiceAccountToken: false
  containers:
  - {name: agent, image: "agent:1"}
`

func testSettings() (inject.Settings, error) {
	return inject.Settings{
		Image:    "sidecar@sha256:" + strings.Repeat("ab", 32),
		Broker:   "sallyport-broker.sallyport-system.svc:9443",
		RootsPEM: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", UID: defaultUID,
	}, nil
}

func handler(cached, live *store) *Handler {
	return &Handler{objects: objects{cached, live}, settings: testSettings}
}

// review sends object through the whole of the HTTP side.
func review(t *testing.T, h *Handler, object []byte, change ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionResponse {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(reviewOf(t, object, change...)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	serve(t.Context(), h).ServeHTTP(w, r)
	answer := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer.Response
}

// reviewOf asks for the creation of object.
func reviewOf(t testing.TB, object []byte, change ...func(*admissionv1.AdmissionRequest)) []byte {
	t.Helper()
	req := &admissionv1.AdmissionRequest{
		UID: "u", Operation: admissionv1.Create, Namespace: "agents",
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Object:   runtime.RawExtension{Raw: object},
	}
	for _, f := range change {
		f(req)
	}
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: req,
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func jsonOf(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestHandle(t *testing.T) {
	with := func(objects ...client.Object) *store { return &store{objects: objects} }
	full := with(credential(), upstream())
	unaccepted, stranger, private := credential(), credential(), upstream()
	unaccepted.Status.Conditions = nil
	stranger.Spec.Holders.ServiceAccounts = []string{"other"}
	private.Spec.Consumers = nil
	away := &store{err: apierrors.NewInternalError(errors.New("etcd is away"))}
	tests := map[string]struct {
		why          string
		pod          string
		cached, live *store
		allowed      bool
		code         int32
		says         string // in message or warnings
	}{
		"asks for nothing": {"others' pods are no concern of ours, whatever is missing", strings.ReplaceAll(pod, "sallyport.dev/credentials", "x"), away, away, true, 200, ""},
		"served":           {"all is there", pod, full, with(), true, 200, ""},
		"late":             {"the cache trails one kubectl apply", pod, with(), full, true, 200, ""},
		"no credential":    {"ports and variables come from it", pod, with(upstream()), with(upstream()), false, 403, `ScopedCredential "agents/release-notes" not found`},
		"no upstream":      {"ports and variables come from it", pod, with(credential()), with(credential()), false, 403, "platform/github"},
		"not shared":       {"as good as missing", pod, with(credential(), private), with(credential(), private), false, 403, "platform/github"},
		"shared since":     {"the cache trails the edit", pod, with(credential(), private), full, true, 200, ""},
		"not accepted":     {"it may be by the time the pod runs", pod, with(unaccepted, upstream()), with(), true, 200, "not accepted"},
		"no holder":        {"the broker will refuse; the author should know", pod, with(stranger, upstream()), with(), true, 200, "no holder"},
		"host network":     {"its loopback is the node's", pod + "  hostNetwork: true\n", full, with(), false, 403, "spec.hostNetwork"},
		"capability":       {"the broker would cut it off", pod + "  - {name: tool, securityContext: {capabilities: {add: [SYS_PTRACE]}}}\n", full, with(), false, 403, "container tool"},
		"api server away":  {"what is not known is not guessed", pod, with(), away, false, 500, "ScopedCredential agents/release-notes"},
		"cache broken":     {"what is not known is not guessed", pod, away, full, false, 500, "ScopedCredential agents/release-notes"},
		"bad list":         {"nothing is repaired", strings.ReplaceAll(pod, "release-notes}", `"release-notes, b"}`), full, with(), false, 403, "sallyport.dev/credentials"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := review(t, handler(test.cached, test.live), jsonOf(t, test.pod))
			text := got.Result.Message + strings.Join(got.Warnings, "\n")
			if got.Allowed != test.allowed || got.Result.Code != test.code || !strings.Contains(text, test.says) {
				t.Fatalf("%s: allowed %v, code %d, %q", test.why, got.Allowed, got.Result.Code, text)
			}
			if test.allowed && test.says == "" && len(got.Warnings) > 0 {
				t.Errorf("%s: warned %q", test.why, got.Warnings)
			}
			if !got.Allowed && got.Patch != nil {
				t.Errorf("a refusal carries a patch")
			}
			if got.Allowed != strings.Contains(string(got.Patch), inject.ContainerName) && name != "asks for nothing" {
				t.Errorf("%s: the pod comes in without a sidecar", test.why)
			}
		})
	}
}

// TestProxyMode leads programs to a proxy, and to upstreams where they are.
func TestProxyMode(t *testing.T) {
	asking := strings.ReplaceAll(pod, "release-notes}", "release-notes, sallyport.dev/client: proxy}")
	up := upstream()
	got := review(t, handler(&store{objects: []client.Object{credential(), up}}, &store{}), jsonOf(t, asking))
	if !got.Allowed || len(got.Warnings) > 0 {
		t.Fatalf("allowed %t, %v, warned %q", got.Allowed, got.Result, got.Warnings)
	}
	for _, want := range []string{`"--proxy=14400"`, `"HTTPS_PROXY"`, `/_trust/bundle.crt`, `"GITHUB_API_URL","value":"https://api.github.com"`} {
		if !strings.Contains(string(got.Patch), want) {
			t.Errorf("the patch holds no %s", want)
		}
	}
	if strings.Contains(string(got.Patch), "--listen") {
		t.Error("an endpoint has a listener of its own")
	}
	if strings.Contains(string(got.Patch), "tunnel") {
		t.Error("other hosts are reached, and nobody said so")
	}
	open := handler(&store{objects: []client.Object{credential(), up}}, &store{})
	open.settings = func() (inject.Settings, error) {
		s, err := testSettings()
		s.Tunnel = true
		return s, err
	}
	if got = review(t, open, jsonOf(t, asking)); !got.Allowed || !strings.Contains(string(got.Patch), `"--tunnel"`) {
		t.Errorf("the operator lets tunnels through: allowed %t, %s", got.Allowed, got.Patch)
	}
	up.Spec.Endpoints[1].URL = "https://raw.platform.svc"
	got = review(t, handler(&store{objects: []client.Object{credential(), up}}, &store{}), jsonOf(t, asking))
	if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "endpoint raw of release-notes is within the cluster") {
		t.Errorf("allowed %t, warned %q", got.Allowed, got.Warnings)
	}
	pinned := strings.ReplaceAll(asking, "client: proxy", "client: pinned")
	if got = review(t, handler(&store{objects: []client.Object{credential(), up}}, &store{}), jsonOf(t, pinned)); got.Allowed {
		t.Error("a mode that nobody offers was admitted")
	}
}

// TestTolerated holds that the operator may take a risk.
func TestTolerated(t *testing.T) {
	full := &store{objects: []client.Object{credential(), upstream()}}
	h := handler(full, full)
	h.settings = func() (inject.Settings, error) {
		s, err := testSettings()
		s.Tolerate = []string{"NET_ADMIN"}
		return s, err
	}
	for power, allowed := range map[string]bool{"NET_ADMIN": true, "SYS_ADMIN": false} {
		got := review(t, h, jsonOf(t, pod+"  - {name: tool, securityContext: {capabilities: {add: ["+power+"]}}}\n"))
		if got.Allowed != allowed {
			t.Errorf("%s: allowed %v, %q", power, got.Allowed, got.Result.Message)
		}
	}
}

// TestHandleRefusesOthers holds what a wrong rule would send here.
func TestHandleRefusesOthers(t *testing.T) {
	full := &store{objects: []client.Object{credential(), upstream()}}
	tests := map[string]func(*admissionv1.AdmissionRequest){
		"update":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "ephemeralcontainers" },
		"deployment":  func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "deployments" },
		"no object":   func(r *admissionv1.AdmissionRequest) { r.Object.Raw = nil },
		"not a pod": func(r *admissionv1.AdmissionRequest) {
			r.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":"canary"}}`)
		},
		"another kind": func(r *admissionv1.AdmissionRequest) {
			r.Object.Raw = bytes.Replace(r.Object.Raw, []byte(`"Pod"`), []byte(`"canary"`), 1)
		},
		"another version": func(r *admissionv1.AdmissionRequest) {
			r.Object.Raw = bytes.Replace(r.Object.Raw, []byte(`"v1"`), []byte(`"canary"`), 1)
		},
	}
	for name, change := range tests {
		got := review(t, handler(full, full), jsonOf(t, pod), change)
		if got.Allowed || got.Result.Code != http.StatusBadRequest || strings.Contains(got.Result.Message, "canary") {
			t.Errorf("%s: allowed %v, %q", name, got.Allowed, got.Result.Message)
		}
	}
	huge := strings.ReplaceAll(pod, "agent:1", strings.Repeat("x", maxReview))
	if got := review(t, handler(full, full), jsonOf(t, huge)); got.Allowed {
		t.Error("a review beyond the bound must be refused")
	}
}

// TestReads holds how often the API server is asked: never while the cache has
// all, once for each object that it does not have.
func TestReads(t *testing.T) {
	live := &store{}
	review(t, handler(&store{objects: []client.Object{credential(), upstream()}}, live), jsonOf(t, pod))
	if live.reads != 0 {
		t.Errorf("the cache had all, and the API server was asked %d times", live.reads)
	}
	private := upstream()
	private.Spec.Consumers = nil
	for name, objects := range map[string][]client.Object{"missing": {credential()}, "not shared": {credential(), private}} {
		live := &store{objects: objects}
		review(t, handler(&store{objects: objects}, live), jsonOf(t, pod))
		if live.reads != 1 {
			t.Errorf("%s: asked the API server %d times; the time it takes must not tell missing from not shared", name, live.reads)
		}
	}
}

// TestNoRoots holds that sidecars which could trust nobody are not made.
func TestNoRoots(t *testing.T) {
	full := &store{objects: []client.Object{credential(), upstream()}}
	h := handler(full, full)
	o := Options{CertDir: t.TempDir(), Image: "sidecar@sha256:" + strings.Repeat("ab", 32), Broker: "b:1", Port: 1}
	h.settings = func() (inject.Settings, error) { return settings(o, 0, rootsOf(o)) }
	for name, text := range map[string]string{"missing": "", "empty": "no certificate"} {
		if text != "" {
			if err := os.WriteFile(filepath.Join(o.CertDir, fileRoots), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := review(t, h, jsonOf(t, pod)); got.Allowed || got.Result.Code != http.StatusInternalServerError {
			t.Errorf("%s: allowed %v, %q", name, got.Allowed, got.Result.Message)
		}
	}
}
