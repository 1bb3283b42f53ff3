// Package stream keeps a sidecar's connection to the broker: one HTTP/2 stream
// that brings states, revocations and heartbeats, and the acknowledgements that
// go back. It decides nothing: what arrives is read strictly and handed on.
//
// A stream that is lost changes nothing by itself; the leases run on and end by
// themselves. What a broker refuses with 403 is withdrawn at once: that is its
// word on the pod.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Times of a connection.
const (
	firstDelay = 200 * time.Millisecond
	maxDelay   = 15 * time.Second
	// silence is how long a stream without any frame is believed in: three
	// heartbeats.
	silence   = 45 * time.Second
	clockSkew = 30 * time.Second
)

// Options say where the broker is and what is done with its word. All but
// Seen, Dial, Store, Log and Now are required. The functions are
// called one at a time, but for CheckTokens.
type Options struct {
	Broker    string // host:port; its certificate must be for host
	TokenFile string // identity token, read again for each connection
	Roots     string // PEM: the authorities of the broker, and no others
	Version   string // of the sidecar, for the broker's log

	Apply  func(*bundle.State) []bundle.ApplyError
	Revoke func(uid string, reason scope.Reason)
	Extend func(leaseEnds time.Time)
	// CheckTokens tells what is wrong with the tokens of a state that Apply was
	// given. It may be called beside all others.
	CheckTokens func(*bundle.State) []bundle.ApplyError
	// Seen counts decisions since it was called before; nil: nothing is told.
	// It is called about once a minute, and never twice at a time.
	Seen func() []bundle.Seen

	// Dial connects to Broker; nil: by the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Store keeps roots and the agent's token files; nil: nothing is kept.
	Store *Store
	Log   *slog.Logger     // nil: nothing is logged
	Now   func() time.Time // nil: time.Now
}

// client is a sidecar's end of the stream.
type client struct {
	Options
	host  string
	roots string
	own   tls.Certificate
	held  map[string]string // namespace/name of what is served, by UID
	acked bundle.Ack        // what is in force
	seen  time.Time         // when Seen was asked last
	// tokens are the agent's.
	tokens *tokens
}

// Run connects, and connects again, until ctx ends. The error is about the
// options alone.
func Run(ctx context.Context, o Options) error {
	c, err := newClient(o)
	if err != nil {
		return err
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		served, after, err := c.connect(ctx)
		if served {
			failures = 0
		}
		c.pause(ctx, max(jitter(failures), rand.N(after+1)), err)
	}
	return nil
}

// pause lets time pass until the next attempt, and says why there has to be
// one.
func (c *client) pause(ctx context.Context, delay time.Duration, why error) {
	if ctx.Err() != nil {
		return
	}
	c.Log.Warn("stream to the broker ended", "error", why, "retryIn", delay.String())
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// complete fills in what may be left out, and refuses where something else is.
func (o *Options) complete() error {
	if o.TokenFile == "" || o.Apply == nil || o.CheckTokens == nil || o.Revoke == nil || o.Extend == nil {
		return errors.New("making stream: an option is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: connectTime}).DialContext
	}
	return nil
}

func newClient(o Options) (*client, error) {
	host, _, err := net.SplitHostPort(o.Broker)
	if err != nil || host == "" {
		return nil, fmt.Errorf("reading address of broker %q: write host:port", o.Broker)
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	own, err := ownKey(o.Store)
	if err != nil {
		return nil, err
	}
	c := &client{Options: o, host: host, roots: o.Roots, own: own, held: map[string]string{}}
	c.tokens = &tokens{store: o.Store, check: o.CheckTokens, log: o.Log}
	if saved := o.Store.roots(); saved != "" {
		// Authorities that came by the stream are newer than those that the pod
		// was created with.
		c.roots = saved
	}
	if _, err := pool(c.roots); err != nil {
		return nil, err
	}
	return c, nil
}

// jitter is a delay before the next attempt, spread over all that it may be, so
// that a broker that comes back is not met by everybody at once.
func jitter(failures int) time.Duration {
	limit := maxDelay
	if failures < 7 {
		limit = min(limit, firstDelay<<failures)
	}
	return rand.N(limit + 1)
}

// handle acts on one frame. after is when to come back, if the broker says so.
func (c *client) handle(f *bundle.Frame, acks *acks) (after time.Duration, err error) {
	switch {
	case f.State != nil:
		return 0, c.apply(f.State, acks)
	case f.Heartbeat != nil:
		c.beat(f.Heartbeat, acks)
		c.count(acks)
	case f.Revoke != nil:
		c.Log.Warn("credential is revoked", "credential", c.held[f.Revoke.UID], "reason", f.Revoke.Reason)
		c.revoke(f.Revoke.UID, f.Revoke.Reason)
		acks.soon(c.acked)
	case f.GoAway != nil:
		return f.GoAway.RetryAfter, fmt.Errorf("the broker says: %s", f.GoAway.Reason)
	}
	return 0, nil
}

// apply puts a state in force and says so. One that comes after its own end is
// refused: it was held up, or the clocks are far apart.
func (c *client) apply(st *bundle.State, acks *acks) error {
	if !c.Now().Round(0).Before(st.LeaseEnds) {
		acks.send(bundle.Ack{Version: bundle.Version, Digest: c.acked.Digest, Errors: []bundle.ApplyError{{Reason: scope.ClockSkew, Detail: "the state came after its lease had ended"}}})
		return errors.New("the state came after its lease had ended: compare the clocks of this node and the broker's")
	}
	first := c.acked.Digest == ""
	if first {
		c.tokens.news(st, c.Now()) // the agent is started as soon as it is in force
	}
	errs := c.Apply(st)
	held := make(map[string]string, len(st.Credentials))
	for i := range st.Credentials {
		held[st.Credentials[i].UID] = st.Credentials[i].Namespace + "/" + st.Credentials[i].Name
	}
	c.held = held
	if err := c.keepRoots(st); err != nil {
		errs = append(errs, bundle.ApplyError{Reason: bundle.SidecarRefused, Detail: err.Error()})
	}
	if !first {
		c.tokens.news(st, c.Now())
	}
	for _, e := range errs {
		c.Log.Error("state cannot be served", "credential", e.Credential, "reason", e.Reason, "detail", e.Detail)
	}
	c.Log.Info("state is in force", "digest", st.Digest, "credentials", len(st.Credentials), "denied", len(st.Denied))
	c.acked = bundle.Ack{Version: bundle.Version, Digest: st.Digest, Applied: true, Errors: errs}
	acks.send(c.acked)
	return nil
}

// keepRoots stores the authorities for the next connection.
func (c *client) keepRoots(st *bundle.State) error {
	if st.Roots == "" || st.Roots == c.roots {
		return nil
	}
	if _, err := pool(st.Roots); err != nil {
		return err
	}
	c.roots = st.Roots
	return c.Store.saveRoots(st.Roots)
}

// settled is a with what is wrong with the tokens, which are given to the agent
// by then.
func (c *client) settled(a bundle.Ack) bundle.Ack {
	if a.Applied {
		a.Errors = append(a.Errors[:len(a.Errors):len(a.Errors)], c.tokens.settle()...)
	}
	return a
}

// beat extends the leases. A heartbeat that comes after its own end extends
// nothing.
func (c *client) beat(h *bundle.Heartbeat, acks *acks) {
	now := c.Now().Round(0)
	if apart := now.Sub(h.Now).Abs(); apart > clockSkew {
		c.Log.Error("clocks are too far apart", "reason", scope.ClockSkew, "apart", apart.String())
		skewed := c.acked
		skewed.Errors = append(skewed.Errors[:len(skewed.Errors):len(skewed.Errors)], bundle.ApplyError{
			Reason: scope.ClockSkew, Detail: fmt.Sprintf("the clock of this node is %s from the broker's: set it right", apart.Round(time.Second)),
		})
		acks.send(skewed)
	}
	if now.Before(h.LeaseEnds) {
		c.Extend(h.LeaseEnds)
	}
}

// seenEvery is how often the broker is told of decisions, at most.
const seenEvery = time.Minute

// count tells of decisions with the newest acknowledgement. One of a newer
// state may take its place before it is sent: then the counts go with that.
func (c *client) count(acks *acks) {
	now := c.Now()
	if c.Seen == nil || c.acked.Digest == "" || now.Sub(c.seen) < seenEvery {
		return
	}
	if seen := c.Seen(); len(seen) > 0 {
		c.seen = now
		acks.tell(c.acked, seen)
	}
}

func (c *client) revoke(uid string, reason scope.Reason) {
	c.Revoke(uid, reason)
	delete(c.held, uid)
}

// refused acts on an answer that is no stream. The broker's word that the pod
// may hold nothing takes everything away.
func (c *client) refused(status int, why string) error {
	if status == http.StatusForbidden {
		for uid := range c.held {
			c.revoke(uid, scope.Revoked)
		}
		return errors.Join(fmt.Errorf("the broker refuses this pod: %s", why), c.tokens.clear())
	}
	return fmt.Errorf("the broker answers %d: %s", status, why)
}
