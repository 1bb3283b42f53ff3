// Package corpus runs requests that try to leave a scope, and controls that
// must pass, against the built sallyport binary as a black box. It knows the
// binary by its manifests, its ready file and its audit file alone; a case is
// decided by the bytes that reached the upstream, the client, the logs and the
// audit file.
package corpus

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCorpus runs every case of the file. One that this runner cannot run fails.
func TestCorpus(t *testing.T) {
	f, err := readCorpus("bypass.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{corpus: f, binary: build(t, "sallyport"), sidecar: build(t, "sidecar"), authority: newAuthority(t)}
	t.Run("scopes", func(t *testing.T) {
		for scope := range f.Scopes {
			chosen := s.choose(scope)
			t.Run(scope, func(t *testing.T) {
				t.Parallel()
				s.runScope(t, scope, chosen)
			})
			t.Run(scope+" mutated", func(t *testing.T) {
				t.Parallel()
				s.runMutated(t, scope, chosen)
			})
		}
	})
	notRun := len(f.Cases) - s.ran
	t.Logf("%d cases, %d passed, %d not run", len(f.Cases), s.passed, notRun)
	if notRun != 0 || s.ran == 0 {
		t.Errorf("%d of %d cases were not run", notRun, len(f.Cases))
	}
}

// TestUnknownCases holds the runner to what it says: a case that it does not
// know is told by name, and none that it knows is.
func TestUnknownCases(t *testing.T) {
	request := testCase{Raw: "GET / HTTP/1.1\r\n\r\n"}
	const known = "the first answer is public, the second is 10.0.0.5, TTL 0"
	for name, test := range map[string]struct {
		why    string
		change func(*testCase)
		says   string
	}{
		"a request":         {"the plain case", func(*testCase) {}, ""},
		"a procedure":       {"it is one of ours", func(c *testCase) { c.Raw, c.Needs, c.Procedure = "", "routed-network", known }, ""},
		"another procedure": {"nobody wrote it", func(c *testCase) { c.Raw, c.Procedure = "", "wait for the moon" }, "the moon"},
		"other words":       {"what was written may do something else", func(c *testCase) { c.Raw, c.Needs, c.Procedure = "", "routed-network", known+"!" }, "not known"},
		"another need":      {"it would run without it", func(c *testCase) { c.Raw, c.Needs, c.Procedure = "", "moon", known }, "moon"},
		"a need alone":      {"it would run without it", func(c *testCase) { c.Needs = "routed-network" }, "routed-network"},
		"both":              {"one of them would not be sent", func(c *testCase) { c.Needs, c.Procedure = "routed-network", known }, "both"},
		"nothing":           {"there is nothing to send", func(c *testCase) { c.Raw = "" }, "neither"},
		"another transport": {"it would be sent another way", func(c *testCase) { c.Transport = "h3" }, "h3"},
		"h2 without a list": {"it would be sent another way", func(c *testCase) { c.Transport = "h2" }, "h2"},
	} {
		c := request
		test.change(&c)
		if got := c.unknown(); (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%s: %s: told %q, want %q in it", name, test.why, got, test.says)
		}
	}
}

// suite is what the scopes share.
type suite struct {
	corpus          *corpusFile
	binary, sidecar string
	authority       *authority

	mu          sync.Mutex
	ran, passed int
}

func (s *suite) choose(scope string) []testCase {
	return slices.DeleteFunc(slices.Clone(s.corpus.Cases), func(c testCase) bool { return c.Scope != scope })
}

func (s *suite) runScope(t *testing.T, scope string, chosen []testCase) {
	var shared *instance
	for _, c := range chosen {
		t.Run(c.ID, func(st *testing.T) {
			if what := c.unknown(); what != "" {
				st.Fatalf("this runner cannot run it: %s", what)
			}
			defer s.count(st)
			if c.Procedure != "" {
				procedures[c.Procedure].run(st, s, &c)
				return
			}
			i := shared
			if c.Setup != nil {
				i = s.start(st, scope, c.Setup)
			} else if i == nil || !i.process.alive() {
				shared = s.start(t, scope, &setup{})
				i = shared
			}
			if !i.try(st, &c) {
				st.Errorf("%s (%s)", c.Title, c.Why)
			}
		})
	}
}

func (s *suite) count(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran++
	if !t.Failed() {
		s.passed++
	}
}

// instance is a process with the upstream of one scope.
type instance struct {
	process  *process
	network  *network // nil: the machine's own
	upstream *upstream
	names    *nameServer // nil: no name is looked up
	trapped  func() int
	control  testCase
	address  string
	refusal  string
	values   map[string]string
	logged   int           // bytes of the logs that were looked at
	refused  bool          // the manifest was, and there is no process
	unserved bool          // the control request is refused, too
	blind    bool          // there is no audit file
	event    func()        // what happens before the case
	ends     bool          // the event takes the credential away
	within   time.Duration // how long the event may take
	beside   *instance     // another credential of the process; nil: there is none
}

func (s *suite) start(t *testing.T, scope string, how *setup) *instance {
	t.Helper()
	entry := s.corpus.Scopes[scope]
	m := readManifest(t, entry.Manifest)
	i := &instance{
		network: how.network, unserved: how.unserved(), blind: how.Unrecordable,
		control: s.corpus.find(entry.Control),
		refusal: entry.Refusal,
		values:  map[string]string{"REAL": m.secret(), "REAL_PCT": url.QueryEscape(m.secret()), "REAL_BASIC": basic(m.secret())},
	}
	i.serve(t, s, m, how)
	trapAddress, trapped := trap(t)
	i.trapped, i.values["TRAP"] = trapped, trapAddress
	_, i.values["TRAP_PORT"], _ = net.SplitHostPort(trapAddress)
	if how.UpstreamURL != "" {
		m.lead(fill(how.UpstreamURL, i.values))
	}
	if how.change != nil {
		how.change(m)
	}
	file := filepath.Join(t.TempDir(), entry.Manifest)
	l := launch{network: how.network, binary: s.binary, arguments: append([]string{"-f", file, "--upstream-ca", s.authority.file}, i.way(t, m, how)...)}
	for _, other := range how.Also {
		l.arguments = append(l.arguments, i.also(t, s.corpus.Scopes[other].Manifest)...)
	}
	if how.beside != "" {
		l.arguments = append(l.arguments, i.accompany(t, s, how.beside)...)
	}
	for name, value := range how.Environment {
		l.environment = append(l.environment, name+"="+fill(value, i.values))
	}
	if how.Unrecordable {
		l.audit = "/dev/full"
	}
	l.arguments = append(l.arguments, i.plan(t, m, file, how)...)
	m.write(t, file)
	i.process = launchProcess(t, l)
	if ready := i.process.ready(t); !ready && how.MayNotStart {
		i.refused = true
		return i
	} else if !ready {
		t.Fatalf("the process did not become ready:\n%s", i.process.output.text())
	}
	i.learn(t, m.credential(), how.Also)
	if b := i.beside; b != nil {
		b.process = i.process
		b.learn(t, strings.ToLower(how.beside), nil)
	}
	if entry.Session {
		i.openSessions(t, startProcess(t, l), m.credential())
	}
	return i
}

// accompany prepares another scope of the same process.
func (i *instance) accompany(t *testing.T, s *suite, scope string) []string {
	t.Helper()
	entry := s.corpus.Scopes[scope]
	m := readManifest(t, entry.Manifest)
	i.beside = &instance{
		control: s.corpus.find(entry.Control), refusal: entry.Refusal, trapped: i.trapped,
		values: map[string]string{"REAL": m.secret(), "REAL_BASIC": basic(m.secret())},
	}
	i.beside.serve(t, s, m, &setup{})
	file := filepath.Join(t.TempDir(), entry.Manifest)
	m.write(t, file)
	return append([]string{"-f", file}, i.beside.way(t, m, &setup{})...)
}

// serve starts the upstream.
func (i *instance) serve(t *testing.T, s *suite, m manifest, how *setup) {
	t.Helper()
	host, _ := m.upstream()
	if how.Certificate != "" {
		host = how.Certificate
	}
	var listeners []net.Listener
	for _, address := range how.at {
		listeners = append(listeners, how.network.listen(t, address))
	}
	i.upstream = startUpstream(t, s.authority.issue(t, host), listeners...)
	_, i.values["UPSTREAM_PORT"], _ = net.SplitHostPort(i.upstream.address())
}

// way is how the process gets to the upstream: it is told, or asks the name
// server.
func (i *instance) way(t *testing.T, m manifest, how *setup) []string {
	t.Helper()
	if how.answers == nil && how.Resolve != nil {
		how.answers = always(how.Resolve...)
	}
	if how.answers != nil {
		i.names = how.network.nameServer(t, "127.0.0.1:0", how.answers)
		return []string{"--resolver", i.names.address}
	}
	if how.ConnectTo != nil && !*how.ConnectTo {
		return nil
	}
	_, hostPort := m.upstream()
	return []string{"--connect-to", hostPort + "=" + i.upstream.address()}
}

// plan prepares what happens before the case.
func (i *instance) plan(t *testing.T, m manifest, file string, how *setup) (arguments []string) {
	t.Helper()
	if how.ExpiresIn > 0 {
		i.ends, i.within = true, time.Duration(how.ExpiresIn)*time.Second+3*time.Second
		m.expire(time.Now().Truncate(time.Second).Add(time.Duration(how.ExpiresIn) * time.Second))
	}
	if how.Reload == nil {
		return nil
	}
	i.ends, i.within = how.Reload.Without != "", 3*time.Second
	i.event = func() {
		for from, to := range how.Reload.Values {
			if m.replace(from, to) == 0 {
				t.Errorf("the manifest does not hold %q", from)
			}
		}
		m.without(how.Reload.Without).write(t, file)
	}
	return []string{"--watch"}
}

// also loads another manifest, whose upstream is the trap.
func (i *instance) also(t *testing.T, manifestFile string) []string {
	m := readManifest(t, manifestFile)
	_, hostPort := m.upstream()
	file := filepath.Join(t.TempDir(), manifestFile)
	m.write(t, file)
	return []string{"-f", file, "--connect-to", hostPort + "=" + i.values["TRAP"]}
}

// learn reads addresses and tokens out of the ready file.
func (i *instance) learn(t *testing.T, credential string, also []string) {
	t.Helper()
	token, address, err := i.process.credential(credential)
	if err != nil {
		t.Fatal(err)
	}
	i.address, i.values["LISTENER"], i.values["SCHEME"] = address, address, "http"
	i.values["TOKEN"], i.values["TOKEN_BASIC"] = token, basic(token)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want the three of a JWS", len(parts))
	}
	i.values["ALG_NONE_TOKEN"] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for _, other := range also {
		stand := strings.ToLower(other)
		if i.values["TOKEN_FOR_"+strings.ReplaceAll(other, "-", "_")], _, err = i.process.credential(stand); err != nil {
			t.Fatal(err)
		}
	}
}

func basic(password string) string {
	return base64.StdEncoding.EncodeToString([]byte("x-access-token:" + password))
}

// try runs a case, and the control request before an event and after all. What
// arrives upstream beside the control request is the case's, however late.
func (i *instance) try(t *testing.T, c *testCase) bool {
	t.Helper()
	if i.refused {
		return i.stayedOut(t)
	}
	if i.ends || i.event != nil {
		if err := i.happen(); err != nil {
			t.Error(err)
			return false
		}
	}
	requests := []testCase{*c}
	if c.Then != nil {
		requests = append(requests, testCase{ID: c.ID + "-then", Raw: c.Then.Raw, Expect: c.Then.Expect})
	}
	for _, request := range requests {
		if request.Refusal == "" {
			request.Refusal = i.refusal
		}
		if err := i.observe(&request); err != nil {
			t.Errorf("%s: %v", request.ID, err)
			return false
		}
	}
	if n := i.trapped(); n > 0 {
		t.Errorf("%d connections to an address that nothing may connect to", n)
	}
	return !t.Failed()
}

// stayedOut: a manifest that is refused lets nothing through.
func (i *instance) stayedOut(t *testing.T) bool {
	t.Helper()
	if eventually(answerLimit, func() bool { return !i.process.alive() }); i.process.alive() || i.process.command.ProcessState.ExitCode() <= 0 {
		t.Errorf("neither ready nor ended with an error:\n%s", i.process.output.text())
	}
	if err := leaks(&evidence{logs: i.process.output.text(), values: i.values}); err != nil {
		t.Error(err)
	}
	if n := i.upstream.connections() + i.trapped(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
	return !t.Failed()
}

// happen lets the event happen and waits until the control request is refused,
// or where the credential stays, until the process says what it makes of it.
func (i *instance) happen() error {
	if err := i.observe(&i.control); err != nil {
		return fmt.Errorf("before the event: %w", err)
	}
	said := len(i.process.output.text())
	if i.event != nil {
		i.event()
	}
	if !i.ends {
		if !eventually(i.within, func() bool { return len(i.process.output.text()) > said }) {
			return fmt.Errorf("the process says nothing about the change after %v", i.within)
		}
		return nil
	}
	if !eventually(i.within, func() bool {
		e, err := i.send(&i.control)
		return err == nil && len(e.answers) == 1 && e.answers[0].refuses()
	}) {
		return fmt.Errorf("the credential still works after %v", i.within)
	}
	return nil
}

// observe sends one request and decides it.
func (i *instance) observe(c *testCase) error {
	e, err := i.send(c)
	if err != nil {
		return err
	}
	late := 0
	if !i.ends {
		if late, err = i.settle(e); err != nil {
			return err
		}
	}
	err = verdict(c, e)
	if late > 0 {
		err = errors.Join(err, fmt.Errorf("%d more bytes reached the upstream after the answer", late))
	}
	return err
}

// send sends one request and returns what was observed until its answer.
func (i *instance) send(c *testCase) (*evidence, error) {
	before, _ := i.process.audit(0)
	response, err := c.response(i.values)
	if err != nil {
		return nil, err
	}
	i.upstream.begin("answer-to-" + c.ID)
	i.upstream.script(response)
	defer i.upstream.script(nil)
	e := &evidence{mark: "answer-to-" + c.ID, values: i.values, sent: c.bytes(i.values), blind: i.blind}
	if err := i.converse(e, max(1, len(c.ExpectEach)), c); err != nil {
		return nil, err
	}
	e.upstream, e.requests = i.upstream.seen()
	eventually(2*time.Second, func() bool {
		var text string
		text, e.records = i.process.audit(len(before))
		e.audit = text[min(len(before), len(text)):]
		_, found := e.refusalRecord()
		return found || len(e.upstream) > 0 || i.blind
	})
	all := i.process.output.text()
	e.logs, i.logged = all[i.logged:], len(all)
	return e, nil
}

// settle sends the control request behind a request. It must pass where it can,
// and be all that reached the upstream since then.
func (i *instance) settle(e *evidence) (late int, err error) {
	i.upstream.mu.Lock()
	i.upstream.mark = "control"
	i.upstream.mu.Unlock()
	control, as := &evidence{sent: i.control.bytes(i.values)}, &testCase{HTTP2Headers: i.control.HTTP2Headers, HTTP2Data: i.control.HTTP2Data}
	if err := i.converse(control, 1, as); err != nil {
		return 0, fmt.Errorf("sending the control request: %w", err)
	}
	if i.unserved && len(control.answers) == 1 && control.answers[0].status/100 > 3 {
		all, _ := i.upstream.seen()
		return len(all) - len(e.upstream), nil
	}
	if len(control.answers) != 1 || !bytes.Contains(control.answers[0].body, []byte(`"control"`)) {
		return 0, fmt.Errorf("the control request no longer passes: %s", control)
	}
	all, requests := i.upstream.seen()
	length := requests[len(requests)-1].length
	return len(all) - length - len(e.upstream), nil
}

// answerLimit is how long the proxy may take to answer or to close.
const answerLimit = 5 * time.Second

// converse plays the agent: it writes the bytes, in pieces where a length of
// them is given, and reads that many answers, or up to a refusal that closes.
func (i *instance) converse(e *evidence, answers int, c *testCase) error {
	if c.isHTTP2() {
		return i.converseHTTP2(e, c)
	}
	conn, err := i.network.dial(i.address)
	if err != nil {
		return fmt.Errorf("connecting to the listener: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(answerLimit))
	var writing sync.WaitGroup
	writing.Go(func() {
		if c.drips > 0 {
			drip(conn, e.sent, c.drips)
			return
		}
		write(conn, e.sent, c.piece)
		if c.HalfClose {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	})
	var received bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &received))
	method, _, _ := strings.Cut(string(e.sent[:min(len(e.sent), 16)]), " ")
	for len(e.answers) < answers {
		a, err := readAnswer(in, method)
		if err != nil {
			var timeout net.Error
			e.closed = !errors.As(err, &timeout) || !timeout.Timeout()
			break
		}
		if a.status >= 200 || a.status == http.StatusSwitchingProtocols {
			e.answers = append(e.answers, a)
		}
		if a.status == http.StatusSwitchingProtocols {
			i.sendFrames(conn, in, c.Frames)
			break
		}
	}
	e.received = received.Bytes()
	_ = conn.Close()
	writing.Wait()
	return nil
}

func readAnswer(in *bufio.Reader, method string) (answer, error) {
	response, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if mark := response.Header.Get("X-Mark"); response.StatusCode == http.StatusSwitchingProtocols {
		return answer{response.StatusCode, response.Header, []byte(mark)}, nil
	}
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, err
}
