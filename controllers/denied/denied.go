// Package denied tells of denied requests by Events on their pods: one for each
// credential and reason in ten minutes, however many requests there are.
package denied

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Every is how often the same is told again.
const Every = 10 * time.Minute

// Bounds of what waits to be told, of what is remembered, and of one write.
const (
	maxWaiting = 256
	maxTold    = 65536
	patience   = 5 * time.Second
)

// Pod is whose requests were denied.
type Pod struct {
	types.NamespacedName
	UID types.UID
}

// Teller writes the Events. It is safe for concurrent use. Another replica that
// has served the pod before writes the same Events, which the API server takes
// once.
type Teller struct {
	client client.Client
	now    func() time.Time
	queue  chan told

	mu   sync.Mutex
	when map[key]time.Time // of the Event before
}

type key struct {
	pod        types.UID
	credential string
	reason     scope.Reason
}

type told struct {
	key
	pod   Pod
	count uint64
	at    time.Time
}

// New returns a Teller that writes by c. [Teller.Run] is to be called.
func New(c client.Client, now func() time.Time) *Teller {
	return &Teller{client: c, now: now, queue: make(chan told, maxWaiting), when: map[key]time.Time{}}
}

// Tell has Events written of what the sidecar of pod has seen. It does not wait
// for them. What a sidecar says is held to its pod's namespace and to the shape
// of a reason: it stands in a text that people read.
func (t *Teller) Tell(pod Pod, seen []bundle.Seen) {
	for _, s := range seen {
		name, ours := strings.CutPrefix(s.Credential, pod.Namespace+"/")
		if s.Reason == "" || s.Count == 0 || !ours || !word(string(s.Reason)) || !plain(name) {
			continue
		}
		k := key{pod.UID, name, s.Reason}
		if at, due := t.due(k); due {
			select {
			case t.queue <- told{key: k, pod: pod, count: s.Count, at: at}:
			default: // the audit records have it
			}
		}
	}
}

// due tells whether k is news, and remembers it.
func (t *Teller) due(k key) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if before, ok := t.when[k]; ok && now.Before(before.Add(Every)) {
		return now, false
	}
	if len(t.when) >= maxTold {
		for old, at := range t.when {
			if !now.Before(at.Add(Every)) {
				delete(t.when, old)
			}
		}
	}
	if len(t.when) >= maxTold {
		return now, false // a flood: the audit records have it
	}
	t.when[k] = now
	return now, true
}

// Run writes until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case one := <-t.queue:
			within, cancel := context.WithTimeout(ctx, patience)
			err := t.client.Create(within, event(one))
			cancel()
			if err != nil && !apierrors.IsAlreadyExists(err) && ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "telling of denied requests", "pod", one.pod.NamespacedName)
			}
		}
	}
}

// event is named after what it tells and when, so that there is one.
func event(one told) *eventsv1.Event {
	slot := one.at.Truncate(Every).Unix()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%d", one.key.pod, one.credential, one.reason, slot))
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: one.pod.Namespace, Name: "sallyport-denied-" + hex.EncodeToString(sum[:10])},
		EventTime:           metav1.NewMicroTime(one.at),
		ReportingController: "sallyport",
		ReportingInstance:   "sallyport-broker",
		Action:              "Judge",
		Reason:              string(one.reason),
		Type:                corev1.EventTypeWarning,
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: one.pod.Namespace, Name: one.pod.Name, UID: one.pod.UID},
		Note: fmt.Sprintf("requests with the credential %s were denied (%d so far): the log of container sallyport-sidecar has a record of each; more of the same are told in ten minutes",
			one.credential, one.count),
	}
}

// maxWord bounds a reason, as the API server does.
const maxWord = 64

// word tells whether s can be a reason: letters alone.
func word(s string) bool {
	return s != "" && len(s) <= maxWord && strings.IndexFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }) < 0
}

// plain tells whether s can be the name of an object.
func plain(s string) bool {
	return s != "" && len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}) < 0
}
