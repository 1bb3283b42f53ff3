package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Times of a stream.
const (
	heartbeatEvery = 15 * time.Second
	// beforeExpiry leaves a sidecar time to come back with its next token.
	beforeExpiry = time.Minute
	// unknownWait is how long a new stream waits for what is not known yet,
	// rather than cut off a sidecar that has been serving all along.
	unknownWait = 5 * time.Second
	// atMostEvery is how often a state is judged again by time alone.
	atMostEvery = time.Second
	comeBack    = 10 * time.Second
)

// errGone says that the pod is not there any more.
var errGone = errors.New("pod is gone")

// sender writes the lines of frames to the sidecar.
type sender func(lines []byte) error

func (send sender) frame(f *bundle.Frame) error {
	line, err := bundle.EncodeFrame(f)
	if err != nil {
		return err
	}
	return send(line)
}

// stream is the connection of one sidecar. Its fields belong to the goroutine
// that runs it, but for those under mu and the channels.
type stream struct {
	b      *Broker
	id     identity.Identity
	token  [sha256.Size]byte // what acks come with
	key    string            // that the sidecar showed
	opened time.Time
	dirty  chan struct{} // has room for one
	end    chan string   // has room for one: why the stream is to end

	attested attested

	names   []string // of the credentials, as last asked for
	held    map[string]holding
	tokens  map[string]*minted // by UID of the credential
	served  map[string]string  // name by UID, in the state that was sent last
	digest  string             // of that state; empty: none was sent
	unknown bool               // something could not be read: ask again soon
	judged  time.Time          // when it was last judged
	beat    time.Time          // when the last frame was sent
	// told is since when each credential has been as the sidecar was told, by name.
	told map[string]time.Time

	mu     sync.Mutex
	report report
	pushed time.Time // when the newest state was sent; zero: it is acknowledged
	owing  time.Time // when the oldest change was seen that is not acknowledged; zero: none was, or is
	leased time.Time // the earliest end of the leases that were sent last; zero: there is none
}

func newStream(b *Broker, id identity.Identity, token [sha256.Size]byte) *stream {
	return &stream{
		b: b, id: id, token: token, opened: b.clock.Now(),
		dirty: make(chan struct{}, 1), end: make(chan string, 1),
		held: map[string]holding{}, tokens: map[string]*minted{}, served: map[string]string{},
		told: map[string]time.Time{},
	}
}

// touch has s judge again.
func (s *stream) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// owed tells whether s has news to be judged, or its sidecar some to
// acknowledge, for which it has had no time yet.
func (s *stream) owed(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dirty) > 0 || now.Before(s.pushed.Add(yieldAtMost))
}

// finish ends s for that reason, unless it is ending already.
func (s *stream) finish(why string) {
	select {
	case s.end <- why:
	default:
	}
}

// run serves s until the sidecar or the pod is gone, or s is to end.
func (s *stream) run(ctx context.Context, send sender) error {
	s.beat = s.b.clock.Now()
	stale := true
	for {
		now := s.b.clock.Now()
		if !now.Before(s.id.Expires.Add(-beforeExpiry)) {
			return s.goAway(send, "the identity token is about to expire")
		}
		if stale || !now.Before(s.due()) {
			if err := s.refresh(ctx, send, now); err != nil {
				return err
			}
		}
		if !now.Before(s.beat.Add(heartbeatEvery)) {
			if err := s.heartbeat(send, now); err != nil {
				return err
			}
		}
		timer := s.b.clock.NewTimer(max(s.next().Sub(s.b.clock.Now()), 0))
		why, dirty, err := s.wait(ctx, timer)
		timer.Stop()
		if err != nil {
			return err
		}
		if why != "" {
			return s.goAway(send, why)
		}
		stale = dirty
	}
}

func (s *stream) wait(ctx context.Context, timer clock.Timer) (why string, dirty bool, err error) {
	select {
	case <-ctx.Done():
		return "", false, ctx.Err()
	case why = <-s.end:
	case <-s.dirty:
		dirty = true
	case <-timer.C():
	}
	return why, dirty, nil
}

// due is when the state is to be judged again though nothing was heard.
func (s *stream) due() time.Time {
	due := s.id.Expires
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	if s.unknown {
		sooner(s.judged)
	}
	for _, h := range s.held {
		if !h.served() {
			continue
		}
		c := &h.offer.document
		sooner(c.ExpiresAt)
		sooner(c.SecretExpires)
		if m := s.tokens[c.UID]; m != nil {
			sooner(m.renewal(c.ExpiresAt))
		}
	}
	if earliest := s.judged.Add(atMostEvery); due.Before(earliest) {
		return earliest
	}
	return due
}

// next is when s has something to do again.
func (s *stream) next() time.Time {
	next := s.due()
	for _, t := range []time.Time{s.beat.Add(heartbeatEvery), s.id.Expires.Add(-beforeExpiry)} {
		if t.Before(next) {
			next = t
		}
	}
	return next
}

// refresh judges what the pod gets and sends what is new of it.
func (s *stream) refresh(ctx context.Context, send sender, now time.Time) error {
	d := s.b.index.dependencies(s)
	d.on(kindRoots, types.NamespacedName{})
	d.on(kindSecret, s.b.keys.Secret())
	err := s.judge(ctx, d, now)
	d.done()
	s.judged = now
	gone := errors.Is(err, errGone)
	switch {
	case gone:
		s.deny(scope.Revoked, "its pod is gone")
	case err != nil:
		log.FromContext(ctx).V(1).Info("judging later", "pod", s.id.Pod, "error", err.Error())
		s.unknown = true
		return nil // what was sent goes on
	case s.unknown && s.digest == "" && now.Before(s.opened.Add(unknownWait)):
		return nil
	}
	if sendErr := s.sendState(send, now); sendErr != nil {
		return sendErr
	}
	if gone {
		return errors.Join(err, s.goAway(send, "the pod is gone"))
	}
	return nil
}

// judge brings held up to date. What cannot be known now stays as it was.
func (s *stream) judge(ctx context.Context, d *dependencies, now time.Time) error {
	s.unknown = false
	d.on(kindPod, s.id.Pod)
	pod, err := s.b.pod(ctx, s.id)
	if err != nil {
		return err
	}
	names, flaw, err := s.b.attestAgain(pod, s.id, &s.attested)
	if err == nil && flaw == nil {
		flaw, err = s.b.stillClaimed(ctx, pod, s.key)
	}
	if err != nil {
		return err
	}
	text := ""
	if flaw != nil {
		text = flaw.Error()
		s.deny(scope.Revoked, "the pod is not what injection made of it: "+text)
	} else {
		s.hold(d, pod, names, now)
	}
	s.tell(func(r *report) { r.attestation = text })
	s.repair(pod)
	return nil
}

// hold judges the credentials that pod asks for.
func (s *stream) hold(d *dependencies, pod *corev1.Pod, names []string, now time.Time) {
	held := make(map[string]holding, len(names))
	for _, name := range names {
		h, err := s.b.judge(d, pod, name)
		if err != nil {
			s.unknown = true
			h = s.still(name, h, now)
		}
		held[name] = h
	}
	s.names, s.held = names, held
}

// still is what a credential is that cannot be judged now: what it was, until
// it expires.
func (s *stream) still(name string, unknown holding, now time.Time) holding {
	h, ok := s.held[name]
	if !ok {
		return unknown
	}
	if !h.served() {
		return h
	}
	if end := h.offer.document.ExpiresAt; !end.IsZero() && !now.Before(end) {
		return holding{name: h.name, reason: scope.Expired, detail: "it has expired"}
	}
	return h
}

// deny withdraws everything.
func (s *stream) deny(reason scope.Reason, detail string) {
	for _, name := range s.names {
		s.held[name] = holding{name: types.NamespacedName{Namespace: s.id.Pod.Namespace, Name: name}, reason: reason, detail: detail}
	}
}

// sendState sends what is held, if it is news. A credential that is withdrawn
// is cut off first, by a frame of its own.
func (s *stream) sendState(send sender, now time.Time) error {
	st, err := s.assemble(now)
	if errors.Is(err, bundle.ErrTooLarge) {
		s.deny(scope.NotReady, "the credentials of this pod are too large together: use fewer or smaller grants")
		st, err = s.assemble(now)
	}
	if err != nil {
		return err
	}
	since := s.news()
	if st.line == nil {
		return nil
	}
	lines, err := s.revocations(st.served)
	if err != nil {
		return err
	}
	s.beat, s.digest, s.served = now, st.digest, st.served
	// The acknowledgement may be there before send returns.
	s.tell(func(r *report) {
		if r.sent.Digest != st.digest { // else it brings a token alone
			s.pushed, s.owing = now, firstOf(s.owing, since)
		}
		r.sent, s.leased = s.enforcement(), firstOf(st.leases...)
	})
	// In one write: each costs both ends as much as a short frame takes to read.
	if err := send(append(lines, st.line...)); err != nil {
		return fmt.Errorf("sending state: %w", err)
	}
	return nil
}

// news is when the first change was seen of what the sidecar is about to be
// told; zero: it is told nothing new. What a stream begins with is no change.
func (s *stream) news() (first time.Time) {
	for _, name := range s.names {
		since := s.held[name].since
		if since.IsZero() {
			continue // not known, or no change of the credential's
		}
		if before, known := s.told[name]; known && since.After(before) {
			first = firstOf(first, since)
		}
		s.told[name] = since
	}
	return first
}

// revocations are the frames that cut off what goes no more.
func (s *stream) revocations(goes map[string]string) (lines []byte, err error) {
	for uid, name := range s.served {
		if _, ok := goes[uid]; ok {
			continue
		}
		h := s.held[name]
		reason := h.reason
		if reason == "" {
			reason = scope.Revoked // it was made anew, or is not asked for any more
		}
		line, err := bundle.EncodeFrame(&bundle.Frame{Revoke: &bundle.Revoke{UID: uid, Reason: reason}})
		if err != nil {
			return nil, fmt.Errorf("revoking: %w", err)
		}
		lines = append(lines, line...)
	}
	return lines, nil
}

func (s *stream) goAway(send sender, why string) error {
	return send.frame(&bundle.Frame{GoAway: &bundle.GoAway{Reason: why, RetryAfter: comeBack}})
}
