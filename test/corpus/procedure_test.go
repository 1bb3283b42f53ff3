package corpus

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// A procedure is how a case is run that is told in words.
type procedure struct {
	needs string
	run   func(t *testing.T, s *suite, c *testCase)
}

// procedures are those that were written, by the words of their cases. Other
// words are another case, which fails until somebody has read them.
var procedures = map[string]procedure{
	"the first answer is public, the second is 10.0.0.5, TTL 0":                                 {"routed-network", rebind},
	"the upstream name resolves to 203.0.113.5 and 127.0.0.1":                                   {"routed-network", mixAnswers},
	"the upstream name resolves to 10.0.0.5 and the UpstreamSecret says network.private: Allow": {"routed-network", allowPrivate},
	"announce 1 MiB, send one byte every 5 s":                                                   {"", dripBody},
	"more connections from the agent container than limits.concurrency (256 by default)":        {"", connectMore},
	"token lifetime ends while the body is being sent":                                          {"", expireUnderWay},
	"the same request against scopes of 10 and of 256 grants":                                   {"", grantMore},
	"start without configuration":                                                               {"cluster", startWithoutScope},
	"stop the operator for one token lifetime":                                                  {"cluster", stopBroker},
}

// Addresses of networks, public and private.
const (
	public  = "203.0.113.5"
	private = "10.0.0.5"
)

// rebind gives the name another address each time it is asked for. Nobody
// listens at the first one: who asked again for the connection, or for another
// try, would get to the second, where the upstream is.
func rebind(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	turned := func(asked int) []string {
		if asked == 1 {
			return []string{public}
		}
		return []string{private}
	}
	c.Raw, c.Status = s.control(c).Raw, []int{http.StatusBadGateway}
	n := newNetwork(t, public, private)
	i := s.start(t, c.Scope, &setup{network: n, at: []string{private + ":443"}, answers: turned})
	i.unserved = true
	for asked, reason := range []string{"UpstreamUnreachable", "DestinationRefused"} {
		e, err := i.send(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Reason = reason
		if err := verdict(c, e); err != nil {
			t.Errorf("answer %d: %v", asked+1, err)
		}
		if n := i.names.times(); n != asked+1 {
			t.Errorf("the name was asked for %d times for %d requests: what was vetted is not what was dialled", n, asked+1)
		}
	}
	if n := i.upstream.connections(); n != 0 {
		t.Errorf("%d connections to the address that was not vetted", n)
	}
	// The other way about: who dials what was vetted gets to the first.
	there := s.start(t, c.Scope, &setup{network: n, at: []string{public + ":443"}, answers: turned})
	control := s.control(c)
	e, err := there.send(&control)
	if err := errors.Join(err, verdict(&control, e)); err != nil {
		t.Errorf("the address that was vetted: %v", err)
	}
	if n := there.names.times(); n != 1 || i.upstream.connections() != 0 {
		t.Errorf("the name was asked for %d times, and the second address connected to", n)
	}
}

// mixAnswers has the upstream listen on both addresses, so that whichever is
// dialled would be seen.
func mixAnswers(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	for name, addresses := range map[string][]string{"as told": {public, "127.0.0.1"}, "the other way about": {"127.0.0.1", public}} {
		one := *c
		one.Raw, one.Status, one.Reason = s.control(c).Raw, []int{http.StatusBadGateway}, "DestinationRefused"
		n := newNetwork(t, public)
		i := s.start(t, c.Scope, &setup{network: n, at: []string{public + ":443", "127.0.0.1:443"}, answers: always(addresses...)})
		i.unserved = true
		i.try(t, &one)
		if n := i.upstream.connections(); n != 0 {
			t.Errorf("%s: %d connections to the upstream", name, n)
		}
	}
}

// allowPrivate is the control of both, and of the network: what is allowed
// arrives.
func allowPrivate(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	control := s.control(c)
	c.Raw, c.Forward = control.Raw, control.Forward
	for permission, passes := range map[string]bool{"Allow": true, "Deny": false} {
		one, i := *c, s.start(t, c.Scope, &setup{
			network: newNetwork(t, private), at: []string{private + ":443"}, answers: always(private),
			change: func(m manifest) { m.spec("UpstreamSecret")["network"] = map[string]any{"private": permission} },
		})
		if !passes {
			i.unserved = true
			one.Expect, one.Status, one.Reason, one.Forward = "block", []int{http.StatusBadGateway}, "DestinationRefused", ""
		}
		i.try(t, &one)
		if n := i.upstream.connections(); (n > 0) != passes {
			t.Errorf("network.private: %s: %d connections to the upstream", permission, n)
		}
	}
}

func (s *suite) control(c *testCase) testCase {
	return s.corpus.find(s.corpus.Scopes[c.Scope].Control)
}

// form is the head of a request whose body is read whole.
func form(length int) string {
	return "POST /v1/forms HTTP/1.1\r\nHost: files.example\r\nAuthorization: Bearer {{TOKEN}}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " + fmt.Sprint(length) + "\r\n"
}

const formBody = "action=preview&id=7"

// dripBody sends five bytes in the time that a request has, as the case does in
// 25 s with the default of 30: each of them comes in good time, and all of them
// never do.
func dripBody(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	const allowed = time.Second // the least that can be set
	c.Raw, c.drips, c.Reason = form(1<<20)+"\r\n"+strings.Repeat("a", 64), allowed/5, "TooSlow"
	i := s.start(t, c.Scope, &setup{change: func(m manifest) {
		m.spec("UpstreamSecret")["limits"].(map[string]any)["requestTimeout"] = allowed.String()
	}})
	i.try(t, c)
}

// Connections that a flood opens.
const (
	concurrency = 256 // of requests: the default
	idle        = 2 * concurrency
)

// connectMore opens more connections than requests may be under way: first idle
// ones, which take nothing from anybody, then with a request on each. Neither
// keeps another credential's agent from being served.
func connectMore(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	control := s.control(c)
	i := s.start(t, c.Scope, &setup{beside: "S-GH"})
	for range idle {
		hold(t, i, "")
	}
	control.ID = "idle"
	for _, one := range []*instance{i, i.beside} {
		if err := one.observe(&one.control); err != nil {
			t.Errorf("%s beside %d idle connections: %v", one.control.ID, idle, err)
		}
	}
	var busy []net.Conn
	head := fill(form(len(formBody))+"Expect: 100-continue\r\n\r\n", i.values)
	for n := range concurrency {
		conn := hold(t, i, head)
		busy = append(busy, conn)
		// The proxy asks for the body once the request is one of those that count.
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("request %d of %d: %q, %v", n+1, concurrency, line, err)
		}
	}
	c.Raw, c.Status, c.Reason = control.Raw, []int{http.StatusTooManyRequests}, "RateLimited"
	e, err := i.send(c)
	if err := errors.Join(err, verdict(c, e)); err != nil {
		t.Errorf("request %d: %v", concurrency+1, err)
	}
	if err := i.beside.observe(&i.beside.control); err != nil {
		t.Errorf("another credential: %v", err)
	}
	for _, conn := range busy {
		_ = conn.Close()
	}
	if !eventually(answerLimit, func() bool { return i.observe(&i.control) == nil }) {
		t.Errorf("afterwards: %v", i.observe(&i.control))
	}
}

// hold opens a connection that stays open, and sends something.
func hold(t *testing.T, i *instance, text string) net.Conn {
	t.Helper()
	conn, err := i.network.dial(i.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	write(conn, []byte(text), 0)
	return conn
}

// grantMore lets the same request through scopes of both sizes, then compares
// how long the policy of each is asked. It is processor time of one thread, the
// least of many rounds of each by turns: whatever else the machine does makes a
// round longer, and none shorter. Growth is what is looked for: a judge that
// asks one grant after the other needs 25 times as long.
func grantMore(t *testing.T, s *suite, c *testCase) {
	t.Parallel()
	const few, many = 10, 256
	control := s.control(c)
	c.Raw, c.Forward = control.Raw, control.Forward
	var of []asked
	for _, n := range []int{few, many} {
		widen := func(m manifest) { m.widen(n) }
		i := s.start(t, c.Scope, &setup{change: widen})
		i.try(t, c)
		m := readManifest(t, s.corpus.Scopes[c.Scope].Manifest)
		widen(m)
		compiled := compiled(t, m)
		if len(compiled.Grants) != n {
			t.Fatalf("the scope has %d grants, want %d", len(compiled.Grants), n)
		}
		of = append(of, ask(t, &compiled, compiled.Grants))
	}
	if least := fastest(of[0], of[1]); least[1] > 2*least[0] {
		t.Errorf("with %d grants %v, with %d %v: more than twice as long", few, least[0], many, least[1])
	} else {
		t.Logf("%d times, with %d grants %v, with %d %v", repeats, few, least[0], many, least[1])
	}
	// The check sees growth: the same scope, asked grant by grant.
	m := readManifest(t, s.corpus.Scopes[c.Scope].Manifest)
	m.widen(many)
	all := compiled(t, m)
	if least := fastest(of[0], oneByOne(t, &all)); least[1] <= 2*least[0] {
		t.Errorf("asked one by one, %d grants take %v, and %d asked at once %v: growth is not seen", many, least[1], few, least[0])
	}
}

// widen gives the scope n grants in all; those of the manifest are the last.
func (m manifest) widen(n int) {
	spec := m.spec("ScopedCredential")
	own := spec["grants"].([]any)
	var grants []any
	for i := range n - len(own) {
		grants = append(grants, map[string]any{
			"name":  fmt.Sprintf("more-%d", i),
			"http":  map[string]any{"endpoint": "api", "methods": []any{"GET"}, "paths": []any{fmt.Sprintf("/v1/more-%d/{name}", i)}},
			"where": map[string]any{"name": map[string]any{"glob": "report-*"}},
		})
	}
	spec["grants"] = append(grants, own...)
}

// asked judges the control request, many times.
type asked func()

const (
	repeats = 200
	rounds  = 100
)

// searching is the control request of S-GEN as the judge reads it.
var searching = scope.Head{Method: http.MethodGet, Target: "/v1/search?q=report&page=2", Fields: []scope.Field{{Name: "Host", Value: "files.example"}}}

func ask(t *testing.T, c *bundle.Credential, grants []scope.Grant) asked {
	t.Helper()
	policy, err := scope.Compile(c.Endpoints[0].Profile, grants, nil)
	if err != nil {
		t.Fatal(err)
	}
	head, request := searching, scope.Request{}
	want := scope.Deny
	if slices.ContainsFunc(grants, func(g scope.Grant) bool { return g.Name == "search" }) {
		want = scope.Allow
	}
	return func() {
		for range repeats {
			if err := request.Parse(&head, &c.Endpoints[0].Profile); err != nil {
				t.Fatal(err)
			}
			if d := policy.Decide(&request); d.Verdict != want {
				t.Fatalf("%+v", d)
			}
		}
	}
}

func oneByOne(t *testing.T, c *bundle.Credential) asked {
	t.Helper()
	var each []asked
	for _, g := range c.Grants {
		each = append(each, ask(t, c, []scope.Grant{g}))
	}
	return func() {
		for _, one := range each {
			one()
		}
	}
}

// fastest is the least processor time of each.
func fastest(of ...asked) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := make([]time.Duration, len(of))
	for range rounds {
		for i, one := range of {
			before := used()
			one()
			if took := used() - before; least[i] == 0 || took < least[i] {
				least[i] = took
			}
		}
	}
	return least
}

// used is the processor time of this thread.
func used() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // the clock is always there
	return time.Duration(ts.Nano())
}
