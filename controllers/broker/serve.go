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
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
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
	id, token, err := b.admit(r)
	if err != nil {
		log.FromContext(r.Context()).V(1).Info("refused a stream", "address", r.RemoteAddr, "reason", err.Error())
		return err
	}
	s := newStream(b, id, sha256.Sum256([]byte(token)))
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

// send writes a frame. The deadline is taken back once the frame is out: it
// would end the stream even when nothing waits to be written any more.
func (b *Broker) send(w io.Writer, control *http.ResponseController, line []byte) error {
	if err := control.SetWriteDeadline(time.Now().Add(b.frameTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(line); err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	return control.SetWriteDeadline(time.Time{})
}

// admit tells which pod asks and by which token, or refuses.
func (b *Broker) admit(r *http.Request) (identity.Identity, string, error) {
	token, err := b.precheck(r)
	if err != nil {
		return identity.Identity{}, "", err
	}
	id, err := b.identify(r.Context(), token)
	if err != nil {
		return identity.Identity{}, "", err
	}
	return id, token, b.vouch(r.Context(), id)
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
	if !b.limits.allow(r.RemoteAddr) {
		return "", refuse(http.StatusTooManyRequests, v1alpha1.ReasonRateLimited, "too many streams from this address: come back later")
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

// vouch refuses unless the pod of id lives and is what injection made of it.
func (b *Broker) vouch(ctx context.Context, id identity.Identity) error {
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
// with the very token that the stream was opened with, so nobody is asked
// about it again.
func (b *Broker) serveAck(w http.ResponseWriter, r *http.Request) error {
	token, ok := bearer(r)
	if !ok {
		return refuse(http.StatusUnauthorized, v1alpha1.ReasonUnauthenticated, "send the token of your stream as Authorization: Bearer")
	}
	b.mu.Lock()
	s := b.byToken[sha256.Sum256([]byte(token))]
	b.mu.Unlock()
	if s == nil {
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
	b.denied.Tell(denied.Pod{NamespacedName: s.id.Pod, UID: s.id.UID}, a.Seen)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// What one address may do. Streams cost the API server a review each.
const (
	streamsPerSecond = 1
	streamBurst      = 5
	maxAddresses     = 16384
)

// limits bounds the streams that an address may open. It is safe for
// concurrent use. The zero value allows none.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// allow tells whether the peer at remote, host:port, may open a stream now.
func (l *limits) allow(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil || len(l.all) >= maxAddresses {
		// Whoever has that many addresses is not held up by this limit; the
		// memory is bounded all the same.
		l.all = map[string]*rate.Limiter{}
	}
	if l.all[host] == nil {
		l.all[host] = rate.NewLimiter(l.perSecond, l.burst)
	}
	return l.all[host].Allow()
}
