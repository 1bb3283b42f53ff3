package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// planVersion is the only version of a plan that this code reads.
const planVersion = 1

// Ports in the pod. Listeners of credentials are on loopback, one per
// credential and endpoint, counted from FirstPort, or in proxy mode one for all;
// health and metrics are on the pod's address.
const (
	HealthPort = 14399
	FirstPort  = 14400
)

// Plan is all that admission decided about a pod. It is recorded in
// [AnnotationPlan], so that the sidecar can be rendered again when the objects
// it came from have moved on. It carries no authority. The zero Plan is refused
// wherever one is asked for.
type Plan struct {
	Version    int               `json:"v"`
	Image      string            `json:"image"` // by digest
	Client     string            `json:"client"`
	Listen     []Listener        `json:"listen"`
	Handles    map[string]string `json:"handles"` // by credential
	Env        []string          `json:"env"`     // names of the variables
	Containers []string          `json:"containers"`
	Tunnel     bool              `json:"tunnel,omitempty"` // see Settings
	UID        int64             `json:"uid,omitempty"`    // user and group of the sidecar; 0: the platform's choice
	Roots      string            `json:"roots"`            // hexadecimal SHA-256 of RootsPEM

	// What follows is not recorded: whoever renders knows it.

	Broker    string          `json:"-"` // host:port
	RootsPEM  string          `json:"-"` // the authorities of the broker
	Variables []bundle.EnvVar `json:"-"` // filled in, in the order of Env
	Tolerate  []string        `json:"-"` // see Settings
}

// Listener is a loopback port of the sidecar. In proxy mode all credentials
// have the same, for whatever endpoints they have.
type Listener struct {
	Credential string `json:"c"`
	Endpoint   string `json:"e"` // empty in proxy mode
	Port       int    `json:"port"`
}

// Settings are the operator's part of every plan.
type Settings struct {
	Image    string // of the sidecar, by digest
	Broker   string // host:port
	RootsPEM string // the authorities of the broker; what sidecars trust
	UID      int64  // see Plan
	// Tolerate names powers that containers beside a sidecar may have all the
	// same: hostPath, privileged, ALL, or a capability that would reach the
	// node or the sidecar's memory. None by default.
	Tolerate []string
	// Tunnel lets the sidecars of pods in proxy mode lead to hosts that no
	// credential is for.
	Tunnel bool
}

// Credential is what a plan needs to know of one that a pod asks for.
type Credential struct {
	Name      string
	Handle    string          // see package token
	Endpoints []string        // of its UpstreamSecret
	URLs      []string        // of these; for proxy mode
	Env       []bundle.EnvVar // {token} and {url:ENDPOINT} not filled in; the first of a name counts
}

var byDigest = regexp.MustCompile(`^[a-z0-9][-a-zA-Z0-9._:/]*@sha256:[0-9a-f]{64}$`)

// Validate says what is wrong with s.
func (s Settings) Validate() error {
	if !byDigest.MatchString(s.Image) {
		return fmt.Errorf("image %q: name the sidecar's image by digest, as in registry/sidecar@sha256:<64 hexadecimal digits>", s.Image)
	}
	if err := validBroker(s.Broker); err != nil {
		return err
	}
	if s.RootsPEM == "" {
		return fmt.Errorf("no authorities for the broker: wait until the controller has written them")
	}
	if s.UID < 0 {
		return fmt.Errorf("user %d: set 0 or more", s.UID)
	}
	return validPowers(s.Tolerate)
}

// Trust is what a pod of s, and no other, is made of.
func (s Settings) Trust() Trust {
	return Trust{
		Releases: []Release{{imageDigest.FindString(s.Image)}}, Broker: s.Broker, RootsPEM: s.RootsPEM, Tolerate: s.Tolerate,
		Tunnel: s.Tunnel,
	}
}

// NewPlan decides what pod gets: credentials are those that its annotation
// names, in that order. The warnings are for the pod's author. An error is a
// [*Refusal], or says what is wrong with the settings.
func NewPlan(pod *corev1.Pod, s Settings, credentials []Credential) (Plan, []string, error) {
	asked, err := ParseAnnotations(pod.Annotations)
	if err != nil {
		return Plan{}, nil, err
	}
	if err := s.Validate(); err != nil {
		return Plan{}, nil, fmt.Errorf("reading settings of the sidecar: %w", err)
	}
	if _, _, err := Injected(pod); err != nil {
		return Plan{}, nil, err
	}
	served, err := serve(pod, asked)
	if err != nil {
		return Plan{}, nil, err
	}
	p := Plan{
		Version: planVersion, Image: s.Image, Client: asked.Client, UID: s.UID,
		Tunnel:     s.Tunnel && asked.Client == ClientProxy,
		Containers: served, Handles: map[string]string{}, Env: []string{},
		Broker: s.Broker, RootsPEM: s.RootsPEM, Roots: digest(s.RootsPEM), Tolerate: s.Tolerate,
	}
	for _, c := range credentials {
		p.Handles[c.Name] = c.Handle
		p.listen(c)
	}
	warnings := append(p.doubts(credentials), p.setVariables(credentials)...)
	return p, warnings, p.check(asked)
}

// listen adds the ports of a credential.
func (p *Plan) listen(c Credential) {
	if p.Client == ClientProxy {
		p.Listen = append(p.Listen, Listener{Credential: c.Name, Port: FirstPort})
		return
	}
	for _, endpoint := range c.Endpoints {
		p.Listen = append(p.Listen, Listener{c.Name, endpoint, FirstPort + len(p.Listen)})
	}
}

// lastPort is the highest one that the sidecar takes.
func (p Plan) lastPort() int {
	last := HealthPort
	for _, l := range p.Listen {
		last = max(last, l.Port)
	}
	return last
}

// serve names the containers that are served. On a second pass they are those
// of the first, so that containers which others injected meanwhile, as the
// proxy of a mesh, are left alone.
func serve(pod *corev1.Pod, asked Asked) ([]string, error) {
	all := []string{}
	for _, c := range containers(pod) {
		all = append(all, c.Name)
	}
	for _, name := range asked.Containers {
		if !slices.Contains(all, name) {
			return nil, &Refusal{AnnotationContainers, fmt.Sprintf("names %q, which is no container of the pod", name), "correct the name, or remove it"}
		}
	}
	if asked.Containers != nil {
		return asked.Containers, nil
	}
	earlier, ok := previous(pod)
	gone := func(name string) bool { return !slices.Contains(all, name) }
	if ok && !slices.ContainsFunc(earlier.Containers, gone) {
		return earlier.Containers, nil
	}
	return all, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// check holds p to what asked asks for: a listener and a handle for each
// credential, and for nothing else.
func (p Plan) check(asked Asked) error {
	stale := func(why string) error {
		return &Refusal{AnnotationPlan, why, "remove it, so that it is made anew"}
	}
	if p.Client != asked.Client {
		return stale("leads clients in another way than the pod asks for")
	}
	if len(p.Handles) != len(asked.Credentials) {
		return stale("holds other credentials than the pod asks for")
	}
	for _, name := range asked.Credentials {
		if !token.ValidHandle(p.Handles[name]) {
			return stale(fmt.Sprintf("holds no handle for %q", name))
		}
		if !slices.ContainsFunc(p.Listen, func(l Listener) bool { return l.Credential == name }) {
			return stale(fmt.Sprintf("holds no port for %q", name))
		}
	}
	return p.wellFormed()
}

// wellFormed checks what does not depend on the pod.
func (p Plan) wellFormed() error {
	for _, c := range []struct {
		ok  bool
		why string
	}{
		{p.Version == planVersion, fmt.Sprintf("has version %d", p.Version)},
		{byDigest.MatchString(p.Image), "names no image by digest"},
		{p.Client == ClientBaseURL || p.Client == ClientProxy, "names another client mode"},
		{len(p.Roots) == 2*sha256.Size, "names no authorities"},
		{p.RootsPEM == "" || digest(p.RootsPEM) == p.Roots, "names other authorities"},
		{p.UID >= 0, "has a negative user"},
		{!p.Tunnel || p.Client == ClientProxy, "lets tunnels through without a proxy"},
		{p.Listen != nil && p.Env != nil && p.Containers != nil, "is not complete"},
	} {
		if !c.ok {
			return badPlan(c.why)
		}
	}
	return p.wellBound()
}

// wellBound checks that handles are handles, and that every listener belongs to
// one.
func (p Plan) wellBound() error {
	for name, handle := range p.Handles {
		if !token.ValidHandle(handle) {
			return badPlan(fmt.Sprintf("holds no good handle for %q", shorten(name)))
		}
	}
	for i, l := range p.Listen {
		port := FirstPort + i
		if p.Client == ClientProxy {
			port = FirstPort
		}
		if l.Port != port || (l.Endpoint == "") != (p.Client == ClientProxy) || p.Handles[l.Credential] == "" {
			return badPlan(fmt.Sprintf("holds a listener %d that no credential has", i))
		}
	}
	return nil
}

func badPlan(why string) error {
	return &Refusal{AnnotationPlan, why, "remove it, it is written by Sallyport alone"}
}

// ParsePlan reads a plan as [Plan.String] writes it, and nothing else: whatever
// would be encoded differently is refused.
func ParsePlan(text string) (Plan, error) {
	var p Plan
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.String() != text {
		return Plan{}, badPlan("is not a plan")
	}
	if err := p.wellFormed(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// String returns the canonical encoding, which [ParsePlan] reads.
func (p Plan) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a plan: %v", err)) // it holds strings and numbers alone
	}
	return string(text)
}

// url is what a client is told of a listener.
func (l Listener) url() string { return "http://127.0.0.1:" + strconv.Itoa(l.Port) }
