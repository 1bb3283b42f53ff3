package condition

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

func TestWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		why       string
		named     []Named
		withdrawn *Outcome
		ready     string // status/reason
		extra     string // the one of Reconciling and Stalled that is there
	}{
		"all met": {
			why:   "the summary is True and nothing is left to do",
			named: []Named{{"Accepted", Met("a")}, {"Enforced", Met("b")}},
			ready: "True/Accepted",
		},
		"waiting": {
			why:   "work goes on",
			named: []Named{{"Accepted", Met("a")}, {"Enforced", Pending("b")}},
			ready: "Unknown/Pending", extra: "Reconciling",
		},
		"waiting for sidecars": {
			why:   "a sidecar that has not answered yet is no reason to give up",
			named: []Named{{"Accepted", Met("a")}, {"Enforced", Failed(v1alpha1.ReasonPending, "b")}},
			ready: "False/Pending", extra: "Reconciling",
		},
		"unreachable": {
			why:   "it is asked again, and nobody has to edit anything",
			named: []Named{{"Accepted", Met("a")}, {"ResolvedRefs", Failed(v1alpha1.ReasonUpstreamUnreachable, "b")}},
			ready: "False/UpstreamUnreachable", extra: "Reconciling",
		},
		"failed after pending": {
			why:   "who waits for what failed says nothing new",
			named: []Named{{"Accepted", Pending("a")}, {"ResolvedRefs", Failed("NotFound", "b")}},
			ready: "False/NotFound", extra: "Stalled",
		},
		"zero": {
			why:   "a condition that nobody set is not met",
			named: []Named{{"Accepted", Outcome{}}},
			ready: "Unknown/Pending", extra: "Reconciling",
		},
		"withdrawn": {
			why:       "it serves nobody, though all is well",
			named:     []Named{{"Accepted", Met("a")}},
			withdrawn: &Outcome{metav1.ConditionFalse, "Suspended", "c"},
			ready:     "False/Suspended", extra: "Stalled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := []metav1.Condition{{Type: "Reconciling", Status: "True"}, {Type: "Stalled", Status: "True"}}
			Write(&got, 7, tc.named, tc.withdrawn)
			ready := meta.FindStatusCondition(got, "Ready")
			if s := string(ready.Status) + "/" + ready.Reason; s != tc.ready {
				t.Errorf("Ready is %s, want %s: %s", s, tc.ready, tc.why)
			}
			for _, extra := range []string{"Reconciling", "Stalled"} {
				if is := meta.IsStatusConditionTrue(got, extra); is != (extra == tc.extra) {
					t.Errorf("%s is there: %v: %s", extra, is, tc.why)
				}
			}
			for _, c := range got {
				if c.ObservedGeneration != 7 {
					t.Errorf("%s speaks of generation %d", c.Type, c.ObservedGeneration)
				}
			}
		})
	}
}

func TestWriteTwiceChangesNothing(t *testing.T) {
	for _, o := range []Outcome{Met("a"), Pending("b"), Failed("Invalid", "c")} {
		var got []metav1.Condition
		Write(&got, 1, []Named{{"Accepted", o}}, nil)
		for i := range got {
			got[i].LastTransitionTime = metav1.NewTime(time.Unix(1, 0))
		}
		before := append([]metav1.Condition(nil), got...)
		Write(&got, 1, []Named{{"Accepted", o}}, nil)
		if diff := cmp.Diff(before, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.Reason, diff)
		}
	}
}

func TestMessageFitsTheSchema(t *testing.T) {
	var got []metav1.Condition
	Write(&got, 1, []Named{{"Accepted", Failed("Invalid", strings.Repeat("x", 40000))}}, nil)
	for _, c := range got {
		if len(c.Message) > maxMessage {
			t.Errorf("%s has %d bytes", c.Type, len(c.Message))
		}
	}
}

func TestAnnounce(t *testing.T) {
	ready := func(status, reason, message string) []metav1.Condition {
		return []metav1.Condition{{Type: "Ready", Status: metav1.ConditionStatus(status), Reason: reason, Message: message}}
	}
	for name, tc := range map[string]struct {
		why           string
		before, after []metav1.Condition
		want          string
	}{
		"first":        {"it became ready", nil, ready("True", "Accepted", "all well"), "Normal Ready all well"},
		"same":         {"nothing happened", ready("True", "Accepted", "a"), ready("True", "Accepted", "b"), ""},
		"failed":       {"somebody has to act", ready("True", "Accepted", "a"), ready("False", "Invalid", "b"), "Warning Invalid b"},
		"failed again": {"it failed otherwise", ready("False", "Invalid", "a"), ready("False", "NotFound", "b"), "Warning NotFound b"},
		"pending":      {"waiting is no event", ready("True", "Accepted", "a"), ready("False", "Pending", "b"), ""},
		"per cent":     {"a message is no format", nil, ready("False", "Invalid", "100%d"), "Warning Invalid 100%d"},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(2)
			Announce(recorder, &v1alpha1.UpstreamSecret{}, tc.before, tc.after)
			close(recorder.Events)
			if got := <-recorder.Events; got != tc.want {
				t.Errorf("event %q, want %q: %s", got, tc.want, tc.why)
			}
		})
	}
}
