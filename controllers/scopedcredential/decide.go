package scopedcredential

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/controllers/upstreamsecret"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
)

// observation is all that a decision is made from. judge and widened fill in the
// second half.
type observation struct {
	upstream           *v1alpha1.UpstreamSecret // in force; nil: missing, or not shared with us
	upstreamConditions []metav1.Condition
	compiler           compile.Compiler           // with the schemas that upstream names
	previous           *v1alpha1.ScopedCredential // accepted before; nil: none
	pods               []corev1.Pod               // those that ask

	refused error              // why the spec is not accepted; nil: it is
	inForce *bundle.Credential // what is served; nil: nothing
	wider   string             // what the spec allows that the one accepted before did not; empty: nothing
}

// judge compiles sc, and where it is refused what was accepted before: that may
// not fit its UpstreamSecret any more.
func judge(sc *v1alpha1.ScopedCredential, o *observation) {
	doc, err := o.compiler.Credential(sc, o.upstream)
	if err != nil && o.previous != nil {
		o.refused = err
		doc, err = o.compiler.Credential(o.previous, o.upstream)
	} else {
		o.refused = err
	}
	if err == nil {
		o.inForce = &doc
	}
}

// decide writes what o means into the status of sc.
func decide(sc *v1alpha1.ScopedCredential, o observation, now time.Time) {
	s := &sc.Status
	s.ObservedGeneration = sc.Generation
	s.ScopeHash, s.Reach = "", nil
	if o.inForce != nil {
		reach := measure.Reach(o.inForce.Grants)
		s.ScopeHash, s.Reach = o.inForce.ScopeHash, &reach
	}
	withdrawn := withdrawn(sc, o, now)
	wanted := int64(0)
	if o.inForce != nil && withdrawn == nil {
		wanted = o.inForce.Generation
	}
	all := holders(sc, o, wanted)
	s.Sidecars = counts(all)
	s.Revocation = revocation(sc, o, all, now)
	condition.Write(&s.Conditions, sc.Generation, []condition.Named{
		{Type: v1alpha1.ConditionAccepted, Outcome: accepted(sc, o)},
		{Type: v1alpha1.ConditionResolvedRefs, Outcome: resolved(sc, o)},
		{Type: v1alpha1.ConditionEnforced, Outcome: enforced(all)},
	}, withdrawn)
}

// accepted speaks of the spec. Without an UpstreamSecret it cannot be judged.
func accepted(sc *v1alpha1.ScopedCredential, o observation) condition.Outcome {
	var refused *compile.Refused
	switch {
	case o.refused == nil:
		return condition.Met(enforceable(sc, o))
	case o.upstream == nil:
		return condition.Pending("the scope is judged when its UpstreamSecret is there; every request is refused until then")
	case !errors.As(o.refused, &refused):
		return condition.Failed(v1alpha1.ReasonInvalid, o.refused.Error())
	case o.inForce == nil:
		return condition.Refused(refused.Reason, refused, 0)
	}
	return condition.Refused(refused.Reason, refused, o.inForce.Generation)
}

// resolved speaks of what sc names. Of an UpstreamSecret whose key cannot be
// read it says that its owner has to act, and nothing of the Secret.
func resolved(sc *v1alpha1.ScopedCredential, o observation) condition.Outcome {
	name := upstreamsecret.Upstream(sc)
	if o.upstream == nil {
		return condition.Failed(v1alpha1.ReasonNotFound, compile.UpstreamNotFound(name.Namespace, name.Name))
	}
	c := meta.FindStatusCondition(o.upstreamConditions, v1alpha1.ConditionResolvedRefs)
	switch {
	case c == nil || c.Status == metav1.ConditionUnknown:
		return condition.Pending("UpstreamSecret " + name.String() + " is about to be looked at")
	case c.Status != metav1.ConditionTrue:
		return condition.Failed(c.Reason, "the key of UpstreamSecret "+name.String()+" cannot be read: its owner sees why in its condition "+v1alpha1.ConditionResolvedRefs)
	}
	return condition.Met("UpstreamSecret " + name.String() + " is shared with this namespace, and its key can be read")
}

// withdrawn says that sc is intact and serves nobody.
func withdrawn(sc *v1alpha1.ScopedCredential, o observation, now time.Time) *condition.Outcome {
	for _, version := range versions(sc, o) {
		switch {
		case version.Spec.Suspend:
			o := condition.Failed(v1alpha1.ReasonSuspended, "nobody is served: set spec.suspend to false to serve again")
			return &o
		case version.Spec.ExpiresAt != nil && !now.Before(version.Spec.ExpiresAt.Time):
			o := condition.Failed(v1alpha1.ReasonExpired, "nobody is served since spec.expiresAt: set a later one to serve again")
			return &o
		}
	}
	return nil
}

// versions are the newest spec and, where that is refused, what was accepted
// before: an edit that is refused may take away, and may not give back.
func versions(sc *v1alpha1.ScopedCredential, o observation) []*v1alpha1.ScopedCredential {
	if o.refused != nil && o.previous != nil {
		return []*v1alpha1.ScopedCredential{sc, o.previous}
	}
	return []*v1alpha1.ScopedCredential{sc}
}

// untilExpiry is when to look again because of the clock; 0 is never.
func untilExpiry(sc *v1alpha1.ScopedCredential, o observation, now time.Time) time.Duration {
	var soonest time.Duration
	for _, version := range versions(sc, o) {
		if end := version.Spec.ExpiresAt; end != nil && end.After(now) && (soonest == 0 || end.Sub(now) < soonest) {
			soonest = end.Sub(now)
		}
	}
	return soonest
}
