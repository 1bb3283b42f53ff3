package corpus

import (
	"bufio"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	objects "github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// pod is the sidecar in a network of its own, as it runs in a pod: its broker is
// played by the test, names lead to a public address where the upstream is, and
// the files of a pod are where a kubelet puts them.
type pod struct {
	*instance
	credential bundle.Credential // what the manifest compiles to
	lifetime   time.Duration     // of its tokens
	key        token.Key
	broker     *httptest.Server
	states     chan *bundle.State

	mu   sync.Mutex
	acks []bundle.Ack
}

// What admission would have decided.
const (
	podName, podUID = "corpus-agent", "pod-1"
	listens         = "127.0.0.1:14400"
)

// startPod starts the sidecar for a scope, which has not arrived.
func (s *suite) startPod(t *testing.T, scope string) *pod {
	t.Helper()
	entry := s.corpus.Scopes[scope]
	m := readManifest(t, entry.Manifest)
	p := &pod{credential: compiled(t, m), key: token.GenerateKey(), states: make(chan *bundle.State, 1)}
	p.lifetime = p.credential.MaxOffline // no lease outlives its token, and the manifest sets none
	p.instance = &instance{
		network: newNetwork(t, public), control: s.corpus.find(entry.Control), refusal: entry.Refusal,
		values:  map[string]string{"REAL": m.secret(), "REAL_BASIC": basic(m.secret()), "LISTENER": listens},
		trapped: func() int { return 0 }, address: listens, unserved: true,
	}
	p.serve(t, s, m, &setup{network: p.network, at: []string{public + ":443"}})
	p.names = p.network.nameServer(t, "127.0.0.1:53", always(public))
	p.listen(t)
	p.furnish(t)
	p.launch(t, s)
	return p
}

// compiled is the scope of a manifest, with the key.
func compiled(t *testing.T, m manifest) bundle.Credential {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	m.write(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := objects.Read(t.Context(), file, text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile.Credential(objects.Select[*v1alpha1.ScopedCredential](all)[0], objects.Select[*v1alpha1.UpstreamSecret](all)[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Object, c.Upstream = bundle.Object{UID: "c-1", Generation: 1}, bundle.Object{UID: "u-1", Generation: 1}
	c.Secret, c.SecretVersion = secret.New(m.secret()), "1"
	return c
}

// listen starts the broker, which sends the states that it is given.
func (p *pod) listen(t *testing.T) {
	t.Helper()
	p.broker = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/stream" {
			p.acknowledged(r.Body)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case state := <-p.states:
				line, err := bundle.EncodeFrame(&bundle.Frame{State: state})
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(line)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	_ = p.broker.Listener.Close()
	p.broker.Listener = p.network.listen(t, "127.0.0.1:0")
	p.broker.EnableHTTP2 = true
	p.broker.StartTLS()
	t.Cleanup(p.leave)
}

// leave takes the broker away.
func (p *pod) leave() {
	_ = p.broker.Listener.Close()
	p.broker.CloseClientConnections()
	p.broker.Close()
}

func (p *pod) acknowledged(body io.Reader) {
	text, _ := io.ReadAll(body)
	if ack, err := bundle.DecodeAck(text); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.acks = append(p.acks, *ack)
	}
}

// Where the volumes of a pod are mounted.
const (
	mounts      = "/var/run"
	identity    = mounts + "/secrets/kubernetes.io/serviceaccount/token"
	privateFile = mounts + "/sallyport-private"
	agentFiles  = mounts + "/sallyport"
)

// furnish puts files where a pod has them. Nobody else sees them there.
func (p *pod) furnish(t *testing.T) {
	t.Helper()
	names := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(names, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	p.network.do(func() {
		err = errors.Join(
			unix.Mount(names, "/etc/resolv.conf", "", unix.MS_BIND, ""),
			unix.Mount("tmpfs", mounts, "tmpfs", 0, "mode=0755"),
			os.MkdirAll(filepath.Dir(identity), 0o755), os.Mkdir(privateFile, 0o700), os.Mkdir(agentFiles, 0o755),
			os.WriteFile(identity, []byte("header.claims.signature"), 0o600),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// launch starts the sidecar and waits until it listens.
func (p *pod) launch(t *testing.T, s *suite) {
	t.Helper()
	p.process = &process{directory: t.TempDir(), ended: make(chan struct{})}
	records, err := os.Create(p.process.auditFile())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	handle := token.NewHandle()
	p.values["TOKEN"] = handle
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.broker.Certificate().Raw})
	c := exec.Command(s.sidecar, "--broker="+p.broker.Listener.Addr().String(), "--health=127.0.0.1:0", //nolint:noctx // it is stopped by signal, so that it can say goodbye
		"--listen="+p.credential.Name+"/"+p.credential.Endpoints[0].Name+"="+strings.TrimPrefix(listens, "127.0.0.1:"), "--handle="+p.credential.Name+"="+handle)
	c.Env = []string{
		"POD_NAME=" + podName, "POD_NAMESPACE=" + p.credential.Namespace, "POD_UID=" + podUID,
		"SALLYPORT_ROOTS=" + string(authority), "SSL_CERT_FILE=" + s.authority.file,
	}
	c.Stdout, c.Stderr = records, &p.process.output
	p.process.command = c
	p.process.run(t, p.network)
	if !eventually(10*time.Second, func() bool {
		conn, err := p.network.dial(listens)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil || !p.process.alive()
	}) || !p.process.alive() {
		t.Fatalf("the sidecar does not listen:\n%s", p.process.output.text())
	}
}

// give sends the scope with a token that expires then, waits until it is in
// force, and returns the token as an agent reads it. What the sidecar takes it
// has verified: the token is good at that time.
func (p *pod) give(t *testing.T, expires time.Time) string {
	t.Helper()
	c := p.credential
	issued := expires.Add(-p.lifetime)
	var err error
	c.Token, err = p.key.Mint(token.Claims{
		Issuer: "sallyport:corpus", Subject: "system:serviceaccount:agents:corpus-agent", Audience: token.Audience,
		IssuedAt: issued.Unix(), NotBefore: issued.Add(-token.Leeway).Unix(), Expires: expires.Unix(), ID: expires.String(),
		Pod:        token.Pod{UID: podUID, Name: podName},
		Credential: token.Credential{Name: c.Name, UID: c.UID, Generation: c.Generation}, Scope: c.ScopeHash,
		Upstream: token.Upstream{UID: c.Upstream.UID, SecretVersion: c.SecretVersion},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.LeaseEnds = time.Now().Add(c.MaxOffline).UTC().Truncate(time.Second)
	state := &bundle.State{Version: bundle.Version, LeaseEnds: c.LeaseEnds, TokenKeys: []bundle.TokenKey{p.key.Public()}, Credentials: []bundle.Credential{c}}
	if state.Digest, err = bundle.Digest(state); err != nil {
		t.Fatal(err)
	}
	before := len(p.applied(t))
	p.states <- state
	if !eventually(10*time.Second, func() bool { return len(p.applied(t)) > before }) {
		t.Fatalf("the scope is not in force:\n%s", p.process.output.text())
	}
	var text []byte
	if !eventually(10*time.Second, func() bool {
		p.network.do(func() { text, err = os.ReadFile(filepath.Join(agentFiles, c.Name, "token")) })
		return err == nil && string(text) == c.Token
	}) {
		t.Fatalf("the agent's token file holds %d bytes, %v", len(text), err)
	}
	p.unserved = false
	return c.Token
}

// applied are the acknowledgements of what is in force. A sidecar that takes
// anything exception to fails the test.
func (p *pod) applied(t *testing.T) (all []bundle.Ack) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ack := range p.acks {
		if len(ack.Errors) > 0 {
			t.Fatalf("the sidecar says %+v", ack.Errors)
		}
		if ack.Applied {
			all = append(all, ack)
		}
	}
	return all
}

// soon is when a token expires that is good for seconds: clocks may differ by
// the leeway, which has nearly passed.
func soon() time.Time { return time.Now().Add(10*time.Second - token.Leeway) }

// expiring is how long that may take.
const expiring = 20 * time.Second

// startWithoutScope has a broker that says nothing, then all there is to say.
func startWithoutScope(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	p := s.startPod(t, c.Scope)
	c.Raw, c.Reason = p.control.Raw, "NotReady"
	p.try(t, c)
	if n := p.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the upstream", n)
	}
	p.give(t, time.Now().Add(p.lifetime))
	if err := p.observe(&p.control); err != nil {
		t.Errorf("once the scope is there: %v", err)
	}
}

// stopBroker takes the broker away for longer than the token lives that the
// agent read first. The scope stays in force: who shows a newer one is served.
// With the lease, that ends too: see sidecar/proxy: TestLease.
func stopBroker(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	p := s.startPod(t, c.Scope)
	p.values["OLD_TOKEN"] = p.give(t, soon())
	p.values["TOKEN"] = p.give(t, time.Now().Add(p.lifetime))
	p.leave()
	if !eventually(answerLimit, func() bool { return strings.Contains(p.process.output.text(), "stream to the broker ended") }) {
		t.Fatalf("the sidecar does not miss the broker:\n%s", p.process.output.text())
	}
	c.Raw, c.Reason = strings.ReplaceAll(p.control.Raw, "{{TOKEN}}", "{{OLD_TOKEN}}"), "Unauthenticated"
	p.expire(t, c)
	p.try(t, c) // and the control request behind it, with the newer token
}

// expire waits until the token of a request does. Until then the request passes.
func (p *pod) expire(t *testing.T, c *testCase) {
	t.Helper()
	passing := *c
	passing.Expect, passing.Reason = "allow", ""
	if !eventuallyEvery(100*time.Millisecond, expiring, func() bool {
		e, err := p.send(&passing)
		if err != nil || len(e.answers) == 1 && e.answers[0].status == http.StatusUnauthorized {
			return err == nil
		}
		if err := verdict(&passing, e); err != nil {
			t.Errorf("before the token expires: %v", err)
		}
		return false
	}) {
		t.Errorf("the token is good after %v", expiring)
	}
}

// expireUnderWay begins to send a body, lets the token expire, and sends the
// rest: the request was decided with its head. Another one behind it is refused.
func expireUnderWay(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	p := s.startPod(t, c.Scope)
	p.values["TOKEN"] = p.give(t, soon())
	head := fill(form(len(formBody)), p.values)
	conn := hold(t, p.instance, head+"Expect: 100-continue\r\n\r\n"+formBody[:7])
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("the body is not asked for: %q, %v", line, err)
	}
	_, _ = in.ReadString('\n')
	probe := p.control
	p.expire(t, &probe)
	before, _ := p.process.audit(0)
	p.upstream.begin("answer-to-" + c.ID)
	e := &evidence{sent: []byte(head + "\r\n" + formBody), mark: "answer-to-" + c.ID, values: p.values}
	write(conn, []byte(formBody[7:]+fill(p.control.Raw, p.values)), 0)
	for range 2 {
		a, err := readAnswer(in, http.MethodPost)
		if err != nil {
			t.Fatal(err)
		}
		e.answers = append(e.answers, a)
	}
	e.upstream, e.requests = p.upstream.seen()
	e.audit, e.records = p.process.audit(len(before))
	c.ClientStatus, c.UpstreamHas = []int{http.StatusOK}, []string{formBody}
	if err := verdict(c, e); err != nil {
		t.Error(err)
	}
	if len(e.requests) != 1 || e.answers[1].status != http.StatusUnauthorized {
		t.Errorf("the next request: %s", e)
	}
}
