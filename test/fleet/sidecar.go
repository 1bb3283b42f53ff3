package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/controllers/authority"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/proxy"
	"github.com/sallyport-dev/sallyport/sidecar/stream"
)

// Account is the service account of pods; a namespace needs it.
const Account = "agent"

// Sidecar is one pod's.
type Sidecar struct {
	Pod     *corev1.Pod
	Handle  string // what the agent shows
	Address string // of the listener of its one credential
	// Applied, if set, is called when the judge decides by a state. It is set
	// before Run.
	Applied func(*bundle.State)

	dir    string
	source *net.TCPAddr
	server *proxy.Server
	roots  string

	mu     sync.Mutex
	broker string
	conns  []net.Conn
}

// New creates the object of a pod that holds credential, as admission would
// have made it, and a sidecar whose files are under dir. number tells sidecars
// apart: each has an address of its own, as pods do.
func New(ctx context.Context, api client.Client, namespace, credentialName string, number int, dir string, dialer *dial.Dialer) (*Sidecar, error) {
	roots, err := roots(ctx, api)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{
		Handle: token.NewHandle(), dir: dir, roots: roots,
		source: &net.TCPAddr{IP: net.IPv4(127, 1, byte(number>>8), byte(number))},
	}
	s.Pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s-%04d", credentialName, number),
			Annotations: map[string]string{inject.AnnotationCredentials: credentialName},
		},
		Spec: corev1.PodSpec{ServiceAccountName: Account, NodeName: "nobody", Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
	}
	plan, _, err := inject.NewPlan(s.Pod, settings(roots), []inject.Credential{{Name: credentialName, Handle: s.Handle, Endpoints: []string{"rest"}}})
	if err != nil {
		return nil, fmt.Errorf("planning pod: %w", err)
	}
	if err := inject.Sidecar(s.Pod, plan); err != nil {
		return nil, fmt.Errorf("injecting: %w", err)
	}
	if err := api.Create(ctx, s.Pod); err != nil {
		return nil, fmt.Errorf("creating pod: %w", err)
	}
	s.Pod.Status.Phase = corev1.PodRunning
	if err := api.Status().Update(ctx, s.Pod); err != nil {
		return nil, fmt.Errorf("having the pod run: %w", err)
	}
	return s, s.listen(credentialName, dialer)
}

// listen makes the data plane.
func (s *Sidecar) listen(credentialName string, dialer *dial.Dialer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	name := s.Pod.Namespace + "/" + credentialName
	s.Address = l.Addr().String()
	s.server = proxy.New(proxy.Options{
		Dialer: dialer, Audit: audit.NewLog(io.Discard), Pod: s.Pod.Namespace + "/" + s.Pod.Name, PodUID: string(s.Pod.UID),
		Handles: map[string]credential.Handle{name: credential.HandleOf(s.Handle)},
	})
	s.server.Listen(name, "rest", l)
	return nil
}

// roots are the authorities that pods of today are told to trust.
func roots(ctx context.Context, api client.Client) (string, error) {
	secret := &corev1.Secret{}
	if err := api.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: authority.SecretName}, secret); err != nil {
		return "", fmt.Errorf("reading the authorities: %w", err)
	}
	return string(secret.Data["ca.crt"]), nil
}

// RenewIdentity does what a kubelet does: it puts another token of the pod in
// place of the one before.
func (s *Sidecar) RenewIdentity(ctx context.Context, clients kubernetes.Interface) error {
	got, err := clients.CoreV1().ServiceAccounts(s.Pod.Namespace).CreateToken(ctx, Account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences:      []string{inject.Audience},
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: s.Pod.Name, UID: s.Pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking for an identity token: %w", err)
	}
	next := s.tokenFile() + ".next"
	return errors.Join(os.WriteFile(next, []byte(got.Status.Token), 0o600), os.Rename(next, s.tokenFile()))
}

func (s *Sidecar) tokenFile() string { return filepath.Join(s.dir, "identity") }

// AgentDir holds the files that the agent reads.
func (s *Sidecar) AgentDir() string { return filepath.Join(s.dir, "agent") }

// ScopedToken reads what the agent may show besides its handle.
func (s *Sidecar) ScopedToken(credentialName string) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.AgentDir(), credentialName, "token"))
	return strings.TrimSpace(string(text)), err
}

// Connect says where the broker is from now on. A connection to another place
// is cut.
func (s *Sidecar) Connect(broker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker = broker
	for _, c := range s.conns {
		_ = c.Close() // it may be closed already
	}
	s.conns = nil
}

func (s *Sidecar) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	s.mu.Lock()
	to := s.broker
	s.mu.Unlock()
	c, err := (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: s.source}).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c, nil
}

// Run follows the broker until ctx ends, and then stops serving.
func (s *Sidecar) Run(ctx context.Context) error {
	private, agent := filepath.Join(s.dir, "private"), s.AgentDir()
	if err := errors.Join(os.MkdirAll(private, 0o700), os.MkdirAll(agent, 0o700)); err != nil {
		return fmt.Errorf("making directories: %w", err)
	}
	store, err := stream.OpenStore(private, agent)
	if err != nil {
		return err
	}
	err = stream.Run(ctx, stream.Options{
		Broker: brokerName + ":9443", TokenFile: s.tokenFile(), Roots: s.roots, Version: "fleet",
		Apply: s.apply, CheckTokens: s.server.CheckTokens, Revoke: s.server.Revoke, Extend: s.server.Extend, Seen: s.server.Seen, Store: store, Dial: s.dial,
	})
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, s.server.Shutdown(within), store.Close())
}

func (s *Sidecar) apply(st *bundle.State) []bundle.ApplyError {
	errs := s.server.Apply(st)
	if s.Applied != nil && len(errs) == 0 {
		s.Applied(st)
	}
	return errs
}
