// Package minter mints the tokens of upstreams: in the leader alone, kept in one
// Secret of the manager's namespace for each UpstreamSecret, which every replica
// of the broker reads.
//
// Before a token endpoint is asked, a claim is written with the version that was
// read: of two processes that take themselves for the leader one asks, and
// nothing is asked that could not be stored. What came is written before
// anything else happens to it. Between the endpoint's answer and that write a
// process that is killed loses a rotated refresh token; nothing else does.
package minter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/record"
	"github.com/sallyport-dev/sallyport/controllers/schemas"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/controllers/sourcekey"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// lookAgain bounds the time between two looks at a token, since the clock may
// be set, and events may be lost.
const lookAgain = 30 * time.Second

// Minter mints tokens. It runs in the leader. What it tells of troubles it may
// be asked concurrently.
type Minter struct {
	client  client.Client
	secrets corev1client.SecretsGetter
	watched *secretwatch.Watcher
	schemas *schemas.Watcher
	source  sourcekey.Reader
	inForce *record.Store
	ask     asker
	again   time.Duration
	process string // no other process has this name

	troubles troubles
	unsaved  unsaved
	needs    needs
}

// New returns a Minter for the manager in namespace. c reads our kinds and
// metadata of records from a cache, live from the API server.
func New(c client.Client, live client.Reader, secrets corev1client.SecretsGetter, watched *secretwatch.Watcher, schemata *schemas.Watcher, namespace string) *Minter {
	return &Minter{
		client: c, secrets: secrets, watched: watched, schemas: schemata,
		source:  sourcekey.Reader{Secrets: watched, Namespace: namespace},
		inForce: &record.Store{Meta: c, Bodies: live, Namespace: namespace},
		again:   lookAgain, process: rand.Text(),
	}
}

// ConnectUnvetted sends what is asked of token endpoints at HOST:PORT to an
// address instead, which is not vetted. It is for tests, before m is set up; TLS is
// verified as ever.
func (m *Minter) ConnectUnvetted(elsewhere map[string]netip.AddrPort) { m.ask.elsewhere = elsewhere }

// Source reads what m mints, and what it mints from.
func (m *Minter) Source() sourcekey.Reader { return m.source }

// work is what there is to do about one UpstreamSecret.
type work struct {
	up   *v1alpha1.UpstreamSecret // in force
	job  *mint.Job
	held mint.Held
}

// Reconcile mints the next token of up if it is due. What came before and could
// not be stored is stored first, whatever has become of the spec since.
func (m *Minter) Reconcile(ctx context.Context, up *v1alpha1.UpstreamSecret) (ctrl.Result, error) {
	if err := m.save(ctx, m.slot(up)); err != nil {
		return ctrl.Result{}, err
	}
	w, err := m.gather(ctx, up)
	if err != nil || w == nil {
		return ctrl.Result{}, err
	}
	if due := m.due(w); due.After(m.source.Time()) {
		return m.until(due), nil
	}
	due, err := m.mint(ctx, w)
	if err != nil {
		return ctrl.Result{}, err
	}
	return m.until(due), nil
}

// until has up looked at again when it is due.
func (m *Minter) until(due time.Time) ctrl.Result {
	return ctrl.Result{RequeueAfter: min(max(due.Sub(m.source.Time()), time.Millisecond), m.again)}
}

// due is when the next token is to be minted.
func (m *Minter) due(w *work) time.Time {
	return w.held.Due(w.job, m.troubles.tries(client.ObjectKeyFromObject(w.up)), m.source.Time())
}

// gather reads what is minted from, and what is held; nil: nothing is minted,
// or not yet. Whatever keeps keys from being read is for the conditions, which
// another reconciler writes.
func (m *Minter) gather(ctx context.Context, up *v1alpha1.UpstreamSecret) (*work, error) {
	name := client.ObjectKeyFromObject(up)
	if !up.DeletionTimestamp.IsZero() {
		m.forget(name)
		return nil, nil
	}
	inForce, err := m.accepted(ctx, up)
	if err != nil {
		return nil, err
	}
	m.watched.Refer(owner(name), append(m.source.Names(up), m.source.Names(inForce)...)...)
	m.schemas.Refer(owner(name), schemas.Names(inForce)...)
	job := m.job(inForce)
	if job == nil {
		m.troubles.end(name)
		return nil, nil
	}
	if err := m.narrow(ctx, inForce, job); err != nil {
		return nil, err
	}
	held, err := m.source.Held(inForce)
	if err != nil {
		return nil, nil //nolint:nilerr // not read yet; its arrival wakes us
	}
	return &work{up: inForce, job: job, held: held}, nil
}

// accepted is what is in force of up; nil: nothing.
func (m *Minter) accepted(ctx context.Context, up *v1alpha1.UpstreamSecret) (*v1alpha1.UpstreamSecret, error) {
	inForce, err := m.inForce.UpstreamSecret(ctx, up)
	switch {
	case errors.Is(err, record.ErrNone), errors.Is(err, record.ErrInvalid):
		return nil, nil // nothing was accepted, or by another release
	case err != nil:
		return nil, err
	}
	return inForce, nil
}

// job is what is minted for up; nil: nothing can be, or not yet. What another
// release accepted may be more than this one enforces, and a schema may have
// gone; a key that cannot be read is told in ResolvedRefs. A change of a Secret
// or a schema wakes us.
func (m *Minter) job(up *v1alpha1.UpstreamSecret) *mint.Job {
	if up == nil || !mint.Is(&up.Spec.Source) {
		return nil
	}
	if c, _, err := m.schemas.For(up); err != nil || c.Upstream(up) != nil {
		return nil
	}
	job, err := m.source.Job(up)
	if err != nil || job.Check() != nil {
		return nil
	}
	return job
}

// mint asks for the next token and stores what came. It returns when to look
// again.
func (m *Minter) mint(ctx context.Context, w *work) (time.Time, error) {
	s := m.slot(w.up)
	held, err := s.read(ctx)
	if err != nil {
		return time.Time{}, err
	}
	w.held = held // newer than what was watched, perhaps
	if due := m.due(w); due.After(m.source.Time()) {
		return due, nil
	}
	if until := s.claimed().Until(m.process, m.source.Time()); !until.IsZero() {
		return until, nil
	}
	if err := s.claim(ctx, mint.Claim{Process: m.process, At: m.source.Time()}); err != nil {
		return time.Time{}, err
	}
	return m.source.Time(), m.askAndStore(ctx, w, s)
}

// askAndStore is not interrupted once it has begun: whoever has sent a refresh
// token needs the answer. A manager that is told to end waits for it.
func (m *Minter) askAndStore(ctx context.Context, w *work, s *slot) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout+storeTimeout)
	defer cancel()
	name, asked := client.ObjectKeyFromObject(w.up), m.source.Time()
	answer, err := m.ask.token(ctx, w, asked)
	if !answer.Token.IsZero() || !answer.Refresh.IsZero() {
		m.unsaved.put(w.up, w.held.Take(w.job, answer, asked))
		if err := m.save(ctx, s); err != nil {
			return err // it is held, and stored before anything is asked again
		}
	}
	var f *mint.Failure
	switch {
	case err == nil:
		m.troubles.success(name, w.job.Want(), m.source.Time())
		log.FromContext(ctx).V(1).Info("minted a token")
		return nil
	case errors.As(err, &f):
		m.troubles.failure(name, w.job.Want(), f, m.source.Time())
		return nil // its turn comes when it is due again
	}
	return fmt.Errorf("minting for UpstreamSecret %s: %w", name, err)
}

func (m *Minter) slot(up *v1alpha1.UpstreamSecret) *slot {
	return &slot{secrets: m.secrets.Secrets(m.source.Namespace), up: up, name: m.source.Stored(up)}
}

// save stores what came and is not stored yet, if anything.
func (m *Minter) save(ctx context.Context, s *slot) error {
	held, ok := m.unsaved.get(s.up)
	if !ok {
		return nil
	}
	err := s.store(ctx, &held, m.process)
	if err == nil || errors.Is(err, errClaimLost) { // another one leads, and has asked since
		m.unsaved.drop(client.ObjectKeyFromObject(s.up))
	}
	return err
}

// forget ends what is known of an UpstreamSecret that is gone.
func (m *Minter) forget(name types.NamespacedName) {
	m.watched.Refer(owner(name))
	m.schemas.Refer(owner(name))
	m.troubles.end(name)
	m.unsaved.drop(name)
}

func owner(name types.NamespacedName) string { return "minter/" + name.String() }
