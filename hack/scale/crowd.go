package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

const (
	agents = "agents"
	notes  = "notes"
)

// crowd are the sidecars, and what each decides by.
type crowd struct {
	api      client.Client
	upstream *httptest.Server
	sidecars []*fleet.Sidecar
	running  sync.WaitGroup

	mu     sync.Mutex
	states []state // by number of the sidecar
	heard  int     // states that were put in force, of all
	last   *bundle.State
}

// state is what a judge decides by, and since when.
type state struct {
	generation int64 // 0: nothing is served
	since      time.Time
}

func newCrowd(ctx context.Context, config *rest.Config, n int) (*crowd, error) {
	api, err := client.New(config, client.Options{Scheme: fleet.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	c := &crowd{api: api, states: make([]state, n), sidecars: make([]*fleet.Sidecar, n)}
	c.upstream = httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return c, c.objects(ctx)
}

func (c *crowd) objects(ctx context.Context) error {
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.upstream.Certificate().Raw}))
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: agents, Name: name} }
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: agents}},
		&corev1.ServiceAccount{ObjectMeta: named(fleet.Account)},
		&corev1.Secret{ObjectMeta: named("key"), StringData: map[string]string{"token": "the-key"}},
		&v1alpha1.UpstreamSecret{ObjectMeta: named("upstream"), Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{
				Name: "rest", URL: "https://example.com", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}, TLS: &v1alpha1.TLS{CABundle: ca},
			}},
			Source: v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "key", Key: "token"}},
		}},
		&v1alpha1.ScopedCredential{ObjectMeta: named(notes), Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "upstream"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{fleet.Account}},
			Grants:   []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/notes"}}}},
		}},
	} {
		if err := c.api.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T: %w", o, err)
		}
	}
	return nil
}

// creators is how many pods are made at a time.
const creators = 16

// start makes the pods, and has their sidecars connect to broker.
func (c *crowd) start(ctx context.Context, config *rest.Config, dir, broker string) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	dialer, err := dial.New(dial.Options{ConnectTo: map[string]string{"example.com:443": c.upstream.Listener.Addr().String()}})
	if err != nil {
		return err
	}
	var next atomic.Int64
	failed := make(chan error, creators)
	for range creators {
		go func() {
			var err error
			for i := int(next.Add(1)) - 1; i < len(c.sidecars) && err == nil; i = int(next.Add(1)) - 1 {
				err = c.add(ctx, i, filepath.Join(dir, strconv.Itoa(i)), dialer, clients, broker)
			}
			failed <- err
		}()
	}
	for range creators {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) add(ctx context.Context, i int, dir string, dialer *dial.Dialer, clients kubernetes.Interface, broker string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	s, err := fleet.New(ctx, c.api, agents, notes, i, dir, dialer)
	if err != nil {
		return err
	}
	s.Applied = func(st *bundle.State) { c.applied(i, st) }
	if err := s.RenewIdentity(ctx, clients); err != nil {
		return err
	}
	s.Connect(broker)
	c.sidecars[i] = s
	c.running.Go(func() {
		if err := s.Run(ctx); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
	})
	return nil
}

func (c *crowd) applied(i int, st *bundle.State) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	next := state{since: now}
	if len(st.Credentials) > 0 {
		next.generation, c.last = st.Credentials[0].Generation, st
	}
	c.heard++
	if next.generation != c.states[i].generation {
		c.states[i] = next
	}
}

// size is that of the frame that a sidecar is sent.
func (c *crowd) size() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, err := bundle.EncodeFrame(&bundle.Frame{State: c.last})
	return len(line), err
}

// all tells whether every judge decides by that generation.
func (c *crowd) all(generation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.states {
		if s.generation != generation {
			return false
		}
	}
	return true
}

// times are since when they do, counted from then.
func (c *crowd) times(from time.Time) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	times := make([]time.Duration, 0, len(c.states))
	for _, s := range c.states {
		times = append(times, max(s.since.Sub(from), 0))
	}
	return times
}

// direct reaches sidecars, and no proxy of the environment.
var direct = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}

// ask makes one request as the agent of a pod.
func (c *crowd) ask(ctx context.Context, i int) int {
	s := c.sidecars[i]
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Address+"/notes", http.NoBody)
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+s.Handle)
	response, err := direct.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
