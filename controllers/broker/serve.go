package broker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/denied"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// writeTimeout bounds the sending of one frame: a sidecar that does not read is
// not waited for.
const writeTimeout = 10 * time.Second

// maxAck bounds an acknowledgement, in bytes.
const maxAck = 256 << 10

// refusal is an answer without a stream (RFC 9457).
type refusal struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason string `json:"reason"` // of the closed set
	Detail string `json:"detail"`
}

func (r *refusal) Error() string { return r.Reason + ": " + r.Detail }

func refuse(status int, reason, detail string) error {
	return &refusal{http.StatusText(status), status, reason, detail}
}

func (b *Broker) handle() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/stream", func(w http.ResponseWriter, r *http.Request) { answer(w, b.serveStream(w, r)) })
	mux.HandleFunc("POST /v1/ack", func(w http.ResponseWriter, r *http.Request) { answer(w, b.serveAck(w, r)) })
	return mux
}

// answer writes a refusal. Other errors came when the stream was open already.
func answer(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(r) // whoever is not there to read it misses nothing
}

// serveStream identifies a sidecar, cheapest checks first, and serves it.
func (b *Broker) serveStream(w http.ResponseWriter, r *http.Request) error {
	id, token, key, err := b.admit(r)
	if err != nil {
		log.FromContext(r.Context()).V(1).Info("refused a stream", "address", r.RemoteAddr, "reason", err.Error())
		return err
	}
	s := newStream(b, id, sha256.Sum256([]byte(token)))
	s.key = key
	if !b.open(s) {
		return refuse(http.StatusServiceUnavailable, v1alpha1.ReasonNotReady, "this replica shuts down")
	}
	defer b.close(s)
	defer s.lookBack(context.WithoutCancel(r.Context()))
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return err
	}
	return s.run(r.Context(), func(line []byte) error { return b.send(w, control, line) })
}

// errLate says that a frame was not taken in time.
var errLate = errors.New("the sidecar does not read")

// send writes a frame, and ends the stream where that is not taken in time. A
// deadline is not set before: to set one and to take it back costs as much as
// the writing.
func (b *Broker) send(w io.Writer, control *http.ResponseController, line []byte) (err error) {
	late := make(chan struct{})
	timer := time.AfterFunc(b.frameTimeout, func() {
		defer close(late)
		_ = control.SetWriteDeadline(time.Unix(0, 0)) // a stream that has ended needs none
	})
	defer func() {
		if !timer.Stop() {
			<-late // it must not reach for what belongs to the handler
			err = errors.Join(errLate, err)
		}
	}()
	if _, err := w.Write(line); err != nil {
		return err
	}
	return control.Flush()
}

// admit tells which pod asks, by which token and with which key, or refuses.
func (b *Broker) admit(r *http.Request) (id identity.Identity, token, key string, err error) {
	if token, err = b.precheck(r); err != nil {
		return id, "", "", err
	}
	if id, err = b.identify(r.Context(), token); err != nil {
		return id, "", "", err
	}
	key, ok := shownKey(r)
	if !ok {
		return id, "", "", refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, "show a certificate of the sidecar's own in the handshake")
	}
	return id, token, key, b.vouch(r.Context(), id, key, r.RemoteAddr)
}

// precheck refuses whatever nobody has to be asked about, so that a flood of
// strangers does not reach the API server.
func (b *Broker) precheck(r *http.Request) (string, error) {
	token, ok := bearer(r)
	if !ok {
		return "", refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, "send one identity token as Authorization: Bearer")
	}
	if _, err := b.reviewer.Precheck(token); err != nil {
		return "", refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, err.Error())
	}
	if bucket, err := b.bucket(r.Context(), r.RemoteAddr, token); err != nil || !b.limits.Allow(bucket) {
		return "", refuse(http.StatusTooManyRequests, v1alpha1.ReasonRateLimited, "too many streams of this pod, or from its address: come back later")
	}
	newest, err := strconv.Atoi(r.Header.Get("Sallyport-Document"))
	if err != nil || newest < bundle.Version {
		return "", refuse(http.StatusBadRequest, v1alpha1.ReasonSidecarRefused,
			fmt.Sprintf("the sidecar does not read documents of version %d: create the pod again", bundle.Version))
	}
	return token, nil
}

// identify asks the API server whose token it is.
func (b *Broker) identify(ctx context.Context, token string) (identity.Identity, error) {
	id, err := b.reviewer.Identify(ctx, token)
	switch {
	case errors.Is(err, identity.ErrRefused):
		return id, refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, err.Error())
	case err != nil:
		return id, refuse(http.StatusServiceUnavailable, v1alpha1.ReasonNotReady, "the API server cannot be asked about the identity token")
	}
	return id, nil
}

// vouch refuses unless the pod of id lives, is what injection made of it, and is
// kept to that key.
func (b *Broker) vouch(ctx context.Context, id identity.Identity, key, remote string) error {
	pod, err := b.pod(ctx, id)
	switch {
	case errors.Is(err, errGone):
		return refuse(http.StatusForbidden, v1alpha1.ReasonRevoked, "there is no such pod, or another one in its place")
	case err != nil:
		return refuse(http.StatusServiceUnavailable, v1alpha1.ReasonNotReady, "the pod cannot be read")
	}
	_, flaw, err := b.attest(pod, id)
	switch {
	case err != nil:
		return refuse(http.StatusServiceUnavailable, v1alpha1.ReasonNotReady, "what a sidecar may be made of is not known yet")
	case flaw != nil:
		b.conditions.want(id.UID, failedAttestation(id, flaw), false)
		return refuse(http.StatusForbidden, v1alpha1.ReasonAttestationFailed, flaw.Error())
	}
	if err := b.vouchForKey(ctx, pod, key); err != nil {
		return err
	}
	b.tellElsewhere(pod, remote)
	return nil
}

// vouchForKey refuses whoever is not the one that the pod is kept to. That the
// pod has a token elsewhere is told by an Event; what it enforces stays as it is.
func (b *Broker) vouchForKey(ctx context.Context, pod *corev1.Pod, key string) error {
	err := b.claim(ctx, pod, key)
	switch {
	case errors.Is(err, errGone), apierrors.IsNotFound(err):
		return refuse(http.StatusForbidden, v1alpha1.ReasonRevoked, "there is no such pod, or another one in its place")
	case errors.Is(err, errClaimed):
		b.conditions.events.Eventf(pod, nil, corev1.EventTypeWarning, v1alpha1.ReasonAttestationFailed, "Attest", "a stream was refused: %v", err)
		return refuse(http.StatusForbidden, v1alpha1.ReasonAttestationFailed, err.Error())
	case err != nil:
		return refuse(http.StatusServiceUnavailable, v1alpha1.ReasonNotReady, "the pod cannot be kept to the sidecar's key now")
	}
	return nil
}

// failedAttestation is what the pod of id shows for a flaw: it enforces nothing.
func failedAttestation(id identity.Identity, flaw error) wantedCondition {
	r := report{attestation: flaw.Error()}
	condition, _ := r.condition()
	return wantedCondition{pod: id.Pod, condition: condition}
}

// bearer returns the one bearer token of r (RFC 6750, section 2.1).
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	return strings.CutPrefix(values[0], "Bearer ")
}

// serveAck takes the acknowledgement of a stream that is open here. It comes
// with the very token and key that the stream was opened with, so nobody is
// asked about it again: who has but the token could say that a sidecar enforces
// what it does not.
func (b *Broker) serveAck(w http.ResponseWriter, r *http.Request) error {
	token, ok := bearer(r)
	if !ok {
		return refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, "send the token of your stream as Authorization: Bearer")
	}
	b.mu.Lock()
	s := b.byToken[sha256.Sum256([]byte(token))]
	b.mu.Unlock()
	if key, _ := shownKey(r); s == nil || key == "" || key != s.key {
		return refuse(http.StatusConflict, v1alpha1.ReasonNotReady, "no stream of this token is open at this replica: open one")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAck))
	if err != nil {
		return refuse(http.StatusRequestEntityTooLarge, v1alpha1.ReasonTooLarge, "the acknowledgement cannot be read")
	}
	a, err := bundle.DecodeAck(body)
	if err != nil {
		return refuse(http.StatusBadRequest, v1alpha1.ReasonMalformed, err.Error())
	}
	s.ack(a)
	for _, seen := range a.Seen {
		if seen.Reason != "" {
			b.counted(seen.Reason, seen.Count)
		}
	}
	b.denied.Tell(denied.Pod{NamespacedName: s.id.Pod, UID: s.id.UID}, a.Seen)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// What one address, or a pod at it, may do. Streams cost the API server a review
// each.
const (
	streamsPerSecond = 1
	streamBurst      = 5
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
	if err != nil || len(pod.Status.PodIPs) == 0 || isIn(pod, host) || !b.elsewhere.Allow(string(pod.UID)+" "+host) {
		return
	}
	b.conditions.events.Eventf(pod, nil, corev1.EventTypeWarning, reasonElsewhere, "Attest",
		"the sidecar connects from %s, which is not among status.podIPs: a mesh or a node may have translated the address", host)
}
