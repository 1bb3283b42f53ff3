package identity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// Bounds of what is asked and of what is remembered.
const (
	concurrency = 32
	patience    = 10 * time.Second
	yesLasts    = time.Minute
	noLasts     = 10 * time.Second
	maxAnswers  = 16384
)

// What the API server adds to a token that is bound to a pod (Kubernetes,
// "Managing Service Accounts", bound tokens).
const (
	extraPodName  = "authentication.kubernetes.io/pod-name"
	extraPodUID   = "authentication.kubernetes.io/pod-uid"
	extraNodeName = "authentication.kubernetes.io/node-name"
)

// Identity is the pod that a token is bound to.
type Identity struct {
	Pod            types.NamespacedName
	UID            types.UID
	ServiceAccount string
	Node           string // empty where the API server does not say
	Expires        time.Time
}

// Reviews asks the API server about a token.
type Reviews interface {
	Create(context.Context, *authenticationv1.TokenReview, metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// Reviewer identifies pods. It is safe for concurrent use.
type Reviewer struct {
	reviews Reviews
	issuer  string
	now     func() time.Time
	slots   chan struct{}

	mu      sync.Mutex
	answers map[[sha256.Size]byte]answer
}

// answer is what the API server said of a token.
type answer struct {
	identity Identity
	err      error
	until    time.Time
}

// New returns a Reviewer of tokens by issuer, that of the cluster's service
// accounts. It panics without one: every token would do then.
func New(reviews Reviews, issuer string, now func() time.Time) *Reviewer {
	if issuer == "" {
		panic("identity: no issuer")
	}
	return &Reviewer{
		reviews: reviews, issuer: issuer, now: now,
		slots: make(chan struct{}, concurrency), answers: map[[sha256.Size]byte]answer{},
	}
}

// Identify asks the API server which pod token is bound to. A yes is
// remembered for a minute, a no for ten seconds. The error is [ErrRefused] or
// [ErrUnavailable].
func (r *Reviewer) Identify(ctx context.Context, token string) (Identity, error) {
	expires, err := r.Precheck(token)
	if err != nil {
		return Identity{}, err
	}
	hash := sha256.Sum256([]byte(token))
	if a, ok := r.recall(hash); ok {
		return a.identity, a.err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("%w: too many are being reviewed", ErrUnavailable)
	}
	// The audience is always named: without one the API server would take its own.
	review, err := r.reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{inject.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	id, err := identify(&review.Status)
	id.Expires = expires
	r.remember(hash, id, err)
	return id, err
}

// identify reads an answer. Whatever is missing in it refuses.
func identify(s *authenticationv1.TokenReviewStatus) (Identity, error) {
	switch {
	case !s.Authenticated:
		return Identity{}, fmt.Errorf("%w: the API server does not know it, or its pod is gone", ErrRefused)
	case len(s.Audiences) != 1 || s.Audiences[0] != inject.Audience:
		return Identity{}, fmt.Errorf("%w: the API server does not vouch for its audience", ErrRefused)
	}
	account, isAccount := strings.CutPrefix(s.User.Username, "system:serviceaccount:")
	namespace, name, isPair := strings.Cut(account, ":")
	if !isAccount || !isPair || namespace == "" || name == "" {
		return Identity{}, fmt.Errorf("%w: it is of no service account", ErrRefused)
	}
	pod, uid := only(s.User.Extra[extraPodName]), only(s.User.Extra[extraPodUID])
	if pod == "" || uid == "" {
		return Identity{}, fmt.Errorf("%w: it is not bound to a pod", ErrRefused)
	}
	return Identity{
		Pod: types.NamespacedName{Namespace: namespace, Name: pod}, UID: types.UID(uid),
		ServiceAccount: name, Node: only(s.User.Extra[extraNodeName]),
	}, nil
}

func only(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// Known returns the pod of a token that the API server has vouched for and that
// has not expired, however long ago that was. It is for telling old friends from
// strangers; whether the token is good is for [Reviewer.Identify] to say.
func (r *Reviewer) Known(token string) (types.UID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[sha256.Sum256([]byte(token))]
	return a.identity.UID, ok && a.err == nil && r.now().Before(a.identity.Expires)
}

func (r *Reviewer) recall(hash [sha256.Size]byte) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[hash]
	return a, ok && r.now().Before(a.until)
}

func (r *Reviewer) remember(hash [sha256.Size]byte, id Identity, err error) {
	now := r.now()
	until := now.Add(noLasts)
	if err == nil {
		until = now.Add(yesLasts)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= maxAnswers {
		r.forget(now)
	}
	r.answers[hash] = answer{id, err, until}
}

// forget makes room: for what is over and, under a flood, for every no, and at
// last for everything.
func (r *Reviewer) forget(now time.Time) {
	maps.DeleteFunc(r.answers, func(_ [sha256.Size]byte, a answer) bool {
		if a.err == nil {
			return !now.Before(a.identity.Expires)
		}
		return !now.Before(a.until)
	})
	if len(r.answers) >= maxAnswers {
		maps.DeleteFunc(r.answers, func(_ [sha256.Size]byte, a answer) bool { return a.err != nil })
	}
	if len(r.answers) >= maxAnswers {
		clear(r.answers)
	}
}
