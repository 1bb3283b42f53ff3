package scopedcredential

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/broker"
	"github.com/sallyport-dev/sallyport/controllers/condition"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// Bounds of leases, as the broker grants them.
const (
	shortestLease = 30 * time.Second // maxOffline 0s means two heartbeats
	longestLease  = time.Hour        // maxOffline is at most that
	leaseLeeway   = 30 * time.Second // a sidecar's clock may be behind by this
)

// maxPending bounds the list of sidecars that have not acknowledged.
const maxPending = 64

// holder is a running pod that asks for the credential.
type holder struct {
	pod      string
	entitled bool   // it may hold the credential
	enforces int64  // the generation its sidecar acknowledged; 0: none
	settled  bool   // that is what it should enforce
	reason   string // why it is not
}

// holders reads what the broker wrote about the pods that ask, sorted by name.
// wanted is the generation to be enforced by those entitled; 0 is none.
func holders(sc *v1alpha1.ScopedCredential, o observation, wanted int64) []holder {
	var all []holder
	var r reader
	for i := range o.pods {
		pod := &o.pods[i]
		h := r.read(pod, sc.Name)
		h.entitled = entitled(sc, o, pod)
		switch {
		case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
			continue
		case pod.Status.Phase != corev1.PodRunning && h.enforces == 0:
			continue // it is starting
		}
		if h.entitled {
			h.settled = h.settled && h.enforces == wanted
		} else {
			h.settled = h.enforces == 0
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b holder) int { return cmp.Compare(a.pod, b.pod) })
	return all
}

// reader remembers what it read last: most pods of a credential show the same.
type reader struct {
	message     string
	enforcement broker.Enforcement
	readable    bool
}

// read returns what the broker wrote about pod and one of its credentials. It
// is settled where it can be read at all.
func (r *reader) read(pod *corev1.Pod, credential string) holder {
	c, known := enforcement(pod)
	if !r.readable || r.message != c.Message {
		r.message = c.Message
		r.enforcement, r.readable = broker.ParseEnforcement(c.Message)
	}
	h := holder{pod: pod.Name, enforces: r.enforcement.Credentials[credential], settled: known && r.readable, reason: c.Reason}
	if h.reason != v1alpha1.ReasonSidecarRefused && h.reason != v1alpha1.ReasonAttestationFailed {
		h.reason = v1alpha1.ReasonPending
	}
	return h
}

// enforcement is the condition by which the broker tells of a pod's sidecar.
func enforcement(pod *corev1.Pod) (corev1.PodCondition, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == broker.ConditionScopeEnforced {
			return c, true
		}
	}
	return corev1.PodCondition{}, false
}

// entitled tells whether the account of pod is a holder, by the newest spec and
// by what is in force.
func entitled(sc *v1alpha1.ScopedCredential, o observation, pod *corev1.Pod) bool {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	for _, version := range versions(sc, o) {
		if !slices.Contains(version.Spec.Holders.ServiceAccounts, account) {
			return false
		}
	}
	return true
}

func counts(all []holder) *v1alpha1.SidecarCounts {
	c := &v1alpha1.SidecarCounts{}
	for _, h := range all {
		if !h.entitled {
			continue
		}
		c.Total++
		switch {
		case h.settled:
			c.Enforcing++
		case h.enforces != 0:
			c.Outdated++
		}
	}
	c.Summary = fmt.Sprintf("%d/%d", c.Enforcing, c.Total)
	return c
}

// enforced sums the holders up. A pod that holds what it may not hold counts
// too, until it has let go.
func enforced(all []holder) condition.Outcome {
	lagging := lagging(all)
	switch {
	case lagging != nil && lagging.reason == v1alpha1.ReasonPending:
		return condition.Failed(lagging.reason, "pod "+lagging.pod+" has not acknowledged what is in force")
	case lagging != nil:
		return condition.Failed(lagging.reason, "pod "+lagging.pod+" does not enforce what is in force: see its condition "+string(broker.ConditionScopeEnforced))
	case !slices.ContainsFunc(all, func(h holder) bool { return h.entitled }):
		return condition.Outcome{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoSidecars, Message: "no running pod holds the credential"}
	}
	return condition.Met("every sidecar that holds the credential enforces what is in force")
}

// lagging is the first holder that is not settled; one that gives a reason comes
// before one that is late.
func lagging(all []holder) (first *holder) {
	for i := range all {
		h := &all[i]
		switch {
		case h.settled:
		case h.reason != v1alpha1.ReasonPending:
			return h
		case first == nil:
			first = h
		}
	}
	return first
}

// revocation lists the sidecars that may still serve something else than what is
// in force, and until when at the latest. Nobody tells us their leases, so it is
// the longest from the moment at which we first found them with the generation
// that they hold. An entry stays until the sidecar acknowledges or its pod is
// gone; a time that has passed says that it serves no more.
func revocation(sc *v1alpha1.ScopedCredential, o observation, all []holder, now time.Time) *v1alpha1.Revocation {
	type found struct {
		pod        string
		generation int64
	}
	known := map[found]metav1.Time{}
	if before := sc.Status.Revocation; before != nil {
		for _, p := range before.Pending {
			known[found{p.Pod, p.Generation}] = p.LeaseEnds
		}
	}
	var r v1alpha1.Revocation
	for _, h := range all {
		if h.settled || h.enforces == 0 {
			continue
		}
		if r.PendingTotal++; len(r.Pending) == maxPending {
			continue
		}
		ends, ok := known[found{h.pod, h.enforces}]
		if !ok {
			ends = metav1.NewTime(now.Add(lease(sc, o, h.enforces)).UTC().Truncate(time.Second).Add(time.Second))
		}
		r.Pending = append(r.Pending, v1alpha1.PendingPod{Pod: h.pod, Generation: h.enforces, LeaseEnds: ends})
	}
	if r.PendingTotal == 0 {
		return nil
	}
	return &r
}

// lease is the longest that a sidecar with that generation may go on after now.
// What a generation said that we do not have is the most that one may say.
func lease(sc *v1alpha1.ScopedCredential, o observation, generation int64) time.Duration {
	longest := longestLease
	for _, version := range []*v1alpha1.ScopedCredential{sc, o.previous} {
		if version != nil && version.Generation == generation {
			longest = max(compile.MaxOffline(version), shortestLease)
		}
	}
	return longest + leaseLeeway
}
