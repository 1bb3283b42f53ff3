package upstreamsecret

import (
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
)

// observation is all that a decision is made from.
type observation struct {
	refused   *compile.Refused         // why the spec is not accepted; nil: it is
	inForce   *v1alpha1.UpstreamSecret // what is served; nil: nothing
	secret    error                    // of the Secrets that the spec names; nil: its key can be read
	ends      time.Time                // when that key is good no longer; zero: nothing says so
	version   string                   // of the key in use
	keyless   bool                     // the manager has no keys of its own yet
	consumers int32
}

// decide writes what o means into the status of up.
func decide(up *v1alpha1.UpstreamSecret, o observation) {
	up.Status.ObservedGeneration = up.Generation
	up.Status.Consumers = o.consumers
	up.Status.SecretVersion = o.version
	condition.Write(&up.Status.Conditions, up.Generation, []condition.Named{
		{Type: v1alpha1.ConditionAccepted, Outcome: accepted(o)},
		{Type: v1alpha1.ConditionResolvedRefs, Outcome: resolved(up, o)},
	}, nil)
}

func accepted(o observation) condition.Outcome {
	switch {
	case o.refused == nil:
		return condition.Met("everything in the spec can be enforced")
	case o.inForce == nil:
		return condition.Refused(o.refused.Reason, o.refused, 0)
	}
	return condition.Refused(o.refused.Reason, o.refused, o.inForce.Generation)
}

func resolved(up *v1alpha1.UpstreamSecret, o observation) condition.Outcome {
	switch {
	case len(material.References(up)) == 0:
		return condition.Pending("not looked at, since the spec is not accepted")
	case errors.Is(o.secret, secretwatch.ErrNotFound):
		return condition.Failed(v1alpha1.ReasonNotFound, o.secret.Error())
	case errors.Is(o.secret, secretwatch.ErrNotPermitted):
		return condition.Failed(v1alpha1.ReasonNotPermitted, o.secret.Error())
	case errors.Is(o.secret, secretwatch.ErrInvalid):
		return condition.Failed(v1alpha1.ReasonInvalid, o.secret.Error())
	case o.secret != nil:
		return condition.Pending("the Secret is about to be read")
	case o.keyless:
		return condition.Pending("the manager is about to make keys of its own")
	}
	return condition.Met("the key can be read")
}
