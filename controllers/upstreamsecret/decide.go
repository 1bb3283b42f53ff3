package upstreamsecret

import (
	"errors"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// observation is all that a decision is made from.
type observation struct {
	refused   *compile.Refused         // why the spec is not accepted; nil: it is
	inForce   *v1alpha1.UpstreamSecret // what is served; nil: nothing
	secret    error                    // of the Secrets that the spec names; nil: the key can be read
	key       sourcekey.Key            // that is served
	trouble   *mint.Failure            // why the next token cannot be minted; nil: it was, or is about to be
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
	case len(material.References(up)) == 0 && !mint.Is(&up.Spec.Source):
		return condition.Pending("not looked at, since the spec is not accepted")
	case errors.Is(o.secret, secretwatch.ErrNotFound):
		return condition.Failed(v1alpha1.ReasonNotFound, o.secret.Error())
	case errors.Is(o.secret, secretwatch.ErrNotPermitted):
		return condition.Failed(v1alpha1.ReasonNotPermitted, o.secret.Error())
	case errors.Is(o.secret, secretwatch.ErrInvalid):
		return condition.Failed(v1alpha1.ReasonInvalid, o.secret.Error())
	case o.trouble != nil:
		return unminted(o)
	case errors.Is(o.secret, sourcekey.ErrUnminted):
		return condition.Pending("a token is about to be minted; every request is refused until then")
	case o.secret != nil:
		return condition.Pending("the Secret is about to be read")
	case o.keyless:
		return condition.Pending("the manager is about to make keys of its own")
	}
	return condition.Met("the key can be read")
}

// unminted says why there is no next token, and what that means now.
func unminted(o observation) condition.Outcome {
	if o.secret == nil {
		return condition.Failed(o.trouble.Reason, o.trouble.Error()+"; the token before is used until it expires")
	}
	return condition.Failed(o.trouble.Reason, o.trouble.Error()+"; every request is refused")
}
