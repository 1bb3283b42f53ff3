package record

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

const namespace = "sallyport-system"

func live(generation int64) *v1alpha1.ScopedCredential {
	return &v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "notes", UID: "uid-1", Generation: generation},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Lifetime: &metav1.Duration{Duration: 10 * time.Minute},
			// A time as a client wrote it, in another zone.
			ExpiresAt: &metav1.Time{Time: time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))},
			Grants:    []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/a"}}}},
		},
	}
}

func encode(t *testing.T, sc *v1alpha1.ScopedCredential) *corev1.ConfigMap {
	t.Helper()
	applied, err := Encode(namespace, Record{ScopedCredential, sc.UID, sc.Generation, client.ObjectKeyFromObject(sc)}, &sc.Spec)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(applied)
	if err != nil {
		t.Fatal(err)
	}
	cm := &corev1.ConfigMap{}
	if err := json.Unmarshal(text, cm); err != nil {
		t.Fatal(err)
	}
	return cm
}

func TestEncodeDecode(t *testing.T) {
	sc := live(3)
	cm := encode(t, sc)
	var spec v1alpha1.ScopedCredentialSpec
	got, err := Decode(cm, &spec)
	if err != nil {
		t.Fatal(err)
	}
	want := Record{ScopedCredential, "uid-1", 3, types.NamespacedName{Namespace: "agents", Name: "notes"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sc.Spec, spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if cm.Name != "accepted-uid-1" || cm.Namespace != namespace {
		t.Errorf("stored as %s/%s", cm.Namespace, cm.Name)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		why  string
		edit func(*corev1.ConfigMap)
	}{
		"other name":         {"a record is found by its UID", func(cm *corev1.ConfigMap) { cm.Name = "accepted-uid-2" }},
		"no kind":            {"not a record", func(cm *corev1.ConfigMap) { cm.Labels = nil }},
		"unknown kind":       {"not ours", func(cm *corev1.ConfigMap) { cm.Labels[LabelKind] = "Secret" }},
		"no generation":      {"zero is never accepted", func(cm *corev1.ConfigMap) { delete(cm.Annotations, AnnotationGeneration) }},
		"generation zero":    {"zero is never accepted", func(cm *corev1.ConfigMap) { cm.Annotations[AnnotationGeneration] = "0" }},
		"generation respelt": {"one spelling", func(cm *corev1.ConfigMap) { cm.Annotations[AnnotationGeneration] = "03" }},
		"no spec":            {"nothing to serve", func(cm *corev1.ConfigMap) { cm.Data = nil }},
		"unknown field":      {"accepted by another release", func(cm *corev1.ConfigMap) { cm.Data[specKey] = `{"newField":1,` + cm.Data[specKey][1:] }},
		"trailing text":      {"one value", func(cm *corev1.ConfigMap) { cm.Data[specKey] += "{}" }},
		"cased name": {"encoding/json would take it", func(cm *corev1.ConfigMap) {
			cm.Data[specKey] = strings.Replace(cm.Data[specKey], `"grants"`, `"Grants"`, 1)
		}},
		"repeated name": {"two readers, two meanings", func(cm *corev1.ConfigMap) {
			cm.Data[specKey] = `{"suspend":true,"suspend":false,` + cm.Data[specKey][1:]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cm := encode(t, live(3))
			tc.edit(cm)
			if _, err := Decode(cm, &v1alpha1.ScopedCredentialSpec{}); !errors.Is(err, ErrInvalid) {
				t.Errorf("err = %v, want ErrInvalid: %s", err, tc.why)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, r := range map[string]Record{
		"zero":          {},
		"no uid":        {Kind: ScopedCredential, Generation: 1},
		"no generation": {Kind: ScopedCredential, UID: "u"},
		"no kind":       {UID: "u", Generation: 1},
	} {
		if _, err := Encode(namespace, r, struct{}{}); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

// store returns a Store over these records. Metadata is read through the same
// fake; what an informer adds is tested with a real API server.
func store(t *testing.T, objects ...client.Object) *Store {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return &Store{Meta: c, Bodies: c, Namespace: namespace}
}

func TestStore(t *testing.T) {
	old := live(3)
	record := encode(t, old)
	edited := live(5)
	edited.Spec.Grants[0].HTTP.Paths = []string{"/everything"}
	other := live(3)
	other.UID = "uid-2"
	wrongKind := encode(t, old)
	wrongKind.Labels[LabelKind] = string(UpstreamSecret)

	for name, tc := range map[string]struct {
		why        string
		records    []client.Object
		live       *v1alpha1.ScopedCredential
		generation int64
		path       string
		none       bool
	}{
		"accepted":     {"the live spec is the accepted one", []client.Object{record}, live(3), 3, "/a", false},
		"edited":       {"the last accepted scope stays in force", []client.Object{record}, edited, 3, "/a", false},
		"never":        {"nothing was accepted", nil, live(3), 0, "", true},
		"created anew": {"a record of another UID is void", []client.Object{record}, other, 0, "", true},
		"other kind":   {"a record of another kind is void", []client.Object{wrongKind}, live(3), 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := store(t, tc.records...).ScopedCredential(context.Background(), tc.live)
			if tc.none {
				if !errors.Is(err, ErrNone) {
					t.Fatalf("err = %v, want ErrNone: %s", err, tc.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Generation != tc.generation || got.Spec.Grants[0].HTTP.Paths[0] != tc.path || got.UID != tc.live.UID {
				t.Errorf("got generation %d of %s with %v: %s", got.Generation, got.UID, got.Spec.Grants[0].HTTP.Paths, tc.why)
			}
		})
	}
}

// bodies counts who asks for a whole record.
type bodies struct {
	client.Client
	asked atomic.Int64
}

func (b *bodies) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	b.asked.Add(1)
	return b.Client.Get(ctx, key, o, opts...)
}

// TestBodiesAreReadOnce has a thousand streams ask after an edit that was not
// accepted, and again when another one was.
func TestBodiesAreReadOnce(t *testing.T) {
	record := encode(t, live(3))
	s := store(t, record)
	counted := &bodies{Client: s.Bodies.(client.Client)}
	s.Bodies = counted
	ask := func(generation int64) {
		t.Helper()
		var running sync.WaitGroup
		for range 1000 {
			running.Go(func() {
				if got, err := s.ScopedCredential(context.Background(), live(7)); err != nil || got.Generation != generation {
					t.Errorf("got %v, %v, want generation %d", got, err, generation)
				}
			})
		}
		running.Wait()
	}
	ask(3)
	if n := counted.asked.Load(); n != 1 {
		t.Errorf("the record was read %d times", n)
	}
	accepted := encode(t, live(5))
	if err := counted.Client.Update(t.Context(), accepted); err != nil {
		t.Fatal(err)
	}
	ask(5)
	if n := counted.asked.Load(); n != 2 {
		t.Errorf("two versions of the record were read %d times", n)
	}
}
