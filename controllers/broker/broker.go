// Package broker hands each sidecar what its pod may have: compiled scope, key,
// token and lease, over one stream that also takes them away again.
//
// A sidecar says who it is by a token that is bound to its pod. What the pod
// gets is judged by the live pod, the newest objects and what was accepted of
// them, and judged anew whenever one of these changes. Withdrawals act at once;
// whatever else is new waits until it is accepted. Every replica serves, and
// replicas do not talk to each other: the API server is the shared truth.
package broker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/denied"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/controllers/tokenkey"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Records tells what of a live object is in force: what was accepted of it, or
// an error that is record.ErrNone where nothing ever was. [record.Store] does.
type Records interface {
	ScopedCredential(context.Context, *v1alpha1.ScopedCredential) (*v1alpha1.ScopedCredential, error)
	UpstreamSecret(context.Context, *v1alpha1.UpstreamSecret) (*v1alpha1.UpstreamSecret, error)
}

// Options are what a Broker is made of. All but Propagated, Denied and Clock are
// required.
type Options struct {
	// Client reads pods that were injected and our kinds from a cache, and
	// writes the status of pods.
	Client client.Client
	// APIReader reads a pod from the API server where the cache has none yet.
	APIReader client.Reader
	Records   Records
	Secrets   *secretwatch.Watcher
	Schemas   *schemas.Watcher
	Keys      *tokenkey.Ring
	Reviewer  *identity.Reviewer
	// Issuer of scoped tokens: "sallyport:" and the UID of kube-system.
	Issuer string
	// Roots returns the authorities of the broker in PEM. See
	// [Broker.RootsChanged].
	Roots func() string
	// Trust returns what a sidecar may be made of, with all authorities that
	// the broker has ever had. An error says that it is not known now.
	Trust func() (inject.Trust, error)
	// Events tells of pods that are not what injection made of them.
	Events events.EventRecorder
	// Certificate is the broker's, for its Service's name.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Address to listen on, as ":9443".
	Address string
	// Propagated is told how long a change took from the moment at which this
	// replica saw it until a sidecar acknowledged it; nil: nobody is.
	Propagated func(time.Duration)
	// Denied is told of requests that sidecars have denied; nil: nobody is.
	Denied func(scope.Reason, uint64)
	// Clock of leases and tokens; nil: the real one.
	Clock clock.Clock
}

// Broker serves the streams of sidecars. It is a Runnable for a manager.
type Broker struct {
	client      client.Client
	apiReader   client.Reader
	records     Records
	secrets     *secretwatch.Watcher
	schemas     *schemas.Watcher
	source      sourcekey.Reader
	keys        *tokenkey.Ring
	reviewer    *identity.Reviewer
	issuer      string
	roots       func() string
	trust       func() (inject.Trust, error)
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	address     string
	clock       clock.Clock
	propagated  func(time.Duration)
	counted     func(scope.Reason, uint64)

	index      *index
	offers     *offers
	conditions *conditions
	denied     *denied.Teller
	documents  documents
	templates  templates
	limits     identity.Limits
	elsewhere  identity.Limits // on Events about addresses
	// frameTimeout bounds the sending of one frame.
	frameTimeout time.Duration

	mu      sync.Mutex
	closing bool
	byPod   map[types.UID]*stream
	byToken map[[sha256.Size]byte]*stream
}

// New returns a Broker. [Broker.Watch] is to be called before it is started.
func New(o Options) (*Broker, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Propagated == nil {
		o.Propagated = func(time.Duration) {}
	}
	if o.Denied == nil {
		o.Denied = func(scope.Reason, uint64) {}
	}
	b := &Broker{
		client: o.Client, apiReader: o.APIReader, records: o.Records, secrets: o.Secrets, schemas: o.Schemas, keys: o.Keys,
		source:   sourcekey.Reader{Secrets: o.Secrets, Namespace: o.Keys.Secret().Namespace, Now: o.Clock.Now},
		reviewer: o.Reviewer, issuer: o.Issuer, roots: o.Roots, trust: o.Trust, certificate: o.Certificate, address: o.Address, clock: o.Clock,
		propagated: o.Propagated, counted: o.Denied,
		index: newIndex(), conditions: newConditions(o.Client, o.APIReader, o.Events),
		denied: denied.New(o.Client, o.Clock.Now),
		limits: identity.Limits{PerSecond: streamsPerSecond, Burst: streamBurst}, elsewhere: identity.Limits{Burst: 1}, frameTimeout: writeTimeout,
		byPod: map[types.UID]*stream{}, byToken: map[[sha256.Size]byte]*stream{},
	}
	b.offers = newOffers(b)
	b.index.unused = b.offers.drop
	b.conditions.busy = b.owes
	return b, nil
}

// check refuses options with a part missing, which the first stream would miss.
func (o *Options) check() error {
	for _, required := range []struct {
		name  string
		given bool
	}{
		{"Client", o.Client != nil}, {"APIReader", o.APIReader != nil}, {"Records", o.Records != nil},
		{"Secrets", o.Secrets != nil}, {"Schemas", o.Schemas != nil}, {"Keys", o.Keys != nil}, {"Reviewer", o.Reviewer != nil},
		{"Issuer", o.Issuer != ""}, {"Roots", o.Roots != nil}, {"Trust", o.Trust != nil}, {"Events", o.Events != nil}, {"Certificate", o.Certificate != nil},
	} {
		if !required.given {
			return fmt.Errorf("making broker: %s is missing", required.name)
		}
	}
	return nil
}

// NeedLeaderElection is false: every replica serves.
func (b *Broker) NeedLeaderElection() bool { return false }

// Start listens and serves until ctx ends.
func (b *Broker) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", b.address)
	if err != nil {
		return fmt.Errorf("listening for sidecars: %w", err)
	}
	return b.Serve(ctx, listener)
}

// Bounds of a connection. A stream has deadlines of its own.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
	maxStreams     = 16 // of one connection: a stream, and acks
	pingEvery      = 15 * time.Second
	shutdownWithin = 5 * time.Second
)

// Serve serves sidecars on listener until ctx ends. Then it asks them to come
// back to another replica.
func (b *Broker) Serve(ctx context.Context, listener net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	server := &http.Server{
		Handler:           b.handle(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingEvery, PingTimeout: pingEvery},
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: b.certificate, NextProtos: []string{"h2"}, ClientAuth: tls.RequestClientCert},
		// What strangers do wrong in a handshake is no news, and not theirs to
		// write into our log.
		ErrorLog: log.New(discard{}, "", 0),
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // where the listener failed: the manager has to hear of it
	running.Go(func() { b.offers.run(ctx) })
	running.Go(func() { b.conditions.run(ctx) })
	running.Go(func() { b.denied.Run(ctx) })
	running.Go(func() {
		<-ctx.Done()
		b.goAway()
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
		defer cancel()
		// A sidecar that does not listen is no failure of ours.
		_ = errors.Join(server.Shutdown(within), server.Close())
	})
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving sidecars: %w", err)
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (b *Broker) now() time.Time { return b.clock.Now() }

// pod returns the live pod that id was made for, or errGone. A cache that
// trails is helped by one live read, and so is one that lost sight of the pod,
// since it selects by our label. The pod is shared with the cache, and is not to
// be changed: to copy one takes longer than to judge it.
func (b *Broker) pod(ctx context.Context, id identity.Identity) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := b.client.Get(ctx, id.Pod, pod, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) || (err == nil && (pod.UID != id.UID || pod.Spec.NodeName != id.Node)) {
		pod = &corev1.Pod{}
		err = b.apiReader.Get(ctx, id.Pod, pod)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("reading pod %s: %w", id.Pod, err)
	case pod.UID != id.UID:
		return nil, errGone
	}
	return pod, nil
}

// open counts s as the stream of its pod. One before it ends.
func (b *Broker) open(s *stream) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	if before := b.byPod[s.id.UID]; before != nil {
		before.finish("the sidecar opened another stream")
	}
	b.byPod[s.id.UID], b.byToken[s.token] = s, s
	return true
}

func (b *Broker) close(s *stream) {
	b.index.keep(s, nil)
	b.conditions.drop(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byPod[s.id.UID] == s {
		delete(b.byPod, s.id.UID)
	}
	if b.byToken[s.token] == s {
		delete(b.byToken, s.token)
	}
}

// owes tells whether sidecars are still to be served, or about to acknowledge.
// What only tells of that waits.
func (b *Broker) owes() bool {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.byPod {
		if s.owed(now) {
			return true
		}
	}
	return false
}

// Leases returns the earliest end of the leases that sidecars which are connected
// here were granted last; zero: none has one.
func (b *Broker) Leases() (first time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.byPod {
		s.mu.Lock()
		first = firstOf(first, s.leased)
		s.mu.Unlock()
	}
	return first
}

// goAway ends all streams, and lets no other begin.
func (b *Broker) goAway() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
	for _, s := range b.byPod {
		s.finish("this replica shuts down")
	}
}
