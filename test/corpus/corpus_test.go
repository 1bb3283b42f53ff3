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

// classes are those that are switched on.
var classes = []string{
	"path-normalisation", "query-ambiguity", "method-confusion", "header-handling", "request-framing", "agent-identity",
	"json-ambiguity", "content-type-and-coding", "batch-endpoints", "tunnels", "git-smart-http", "graphql", "mcp", "response-side",
}

// leastShare is the share of cases of these classes and scopes that must run.
const leastShare = 0.9

func TestCorpus(t *testing.T) {
	f, err := readCorpus("bypass.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{corpus: f, binary: build(t), authority: newAuthority(t)}
	total := 0
	t.Run("scopes", func(t *testing.T) {
		for scope := range f.Scopes {
			chosen := s.choose(scope)
			total += len(chosen)
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
	left := total - s.ran
	t.Logf("%d of %d cases ran, %d passed, %d left out", s.ran, total, s.passed, left)
	if float64(s.ran) < leastShare*float64(total) || total == 0 {
		t.Errorf("%d of %d cases ran, fewer than nine of ten", s.ran, total)
	}
}

// suite is what the scopes share.
type suite struct {
	corpus    *corpusFile
	binary    string
	authority *authority

	mu          sync.Mutex
	ran, passed int
}

func (s *suite) choose(scope string) []testCase {
	return slices.DeleteFunc(slices.Clone(s.corpus.Cases), func(c testCase) bool {
		return c.Scope != scope || !slices.Contains(classes, c.Class)
	})
}

func (s *suite) runScope(t *testing.T, scope string, chosen []testCase) {
	var shared *instance
	for _, c := range chosen {
		t.Run(c.ID, func(st *testing.T) {
			if what := c.unable(); what != "" {
				st.Fatalf("this runner has no %s", what)
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
			s.count(st)
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
	upstream *upstream
	trapped  func() int
	control  testCase
	address  string
	refusal  string
	values   map[string]string
	logged   int           // bytes of the logs that were looked at
	event    func()        // starts what takes the credential away
	ends     bool          // the control request is refused after the event
	within   time.Duration // how long the event may take
}

func (s *suite) start(t *testing.T, scope string, how *setup) *instance {
	t.Helper()
	entry := s.corpus.Scopes[scope]
	m := readManifest(t, entry.Manifest)
	host, hostPort := m.upstream()
	i := &instance{
		upstream: startUpstream(t, s.authority.issue(t, host)),
		control:  s.corpus.find(entry.Control),
		refusal:  entry.Refusal,
		values:   map[string]string{"REAL": m.secret(), "REAL_PCT": url.QueryEscape(m.secret())},
	}
	i.values["REAL_BASIC"] = basic(m.secret())
	trapAddress, trapped := trap(t)
	i.trapped, i.values["TRAP"] = trapped, trapAddress
	file := filepath.Join(t.TempDir(), entry.Manifest)
	arguments := []string{"-f", file, "--connect-to", hostPort + "=" + i.upstream.listener.Addr().String(), "--upstream-ca", s.authority.file}
	for _, other := range how.Also {
		arguments = append(arguments, i.also(t, s.corpus.Scopes[other].Manifest)...)
	}
	if how.ExpiresIn > 0 {
		i.ends, i.within = true, time.Duration(how.ExpiresIn)*time.Second+3*time.Second
		m.expire(time.Now().Truncate(time.Second).Add(time.Duration(how.ExpiresIn) * time.Second))
	}
	if how.Reload != nil {
		arguments = append(arguments, "--watch")
		i.ends, i.within = true, 3*time.Second
		i.event = func() { m.without(how.Reload.Without).write(t, file) }
	}
	m.write(t, file)
	i.process = startProcess(t, s.binary, arguments...)
	i.learn(t, m.credential(), how.Also)
	if entry.Session {
		i.openSessions(t, startProcess(t, s.binary, arguments...), m.credential())
	}
	return i
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
	if i.ends {
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

// happen lets the event happen and waits until the control request is refused.
func (i *instance) happen() error {
	if err := i.observe(&i.control); err != nil {
		return fmt.Errorf("before the event: %w", err)
	}
	if i.event != nil {
		i.event()
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
	e := &evidence{mark: "answer-to-" + c.ID, values: i.values, sent: c.bytes(i.values)}
	if err := i.converse(e, max(1, len(c.ExpectEach)), c); err != nil {
		return nil, err
	}
	e.upstream, e.requests = i.upstream.seen()
	eventually(2*time.Second, func() bool {
		var text string
		text, e.records = i.process.audit(len(before))
		e.audit = text[min(len(before), len(text)):]
		_, found := e.refusalRecord()
		return found || len(e.upstream) > 0
	})
	all := i.process.output.text()
	e.logs, i.logged = all[i.logged:], len(all)
	return e, nil
}

// settle sends the control request behind a request. It must pass, and be all
// that reached the upstream since then.
func (i *instance) settle(e *evidence) (late int, err error) {
	i.upstream.mu.Lock()
	i.upstream.mark = "control"
	i.upstream.mu.Unlock()
	control, as := &evidence{sent: i.control.bytes(i.values)}, &testCase{HTTP2Headers: i.control.HTTP2Headers, HTTP2Data: i.control.HTTP2Data}
	if err := i.converse(control, 1, as); err != nil {
		return 0, fmt.Errorf("sending the control request: %w", err)
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
	conn, err := net.DialTimeout("tcp", i.address, answerLimit)
	if err != nil {
		return fmt.Errorf("connecting to the listener: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(answerLimit))
	var writing sync.WaitGroup
	writing.Go(func() {
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
