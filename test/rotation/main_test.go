// Package rotation replaces, under load, everything that has an end, and takes
// access away in every way there is: a real API server, the manager's own
// controllers and broker, and the sidecar's own stream client and data plane.
package rotation

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/test/envtest"
	"github.com/sallyport-dev/sallyport/test/fleet"
	"github.com/sallyport-dev/sallyport/test/oauth"
)

var (
	config   *rest.Config
	api      client.Client
	clients  kubernetes.Interface
	brokers  [2]string // addresses of two replicas
	provider *oauth.Provider
	worlds   atomic.Int64
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	c, stop, err := envtest.Start()
	if err != nil {
		return 1, err
	}
	defer func() { _ = stop() }()
	c.QPS, c.Burst = -1, -1
	config = c
	if api, err = client.New(config, client.Options{Scheme: fleet.Scheme()}); err != nil {
		return 1, err
	}
	if clients, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	// Old enough to be rotated today.
	if err := fleet.Prepare(context.Background(), config, time.Now().Add(-300*24*time.Hour)); err != nil {
		return 1, err
	}
	if provider, err = oauth.New(tokenLife); err != nil {
		return 1, err
	}
	defer provider.Close()
	elsewhere := map[string]netip.AddrPort{"example.com:443": netip.MustParseAddrPort(provider.Server.Listener.Addr().String())}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for i := range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 1, err
		}
		brokers[i] = l.Addr().String()
		running.Go(func() {
			if err := (&fleet.Manager{Config: config, Leads: i == 0, Listener: l, ConnectTo: elsewhere}).Run(ctx); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	return m.Run(), nil
}

// world is a namespace with one credential and the sidecar of one pod that
// holds it, in front of an upstream.
type world struct {
	t         *testing.T
	namespace string
	sidecar   *fleet.Sidecar
	key       atomic.Value // of the last request that the upstream saw
	upstream  *httptest.Server
	seen      atomic.Int64        // requests at the upstream
	look      func(answer string) // at every answer that the agent gets; nil: nobody does
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.begin(w.answer, "key-0", v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "key", Key: "token"}})
	return w
}

// begin makes the world, until its credential is served. key is what is in the
// Secret that source names.
func (w *world) begin(upstream http.HandlerFunc, key string, source v1alpha1.Source) {
	t := w.t
	t.Helper()
	w.namespace = fmt.Sprintf("agents-%d", worlds.Add(1))
	w.upstream = httptest.NewTLSServer(upstream)
	t.Cleanup(w.upstream.Close)
	w.objects(key, source)
	dialer, err := dial.New(dial.Options{ConnectTo: map[string]string{"example.com:443": w.upstream.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	w.sidecar, err = fleet.New(t.Context(), api, w.namespace, "notes", int(worlds.Load()), t.TempDir(), dialer)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sidecar.RenewIdentity(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	w.sidecar.Connect(brokers[0])
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.sidecar.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.await("the credential is served", func() bool { return w.get("/notes", w.sidecar.Handle) == http.StatusOK })
}

// objects makes what platform team and author do.
func (w *world) objects(key string, source v1alpha1.Source) {
	w.t.Helper()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.upstream.Certificate().Raw}))
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.namespace, Name: name} }
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}},
		&corev1.ServiceAccount{ObjectMeta: meta(fleet.Account)},
		&corev1.Secret{ObjectMeta: meta("key"), StringData: map[string]string{"token": key}},
		&v1alpha1.UpstreamSecret{ObjectMeta: meta("upstream"), Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{
				Name: "rest", URL: "https://example.com", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}}, TLS: &v1alpha1.TLS{CABundle: ca},
			}},
			Source: source,
		}},
		&v1alpha1.ScopedCredential{ObjectMeta: meta("notes"), Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "upstream"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{fleet.Account}},
			Grants: []v1alpha1.Grant{{Name: "read", HTTP: &v1alpha1.HTTPGrant{
				Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/notes", "/stream"},
			}}},
		}},
	} {
		if err := api.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

// answer is the upstream: /stream never ends by itself.
func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	w.seen.Add(1)
	w.key.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if r.URL.Path != "/stream" {
		return
	}
	for r.Context().Err() == nil {
		if _, err := rw.Write([]byte("data: x\n\n")); err != nil {
			return
		}
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// direct reaches sidecars, and no proxy of the environment.
var direct = &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// get makes a request as the agent does, and returns the status; 0: none came.
func (w *world) get(path, token string) int {
	status, _ := w.fetch(path, token)
	return status
}

// fetch is get with all of the answer.
func (w *world) fetch(path, token string) (status int, answer string) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+w.sidecar.Address+path, http.NoBody)
	if err != nil {
		return 0, ""
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := direct.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := httputil.DumpResponse(response, true)
	if err != nil {
		return 0, ""
	}
	if w.look != nil {
		w.look(string(text))
	}
	return response.StatusCode, string(text)
}

// open opens a stream, and returns a channel that is closed when it ends.
func (w *world) open() <-chan struct{} {
	w.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+w.sidecar.Address+"/stream", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.sidecar.Handle)
	response, err := direct.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewScanner(response.Body)
	if !lines.Scan() {
		w.t.Fatal("the stream brings nothing")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = response.Body.Close() }()
		for lines.Scan() {
		}
	}()
	return ended
}

// load makes requests by handle and by scoped token until stop is called, which
// tells how many failed of how many.
func (w *world) load() (stop func() (failed, total int64)) {
	var failures, all atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				token, err := w.sidecar.Handle, error(nil)
				if n%2 == 0 {
					token, err = w.sidecar.ScopedToken("notes")
				}
				if status := w.get("/notes", token); err != nil || status != http.StatusOK {
					failures.Add(1)
				}
				all.Add(1)
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		running.Wait()
		return failures.Load(), all.Load()
	}
}

func (w *world) await(what string, wanted func() bool) {
	w.t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("never came: %s", what)
		}
	}
}

func (w *world) credential() *v1alpha1.ScopedCredential {
	w.t.Helper()
	sc := &v1alpha1.ScopedCredential{}
	if err := api.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "notes"}, sc); err != nil {
		w.t.Fatal(err)
	}
	return sc
}

// edit changes the credential, however often its status is written meanwhile.
func (w *world) edit(change func(*v1alpha1.ScopedCredentialSpec)) int64 {
	w.t.Helper()
	var sc *v1alpha1.ScopedCredential
	w.await("the edit", func() bool {
		sc = w.credential()
		change(&sc.Spec)
		return api.Update(w.t.Context(), sc) == nil
	})
	return sc.Generation
}

func (w *world) setKey(value string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "key"}, StringData: map[string]string{"token": value}}
	if err := api.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// events are those of the pod with that reason.
func (w *world) events(reason string) (notes []string) {
	w.t.Helper()
	var list eventsv1.EventList
	if err := api.List(w.t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		if e := &list.Items[i]; e.Reason == reason && e.Regarding.Kind == "Pod" && e.Regarding.UID == w.sidecar.Pod.UID {
			notes = append(notes, e.Note)
		}
	}
	return notes
}
