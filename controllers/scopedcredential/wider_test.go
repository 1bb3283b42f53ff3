package scopedcredential

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestWider: who reads the object is told that an update allows more, with a
// request that shows it, and is told once.
func TestWider(t *testing.T) {
	methods := func(list ...v1alpha1.Method) func(*v1alpha1.ScopedCredential) {
		return func(sc *v1alpha1.ScopedCredential) { sc.Spec.Grants[0].HTTP.Methods = list }
	}
	where := func(pattern string) func(*v1alpha1.ScopedCredential) {
		return func(sc *v1alpha1.ScopedCredential) {
			sc.Spec.Grants[0].HTTP.Paths = []string{"/notes/{note}"}
			sc.Spec.Grants[0].Where = map[string]v1alpha1.Matcher{"note": {Constraint: v1alpha1.Constraint{Pattern: pattern}}}
		}
	}
	for name, tc := range map[string]struct {
		why         string
		before, now func(*v1alpha1.ScopedCredential)
		generation  int64  // of the one before
		want        string // in message and event; empty: nothing is told
	}{
		"wider":    {"it allows another method", methods("GET"), methods("GET", "DELETE"), 3, "generation 4 allows more than generation 3: rest DELETE /notes (grant read)"},
		"narrower": {"it allows less", methods("GET", "DELETE"), methods("GET"), 3, ""},
		"the same": {"it says the same in other words", methods("GET", "DELETE"), methods("DELETE", "GET"), 3, ""},
		"both":     {"something is gone, and something has come", methods("GET"), methods("PUT"), 3, "generation 4 allows more than generation 3: rest PUT /notes (grant read)"},
		"again":    {"this generation was accepted before", methods("GET"), methods("GET", "DELETE"), 4, ""},
		"unknown":  {"nobody could work it out", where("(?:a|b)*a(?:a|b){40}"), where("(?:b|a)*a(?:a|b){40}"), 3, "whether generation 4 allows more than generation 3 takes too much work to find out, because of the grants read"},
		"unfit":    {"nothing was served by the one before", func(sc *v1alpha1.ScopedCredential) { sc.Spec.Grants[0].HTTP.Endpoint = "gone" }, methods("GET"), 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sc := credential(tc.now)
			o := observation{upstream: upstream(), upstreamConditions: resolvedRefs("True", "Accepted"), previous: credential(tc.before)}
			o.previous.Generation = tc.generation
			judge(sc, &o)
			o.wider = widened(sc, &o)
			decide(sc, o, now)
			message := meta.FindStatusCondition(sc.Status.Conditions, "Accepted").Message
			if told := strings.TrimPrefix(strings.TrimPrefix(message, "the scope can be enforced"), "; "); told != tc.want {
				t.Errorf("the condition tells %q, want %q: %s", told, tc.want, tc.why)
			}
			recorder := events.NewFakeRecorder(2)
			announceWider(recorder, sc, o)
			close(recorder.Events)
			event := <-recorder.Events
			if want := "Warning Widened " + tc.want; tc.want != "" && event != want || tc.want == "" && event != "" {
				t.Errorf("event %q, want %q: %s", event, tc.want, tc.why)
			}

			// It is accepted now, and looked at again: the message stays, for nobody
			// has read it yet, and there is no second event.
			again := observation{upstream: o.upstream, upstreamConditions: o.upstreamConditions, previous: credential(tc.now)}
			judge(sc, &again)
			again.wider = widened(sc, &again)
			decide(sc, again, now.Add(time.Minute))
			if got := meta.FindStatusCondition(sc.Status.Conditions, "Accepted").Message; got != message || again.wider != "" {
				t.Errorf("a second look tells %q, and then %q", message, got)
			}

			// With the next generation it goes.
			next := credential(tc.now)
			next.Generation, next.Status = 5, sc.Status
			o = observation{upstream: o.upstream, upstreamConditions: o.upstreamConditions, previous: credential(tc.now)}
			judge(next, &o)
			o.wider = widened(next, &o)
			decide(next, o, now)
			if got := meta.FindStatusCondition(next.Status.Conditions, "Accepted").Message; got != "the scope can be enforced" {
				t.Errorf("the next generation tells %q", got)
			}
		})
	}
}

// TestWiderIsShort: a condition names a few changes, however many there are.
func TestWiderIsShort(t *testing.T) {
	sc := credential(func(sc *v1alpha1.ScopedCredential) {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			sc.Spec.Grants = append(sc.Spec.Grants, v1alpha1.Grant{Name: name, HTTP: &v1alpha1.HTTPGrant{
				Methods: []v1alpha1.Method{"PUT"}, Paths: []string{"/" + strings.Repeat(name, 800)},
			}})
		}
	})
	o := observation{upstream: upstream(), previous: credential()}
	o.previous.Generation = 3
	judge(sc, &o)
	o.wider = widened(sc, &o)
	if !strings.HasSuffix(o.wider, "; and 2 more") || strings.Count(o.wider, "grant ") != 3 {
		t.Errorf("got %s", o.wider)
	}
	recorder := events.NewFakeRecorder(1)
	announceWider(recorder, sc, o)
	if note := <-recorder.Events; len(note) > maxNote+len("Warning Widened ") {
		t.Errorf("the event has %d bytes", len(note))
	}
}
