package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
)

// attest tells whether the live pod may be served: it runs or is about to, it
// is the one of the token, and it still is what injection makes of it. It
// returns the names of the credentials that were planned for the pod and that
// it asks for, or the flaw that cuts it off. An error says that this cannot be
// known now.
func (b *Broker) attest(pod *corev1.Pod, id identity.Identity) (names []string, flaw, err error) {
	return b.attestAgain(pod, id, &attested{})
}

// attested is what injection made of one version of a pod, by one trust.
type attested struct {
	version string // of the pod; empty: none was looked at
	trust   inject.Trust
	names   []string
	flaw    error
}

// attestAgain is attest for a pod that was looked at before: what that found
// holds while neither the pod nor what is trusted changes.
func (b *Broker) attestAgain(pod *corev1.Pod, id identity.Identity, before *attested) (names []string, flaw, err error) {
	trust, err := b.trust()
	if err != nil {
		return nil, nil, fmt.Errorf("attesting pod %s: %w", id.Pod, err)
	}
	if flaw := running(pod, b.now()); flaw != nil {
		return nil, flaw, nil
	}
	if flaw := bound(pod, id); flaw != nil {
		return nil, flaw, nil
	}
	if before.version == "" || before.version != pod.ResourceVersion || !reflect.DeepEqual(before.trust, trust) {
		*before = attested{version: pod.ResourceVersion, trust: trust}
		before.names, before.flaw = inject.Attest(pod, trust)
	}
	return before.names, before.flaw, nil
}

// lookBack tells of a flaw that the pod of a stream has when that has ended: to
// change a sidecar ends its stream, perhaps sooner than the change was judged,
// and what runs in its place asks for nothing. The pod would go on to show what
// the sidecar enforced that was there before. One that has ended by itself has
// no flaw.
func (s *stream) lookBack(ctx context.Context) {
	s.mu.Lock()
	told := s.report.attestation != ""
	s.mu.Unlock()
	pod, err := s.b.pod(ctx, s.id)
	if told || err != nil || running(pod, s.b.now()) != nil {
		return
	}
	if _, flaw, err := s.b.attestAgain(pod, s.id, &s.attested); err == nil && flaw != nil {
		s.b.conditions.want(s.id.UID, failedAttestation(s.id, flaw), false)
	}
}

// running refuses a pod that has ended. A pod that is being deleted may end its
// work until its grace is over: then its deletion timestamp has passed.
func running(pod *corev1.Pod, now time.Time) error {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return errors.New("it has ended")
	case pod.DeletionTimestamp != nil && now.After(pod.DeletionTimestamp.Time):
		return errors.New("its time to end is over")
	}
	return nil
}

// bound compares the pod with what the API server says of the token.
func bound(pod *corev1.Pod, id identity.Identity) error {
	switch {
	case account(pod) != id.ServiceAccount:
		return fmt.Errorf("spec.serviceAccountName is %s, and the token's %s", account(pod), id.ServiceAccount)
	case pod.Spec.NodeName != id.Node:
		return fmt.Errorf("spec.nodeName is %q, and the token's %q", pod.Spec.NodeName, id.Node)
	}
	return nil
}

// plaintext tells whether the endpoints may be served to pod: a key that is
// sent in clear text could be read, or drawn elsewhere, by whoever has raw
// sockets in the pod's network namespace or chooses its name servers.
func plaintext(endpoints []bundle.Endpoint, pod *corev1.Pod) error {
	if !slices.ContainsFunc(endpoints, func(e bundle.Endpoint) bool { return strings.HasPrefix(e.URL, "http://") }) {
		return nil
	}
	if pod.Spec.DNSPolicy != corev1.DNSClusterFirst || pod.Spec.DNSConfig != nil {
		return errors.New("an http:// endpoint needs the cluster's DNS: set dnsPolicy to ClusterFirst and no dnsConfig")
	}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, corev1.Container(c.EphemeralContainerCommon))
	}
	for _, c := range all {
		if !dropsRaw(c.SecurityContext) {
			return fmt.Errorf("an http:// endpoint needs every container to drop the capability NET_RAW, and %s does not", c.Name)
		}
	}
	return nil
}

// dropsRaw tells whether raw sockets are out of reach.
func dropsRaw(s *corev1.SecurityContext) bool {
	if s == nil || s.Capabilities == nil || (s.Privileged != nil && *s.Privileged) {
		return false
	}
	raw := func(c corev1.Capability) bool {
		name := strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_") // as runtimes read it
		return name == "NET_RAW" || name == "ALL"
	}
	return slices.ContainsFunc(s.Capabilities.Drop, raw) && !slices.ContainsFunc(s.Capabilities.Add, raw)
}

// ConditionSidecar is the condition of a pod whose sidecar has connected. Its
// message is a [claim]: the pod is served to whoever has that key, and to nobody
// else who has a token of it.
const ConditionSidecar corev1.PodConditionType = "sallyport.dev/Sidecar"

// reasonConnected is the one reason of ConditionSidecar.
const reasonConnected = "Connected"

// claimTries bounds how often a claim is tried again that another write of the
// pod was in the way of.
const claimTries = 10

// errClaimed says that somebody else has connected for the pod.
var errClaimed = errors.New("a process with another key has connected for this pod before")

// claim is what a pod is kept to: the key that its sidecar showed first. One
// that lost its key, as when the node was started anew, may show another once
// the kubelet says that it was restarted since.
type claim struct {
	key      string // digest of the public key
	restarts int32  // of the sidecar, at least, when it showed the key
}

func (c claim) String() string {
	return "key=" + c.key + " restarts=" + strconv.FormatInt(int64(c.restarts), 10)
}

// parseClaim reads what String wrote, and nothing else.
func parseClaim(text string) (c claim, ok bool) {
	key, number, _ := strings.Cut(strings.TrimPrefix(text, "key="), " restarts=")
	restarts, err := strconv.ParseInt(number, 10, 32)
	c = claim{key, int32(restarts)}
	return c, err == nil && key != "" && !strings.Contains(key, " ") && c.String() == text
}

// claimOf reads the claim of pod; there may be none. One that cannot be read is
// nobody's.
func claimOf(pod *corev1.Pod) (c claim, held bool) {
	for i := range pod.Status.Conditions {
		if one := &pod.Status.Conditions[i]; one.Type == ConditionSidecar {
			if c, ok := parseClaim(one.Message); ok {
				return c, true
			}
			return claim{restarts: restarts(pod)}, true
		}
	}
	return c, false
}

// restarts is how often the sidecar was restarted, as the kubelet says.
func restarts(pod *corev1.Pod) int32 {
	for i := range pod.Status.InitContainerStatuses {
		if s := &pod.Status.InitContainerStatuses[i]; s.Name == inject.ContainerName {
			return s.RestartCount
		}
	}
	return 0
}

// shownKey is the digest of the key by which whoever sends r has shaken hands.
func shownKey(r *http.Request) (string, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", false
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), true
}

// claim keeps pod to a key, or says that it is kept to another: [errClaimed].
// Replicas agree by the API server, which takes one of two claims.
func (b *Broker) claim(ctx context.Context, pod *corev1.Pod, key string) error {
	for range claimTries {
		held, ok := claimOf(pod)
		now := claim{key, max(restarts(pod), held.restarts)}
		switch {
		case ok && held == now:
			return nil
		case ok && held.key != key && now.restarts == held.restarts:
			return errClaimed
		}
		err := b.writeClaim(ctx, pod, now)
		if !apierrors.IsConflict(err) {
			return err
		}
		live := &corev1.Pod{}
		if err := b.apiReader.Get(ctx, client.ObjectKeyFromObject(pod), live); err != nil {
			return fmt.Errorf("reading pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if live.UID != pod.UID {
			return errGone
		}
		pod = live
	}
	return errors.New("the pod changes too often")
}

// writeClaim fails where pod is not the newest version.
func (b *Broker) writeClaim(ctx context.Context, pod *corev1.Pod, c claim) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"status": map[string]any{"conditions": []corev1.PodCondition{{
			Type: ConditionSidecar, Status: corev1.ConditionTrue, Reason: reasonConnected, Message: c.String(), LastTransitionTime: metav1.NewTime(b.now()),
		}}},
	})
	if err != nil {
		return fmt.Errorf("encoding claim of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return b.client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
}

// stillClaimed tells whether the pod of a stream is kept to its key: a flaw where
// it is kept to another. What the kubelet says of restarts goes into the claim.
func (b *Broker) stillClaimed(ctx context.Context, pod *corev1.Pod, key string) (flaw, err error) {
	if _, ok := claimOf(pod); !ok {
		return nil, nil // the cache trails what was written when the stream was opened
	}
	if err := b.claim(ctx, pod, key); errors.Is(err, errClaimed) {
		return err, nil
	} else if err != nil {
		return nil, err
	}
	return nil, nil
}
