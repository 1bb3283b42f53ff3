package broker

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/controllers/identity"
)

// What one address, or a pod at it, may do. Streams cost the API server a review
// each.
const (
	streamsPerSecond = 1
	streamBurst      = 5
	maxBuckets       = 16384
)

// bucket names whose limit a request counts against, of which nobody has been
// asked yet who sent it. A pod is not to be kept waiting by others behind its
// address: a token that was good before counts as its pod's own, and one that
// claims a pod which has the address, or is on the node that does, as that
// pod's at the address. What else comes from an address shares one.
func (b *Broker) bucket(ctx context.Context, remote, token string) (string, error) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "", err
	}
	if uid, ok := b.reviewer.Known(token); ok {
		return "pod " + string(uid), nil
	}
	name, uid := identity.Claimed(token)
	pod := &corev1.Pod{}
	if b.client.Get(ctx, name, pod) == nil && pod.UID == uid && lives(pod, host) {
		return "pod " + string(uid) + " at " + host, nil
	}
	return host, nil
}

// lives tells whether host is an address of pod, or of its node.
func lives(pod *corev1.Pod, host string) bool {
	return isIn(pod, host) || slices.ContainsFunc(pod.Status.HostIPs, func(p corev1.HostIP) bool { return sameAddress(p.IP, host) })
}

// isIn tells whether host is an address of pod.
func isIn(pod *corev1.Pod, host string) bool {
	return slices.ContainsFunc(pod.Status.PodIPs, func(p corev1.PodIP) bool { return sameAddress(p.IP, host) })
}

func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// reasonElsewhere is that of an Event about a sidecar that connects from
// elsewhere.
const reasonElsewhere = "SourceAddress"

// tellElsewhere tells, once for each pod and address, of a sidecar that connects
// from an address that is none of its pod's. Nothing follows from that: meshes
// and nodes rewrite addresses.
func (b *Broker) tellElsewhere(pod *corev1.Pod, remote string) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil || len(pod.Status.PodIPs) == 0 || isIn(pod, host) || !b.elsewhere.allow(string(pod.UID)+" "+host) {
		return
	}
	b.conditions.events.Eventf(pod, nil, corev1.EventTypeWarning, reasonElsewhere, "Attest",
		"the sidecar connects from %s, which is not among status.podIPs: a mesh or a node may have translated the address", host)
}

// limits bounds the streams that a bucket may open. It is safe for
// concurrent use. The zero value allows none.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// allow tells whether one more stream may be opened now.
func (l *limits) allow(bucket string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil || len(l.all) >= maxBuckets {
		// Whoever has that many addresses is not held up by this limit; the
		// memory is bounded all the same.
		l.all = map[string]*rate.Limiter{}
	}
	if l.all[bucket] == nil {
		l.all[bucket] = rate.NewLimiter(l.perSecond, l.burst)
	}
	return l.all[bucket].Allow()
}
