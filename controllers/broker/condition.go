package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// ConditionScopeEnforced is the condition of a pod with a sidecar. It is True,
// reason [ReasonEnforced], when the sidecar acknowledged the newest state.
// False comes with reason Pending (not acknowledged yet), SidecarRefused (it
// cannot serve the state) or AttestationFailed (the pod is not what injection
// made of it). Its message begins with an [Enforcement]. It is no readiness
// gate.
const ConditionScopeEnforced corev1.PodConditionType = "sallyport.dev/ScopeEnforced"

// ReasonEnforced is the reason of a True ConditionScopeEnforced.
const ReasonEnforced = "Enforced"

// Enforcement says what a sidecar acknowledged. The zero Enforcement says that
// it acknowledged nothing.
type Enforcement struct {
	Digest      string                  // of the state
	Credentials map[string]int64        // the generation that is enforced, by name
	Denied      map[string]scope.Reason // why nothing is served, by name
}

// none stands for an empty list, so that every part of a message is there.
const none = "-"

// String is the text that [ParseEnforcement] reads:
//
//	digest=6ab1 credentials=notes@3 denied=web:Suspended
func (e Enforcement) String() string {
	var credentials, denied []string
	for _, name := range slices.Sorted(maps.Keys(e.Credentials)) {
		credentials = append(credentials, fmt.Sprintf("%s@%d", name, e.Credentials[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Denied)) {
		denied = append(denied, fmt.Sprintf("%s:%s", name, e.Denied[name]))
	}
	return fmt.Sprintf("digest=%s credentials=%s denied=%s", orNone(e.Digest), orNone(strings.Join(credentials, ",")), orNone(strings.Join(denied, ",")))
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// ParseEnforcement reads the message of a [ConditionScopeEnforced]. What it
// cannot read enforces nothing: ok is false then.
func ParseEnforcement(message string) (e Enforcement, ok bool) {
	machine, _, _ := strings.Cut(message, "; ")
	parts := strings.Split(machine, " ")
	if len(parts) != 3 {
		return Enforcement{}, false
	}
	values := make([]string, 3)
	for i, name := range []string{"digest=", "credentials=", "denied="} {
		value, found := strings.CutPrefix(parts[i], name)
		if !found || value == "" {
			return Enforcement{}, false
		}
		values[i] = strings.TrimPrefix(value, none)
	}
	e = Enforcement{Digest: values[0], Credentials: map[string]int64{}, Denied: map[string]scope.Reason{}}
	for name, text := range pairs(values[1], "@") {
		generation, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Enforcement{}, false
		}
		e.Credentials[name] = generation
	}
	for name, reason := range pairs(values[2], ":") {
		e.Denied[name] = scope.Reason(reason)
	}
	return e, e.String() == machine
}

// without returns e without the credentials that a sidecar could not serve.
func (e Enforcement) without(refused []bundle.ApplyError, namespace string) Enforcement {
	e.Credentials = maps.Clone(e.Credentials)
	for _, r := range refused {
		if name, ok := strings.CutPrefix(r.Credential, namespace+"/"); ok {
			delete(e.Credentials, name)
		}
	}
	return e
}

func pairs(list, separator string) map[string]string {
	all := map[string]string{}
	if list == "" {
		return all
	}
	for _, item := range strings.Split(list, ",") {
		name, value, _ := strings.Cut(item, separator)
		all[name] = value
	}
	return all
}

// report is what is known of a sidecar's enforcement.
type report struct {
	sent, acked Enforcement
	text        string // of acked; empty: the zero one
	refusals    []bundle.ApplyError
	attestation string // what is wrong with the pod
}

// maxHuman bounds what a message says to people, in bytes.
const maxHuman = 512

// condition is r as the pod shows it; there is none before a state was sent.
func (r *report) condition() (corev1.PodCondition, bool) {
	c := corev1.PodCondition{Type: ConditionScopeEnforced, Status: corev1.ConditionFalse}
	human := ""
	switch {
	case r.attestation != "":
		c.Reason, human = v1alpha1.ReasonAttestationFailed, r.attestation
	case r.sent.Digest == "":
		return c, false
	case len(r.refusals) > 0:
		c.Reason = v1alpha1.ReasonSidecarRefused
		for i, e := range r.refusals {
			if i > 0 {
				human += ", "
			}
			human += e.Error()
		}
	case r.acked.Digest != r.sent.Digest:
		c.Reason = v1alpha1.ReasonPending
	default:
		c.Status, c.Reason = corev1.ConditionTrue, ReasonEnforced
	}
	if c.Message = r.text; c.Message == "" {
		c.Message = Enforcement{}.String()
	}
	if human != "" {
		c.Message += "; " + strings.ToValidUTF8(human[:min(len(human), maxHuman)], "")
	}
	return c, true
}

// same tells whether r and o are made of the same, which is soon found out.
func (r *report) same(o *report) bool {
	return r.attestation == o.attestation && r.sent.Digest == o.sent.Digest && r.acked.Digest == o.acked.Digest &&
		slices.Equal(r.refusals, o.refusals)
}

// enforcement is the state that was sent last, as conditions name it.
func (s *stream) enforcement() Enforcement {
	e := Enforcement{Digest: s.digest, Credentials: map[string]int64{}, Denied: map[string]scope.Reason{}}
	for name, h := range s.held {
		if h.served() {
			e.Credentials[name] = h.offer.document.Generation
		} else {
			e.Denied[name] = h.reason
		}
	}
	return e
}

// ack takes what the sidecar says of the state that was sent.
func (s *stream) ack(a *bundle.Ack) {
	s.tell(func(r *report) {
		r.refusals = a.Errors
		if !a.Applied && len(a.Errors) == 0 {
			r.refusals = []bundle.ApplyError{{Reason: bundle.SidecarRefused, Detail: "it did not apply the state"}}
		}
		if a.Applied && a.Digest == r.sent.Digest {
			s.pushed = time.Time{}
			r.acked = r.sent.without(a.Errors, s.id.Pod.Namespace)
			s.settle(len(a.Errors) == 0)
			r.text = r.acked.String()
		}
	})
}

// settle tells how long it took until the sidecar enforced what had changed. One
// that could not serve all of it owes it still. It is called under mu.
func (s *stream) settle(whole bool) {
	if whole && !s.owing.IsZero() {
		s.b.propagated(s.b.now().Sub(s.owing))
		s.owing = time.Time{}
	}
}

// tell changes the report, and has the pod's condition follow it. What is told
// last is what is wanted last.
func (s *stream) tell(change func(*report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.report
	change(&s.report)
	if s.report.same(&before) {
		return
	}
	condition, ok := s.report.condition()
	if was, told := before.condition(); ok && (!told || was != condition) {
		s.b.conditions.want(s.id.UID, s.wanted(condition), condition.Status != corev1.ConditionTrue)
	}
}

func (s *stream) wanted(c corev1.PodCondition) wantedCondition {
	return wantedCondition{pod: s.id.Pod, condition: c, sent: s.report.sent, by: s}
}

// repair has the condition written again where pod shows that the sidecar did
// not acknowledge what it did: a replica that has lost it may have said so.
func (s *stream) repair(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	condition, ok := s.report.condition()
	if !ok || condition.Status != corev1.ConditionTrue {
		return
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == ConditionScopeEnforced && c.Reason == v1alpha1.ReasonPending {
			s.b.conditions.want(s.id.UID, s.wanted(condition), false)
		}
	}
}
