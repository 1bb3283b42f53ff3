package revoke

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

var leaseEnds = metav1.NewTime(time.Date(2030, 1, 2, 3, 14, 35, 0, time.UTC))

func credential() *v1alpha1.ScopedCredential {
	return &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "notes", UID: "uid-1", Generation: 4}}
}

func enforced(sc *v1alpha1.ScopedCredential, status metav1.ConditionStatus, generation int64) {
	sc.Status.ObservedGeneration = generation
	sc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionEnforced, Status: status, Reason: "x", ObservedGeneration: generation}}
}

// enough looks are those after which nobody waits any longer.
const enough = 3

func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		why  string
		live func(*v1alpha1.ScopedCredential) // what is read at the n-th look
		says string
		err  error
	}{
		"acknowledged": {"status says so of what was written", func(sc *v1alpha1.ScopedCredential) { enforced(sc, "True", 4) },
			"every sidecar has acknowledged", nil},
		"status of before": {"it speaks of what was in force until now", func(sc *v1alpha1.ScopedCredential) { enforced(sc, "True", 3) },
			"ends before", errLate},
		"nobody looks": {"there is no controller", func(*v1alpha1.ScopedCredential) {}, "ends before", errLate},
		"pending": {"one cannot be reached", func(sc *v1alpha1.ScopedCredential) {
			enforced(sc, "False", 4)
			sc.Status.Revocation = &v1alpha1.Revocation{PendingTotal: 3, Pending: []v1alpha1.PendingPod{
				{Pod: "a", Generation: 3, LeaseEnds: leaseEnds}, {Pod: "b", Generation: 3, LeaseEnds: metav1.NewTime(leaseEnds.Add(-time.Minute))},
			}}
		}, "pod a serves generation 3 until 2030-01-02T03:14:35Z at the latest\npod b serves generation 3 until 2030-01-02T03:13:35Z at the latest\n" +
			"and 1 more\nnobody is served after 2030-01-02T03:14:35Z\n", errLate},
		"contradiction": {"a list beside a condition that says otherwise", func(sc *v1alpha1.ScopedCredential) {
			enforced(sc, "True", 4)
			sc.Status.Revocation = &v1alpha1.Revocation{PendingTotal: 1, Pending: []v1alpha1.PendingPod{{Pod: "a", LeaseEnds: leaseEnds}}}
		}, "nobody is served after", errLate},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			looked := 0
			live := func(sc *v1alpha1.ScopedCredential) {
				tc.live(sc)
				if looked++; looked == enough && tc.err != nil {
					cancel() // the time is up, and it was looked at
				}
			}
			var out bytes.Buffer
			err := Run(ctx, cluster(t, live), client.ObjectKeyFromObject(credential()), &out)
			if !errors.Is(err, tc.err) || !strings.Contains(out.String(), tc.says) {
				t.Errorf("%s: got %v, and\n%s", tc.why, err, &out)
			}
		})
	}
}

// TestRunIsReverted has somebody else give back what was taken.
func TestRunIsReverted(t *testing.T) {
	api := cluster(t, func(sc *v1alpha1.ScopedCredential) { sc.Spec.Suspend = false })
	if err := Run(t.Context(), api, client.ObjectKeyFromObject(credential()), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("got %v", err)
	}
}

func TestRunMissing(t *testing.T) {
	name := client.ObjectKeyFromObject(credential())
	name.Name = "none"
	if err := Run(t.Context(), cluster(t, nil), name, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "suspending ScopedCredential agents/none") {
		t.Errorf("got %v", err)
	}
}

// cluster has one credential, which is read as live says.
func cluster(t *testing.T, live func(*v1alpha1.ScopedCredential)) client.Client {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(s).WithObjects(credential()).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			if sc, ok := o.(*v1alpha1.ScopedCredential); ok && sc.Spec.Suspend {
				live(sc)
			}
			return nil
		},
	}).Build()
}
