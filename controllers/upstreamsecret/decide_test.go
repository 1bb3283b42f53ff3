package upstreamsecret

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

func TestDecide(t *testing.T) {
	refused := &compile.Refused{Reason: "Unsupported", Problems: []compile.Problem{{Reason: "Unsupported", Field: "spec.ceiling", Msg: "remove it"}}}
	before := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	for name, tc := range map[string]struct {
		why                       string
		o                         observation
		accepted, resolved, ready string
		text                      string // in Ready's message
	}{
		"all well": {
			why:      "nothing is missing",
			accepted: "True/Accepted", resolved: "True/Accepted", ready: "True/Accepted",
		},
		"refused, none before": {
			why:      "nothing is served, and it says so",
			o:        observation{refused: refused},
			accepted: "False/Unsupported", resolved: "True/Accepted", ready: "False/Unsupported", text: "every request is refused",
		},
		"refused, one before": {
			why:      "what was accepted stays in force, and it says which",
			o:        observation{refused: refused, inForce: before},
			accepted: "False/Unsupported", resolved: "True/Accepted", ready: "False/Unsupported", text: "generation 3 stays in force",
		},
		"no secret": {
			why:      "its owner has to make it",
			o:        observation{secret: fmt.Errorf("reading Secret a/b: %w: create it", secretwatch.ErrNotFound)},
			accepted: "True/Accepted", resolved: "False/NotFound", ready: "False/NotFound", text: "a/b",
		},
		"not permitted": {
			why:      "a missing permission is not a missing Secret",
			o:        observation{secret: fmt.Errorf("%w: bind it", secretwatch.ErrNotPermitted)},
			accepted: "True/Accepted", resolved: "False/NotPermitted", ready: "False/NotPermitted", text: "bind it",
		},
		"no key": {
			why:      "what is there cannot be used",
			o:        observation{secret: fmt.Errorf("%w: line end", secretwatch.ErrInvalid)},
			accepted: "True/Accepted", resolved: "False/Invalid", ready: "False/Invalid",
		},
		"not read yet": {
			why:      "nobody has to act",
			o:        observation{secret: fmt.Errorf("reading: %w", secretwatch.ErrPending)},
			accepted: "True/Accepted", resolved: "Unknown/Pending", ready: "Unknown/Pending",
		},
		"unknown trouble": {
			why:      "an error that nobody knows is no success",
			o:        observation{secret: errors.New("x")},
			accepted: "True/Accepted", resolved: "Unknown/Pending", ready: "Unknown/Pending",
		},
		"no token yet": {
			why:      "nobody has to act",
			o:        observation{secret: fmt.Errorf("reading: %w", sourcekey.ErrUnminted)},
			accepted: "True/Accepted", resolved: "Unknown/Pending", ready: "Unknown/Pending", text: "about to be minted",
		},
		"refused by the token endpoint": {
			why:      "its owner has to act, and is told where",
			o:        observation{secret: fmt.Errorf("reading: %w", sourcekey.ErrUnminted), trouble: &mint.Failure{Reason: "Invalid", Field: "spec.source.oauth2.scopes", Msg: "correct them"}},
			accepted: "True/Accepted", resolved: "False/Invalid", ready: "False/Invalid", text: "spec.source.oauth2.scopes: correct them; every request is refused",
		},
		"refused, with a token left": {
			why:      "it will be over soon, and until then nothing is refused",
			o:        observation{key: sourcekey.Key{Expires: time.Now()}, trouble: &mint.Failure{Reason: "UpstreamUnreachable", Field: "spec.source.oauth2.tokenURL", Msg: "asked again"}},
			accepted: "True/Accepted", resolved: "False/UpstreamUnreachable", ready: "False/UpstreamUnreachable", text: "asked again; the token before is used until it expires",
		},
		"trouble, and no secret": {
			why:      "what is missing comes first",
			o:        observation{secret: fmt.Errorf("reading Secret a/b: %w: create it", secretwatch.ErrNotFound), trouble: &mint.Failure{Reason: "Invalid"}},
			accepted: "True/Accepted", resolved: "False/NotFound", ready: "False/NotFound", text: "a/b",
		},
		"no keys of ours": {
			why:      "tokens cannot be signed yet",
			o:        observation{keyless: true},
			accepted: "True/Accepted", resolved: "Unknown/Pending", ready: "Unknown/Pending",
		},
	} {
		t.Run(name, func(t *testing.T) {
			up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Generation: 4}}
			up.Spec.Source.SecretRef = &v1alpha1.KeyReference{Name: "b", Key: "c"}
			decide(up, tc.o)
			for kind, want := range map[string]string{"Accepted": tc.accepted, "ResolvedRefs": tc.resolved, "Ready": tc.ready} {
				c := meta.FindStatusCondition(up.Status.Conditions, kind)
				if got := string(c.Status) + "/" + c.Reason; got != want {
					t.Errorf("%s is %s, want %s: %s", kind, got, want, tc.why)
				}
			}
			if c := meta.FindStatusCondition(up.Status.Conditions, "Ready"); !strings.Contains(c.Message, tc.text) {
				t.Errorf("Ready says %q, want it to tell %q: %s", c.Message, tc.text, tc.why)
			}
			if up.Status.ObservedGeneration != 4 {
				t.Errorf("observedGeneration %d, want 4", up.Status.ObservedGeneration)
			}
		})
	}
}

// TestResolvedNeedsEveryPart tells of a part of a key that is missing as of a
// whole one, whatever the source is, and of no source that nobody looked at it.
func TestResolvedNeedsEveryPart(t *testing.T) {
	ref := v1alpha1.KeyReference{Name: "b", Key: "c"}
	missing := fmt.Errorf("reading Secret a/b: %w: create it", secretwatch.ErrNotFound)
	expired := fmt.Errorf("reading Secret a/b: key \"c\": %w: the certificate has expired", secretwatch.ErrInvalid)
	for name, test := range map[string]struct {
		source v1alpha1.Source
		err    error
		want   string
	}{
		"keys":                 {v1alpha1.Source{AWSKeys: &v1alpha1.AWSKeys{AccessKeyIDRef: ref, SecretAccessKeyRef: ref}}, nil, "True/Accepted"},
		"keys, one missing":    {v1alpha1.Source{AWSKeys: &v1alpha1.AWSKeys{AccessKeyIDRef: ref, SecretAccessKeyRef: ref}}, missing, "False/NotFound"},
		"certificate":          {v1alpha1.Source{ClientCertificate: &v1alpha1.ClientCertificate{CertRef: ref, KeyRef: ref}}, nil, "True/Accepted"},
		"certificate, expired": {v1alpha1.Source{ClientCertificate: &v1alpha1.ClientCertificate{CertRef: ref, KeyRef: ref}}, expired, "False/Invalid"},
		"none":                 {v1alpha1.Source{}, nil, "Unknown/Pending"},
	} {
		up := &v1alpha1.UpstreamSecret{}
		up.Spec.Source = test.source
		decide(up, observation{secret: test.err})
		c := meta.FindStatusCondition(up.Status.Conditions, v1alpha1.ConditionResolvedRefs)
		if got := string(c.Status) + "/" + c.Reason; got != test.want || test.err != nil && c.Message != test.err.Error() {
			t.Errorf("%s: %s, %q, want %s", name, got, c.Message, test.want)
		}
	}
}
