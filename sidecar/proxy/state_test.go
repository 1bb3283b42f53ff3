package proxy

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// ask sends one good request on a new connection.
func (f *fixture) ask() reply { return f.askWith(theHandle) }

func (f *fixture) askWith(token string) reply {
	f.t.Helper()
	a := f.agent()
	a.send("GET /notes HTTP/1.1\r\nHost: " + f.address + "\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	return a.read("GET")
}

func (f *fixture) want(why string, status int, reason scope.Reason) {
	f.t.Helper()
	if got := f.ask(); got.StatusCode != status || got.reason() != string(reason) {
		f.t.Errorf("%s: got %d %s, want %d %s", why, got.StatusCode, got.body, status, reason)
	}
}

func TestBeforeTheFirstState(t *testing.T) {
	f := startFixture(t, echo, Options{})
	if f.server.Ready() {
		t.Error("ready without a state")
	}
	f.want("no state", 503, scope.NotReady)
	if errs := f.server.Apply(state(document())); len(errs) > 0 {
		t.Fatal(errs)
	}
	if !f.server.Ready() {
		t.Error("not ready with a state")
	}
	f.want("served", 200, "")
}

// withdrawals are states that take the credential away.
var withdrawals = map[string]struct {
	state  *bundle.State
	status int
	reason scope.Reason
}{
	"absent":    {&bundle.State{Version: 1}, 403, scope.Revoked},
	"suspended": {&bundle.State{Version: 1, Denied: []bundle.Denial{{Namespace: "agents", Name: "notes", Reason: scope.Suspended}}}, 403, scope.Suspended},
	"not ready": {&bundle.State{Version: 1, Denied: []bundle.Denial{{Namespace: "agents", Name: "notes", Reason: scope.NotReady}}}, 503, scope.NotReady},
	"unknown":   {&bundle.State{Version: 1, Denied: []bundle.Denial{{Namespace: "agents", Name: "notes", Reason: "AttestationFailed"}}}, 403, "AttestationFailed"},
}

func TestWithdrawals(t *testing.T) {
	for name, test := range withdrawals {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo)
			idle := f.agent()
			idle.send(request("GET", "/notes") + "\r\n")
			if got := idle.read("GET"); got.StatusCode != 200 {
				t.Fatalf("got %d", got.StatusCode)
			}
			f.awaitRest()
			if errs := f.server.Apply(test.state); len(errs) > 0 {
				t.Fatal(errs)
			}
			f.want("a new connection", test.status, test.reason)
			idle.send(request("GET", "/notes") + "\r\n")
			if got := idle.read("GET"); got.StatusCode != test.status || got.reason() != string(test.reason) {
				t.Errorf("the old connection: got %d %s", got.StatusCode, got.body)
			}
			if errs := f.server.Apply(state(document())); len(errs) > 0 {
				t.Fatal(errs)
			}
			f.want("given back", 200, "")
		})
	}
}

// dripping answers with a stream that never ends.
func dripping(c net.Conn, r *bufio.Reader) error {
	if _, err := http.ReadRequest(r); err != nil {
		return err
	}
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return orEOF(err)
}

// Withdrawal cuts what is under way, wherever it waits.
func TestRevokedUnderWay(t *testing.T) {
	for name, test := range map[string]struct {
		do     exchangeFunc
		raw    string
		status int
	}{
		"streaming":      {dripping, request("GET", "/notes") + "\r\n", 200},
		"waiting":        {silent, request("GET", "/notes") + "\r\n", 403},
		"sending":        {silent, post("Content-Length: 9\r\n") + "hello", 403},
		"sending chunks": {silent, post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n", 403},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.do)
			a := f.agent()
			a.send(test.raw)
			if !eventually(func() bool { return strings.Contains(f.upstream.bytes(), "HTTP/1.1") }) {
				t.Fatal("nothing was forwarded")
			}
			var res *http.Response
			var err error
			if test.status == 200 {
				if res, err = http.ReadResponse(a.r, nil); err != nil {
					t.Fatal(err)
				}
			}
			f.server.Revoke("c1", scope.Suspended)
			if test.status != 200 {
				if got := a.read("GET"); got.StatusCode != test.status || got.reason() != "Suspended" {
					t.Errorf("got %d %s", got.StatusCode, got.body)
				}
			} else if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("the stream ended as if it were whole")
			}
			if !a.closed() {
				t.Error("the connection is open")
			}
			records := f.records.records(t)
			if !eventually(func() bool { records = f.records.records(t); return len(records) == 2 }) || records[1].Reason != "Suspended" {
				t.Errorf("recorded %+v", records)
			}
		})
	}
}

func TestRevokeOfAnotherCredential(t *testing.T) {
	f := newFixture(t, echo)
	f.server.Revoke("c2", scope.Revoked)
	f.want("not meant", 200, "")
}

// wider is a later version of document that allows more.
func wider(generation int64) *bundle.Credential {
	c := document()
	c.Generation = generation
	c.Grants[0].HTTP.Paths = append(c.Grants[0].HTTP.Paths, "/more")
	return c
}

func (f *fixture) wantMore(why string, status int, reason scope.Reason) {
	f.t.Helper()
	a := f.agent()
	a.send(request("GET", "/more") + "\r\n")
	if got := a.read("GET"); got.StatusCode != status || got.reason() != string(reason) {
		f.t.Errorf("%s: got %d %s, want %d %s", why, got.StatusCode, got.body, status, reason)
	}
}

// A lower generation never replaces a higher one: both are asked.
func TestVersions(t *testing.T) {
	f := newFixture(t, echo)
	apply := func(c *bundle.Credential) {
		t.Helper()
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	f.wantMore("not granted yet", 403, scope.OutOfScope)
	apply(wider(4))
	f.wantMore("granted", 200, "")
	apply(document())
	f.wantMore("the older one does not grant it", 403, scope.VersionWentBack)
	f.want("both grant it", 200, "")
	f.server.Revoke("c1", scope.Revoked)
	apply(document())
	f.want("what is held is gone, and older is not better", 403, scope.VersionWentBack)
	apply(wider(4))
	f.wantMore("as new as before", 200, "")
	old := wider(1)
	old.UID = "c9"
	apply(old)
	f.wantMore("another object, whatever its generation", 200, "")
}

func TestOlderUpstream(t *testing.T) {
	f := newFixture(t, echo)
	c := wider(9)
	c.Upstream.Generation = 1
	c.ExpiresAt = time.Now().Add(-time.Second)
	if errs := f.server.Apply(state(c)); len(errs) > 0 {
		t.Fatal(errs)
	}
	f.want("the earlier end of both", 403, scope.Expired)
}

// What cannot be served is reported and leaves in force what was there.
func TestRefusedDocuments(t *testing.T) {
	for name, change := range map[string]func(*bundle.Credential){
		"no endpoint":    func(c *bundle.Credential) { c.Endpoints[0].Name = "git" },
		"no limit":       func(c *bundle.Credential) { c.Limits.Concurrency = 0 },
		"no injection":   func(c *bundle.Credential) { c.Endpoints[0].Inject = bundle.Inject{} },
		"two injections": func(c *bundle.Credential) { c.Endpoints[0].Inject.Query = &bundle.QueryInjection{Name: "x"} },
		"line in secret": func(c *bundle.Credential) { c.Secret = secret.New(theSecret + "\r\nX: y") },
		"empty secret":   func(c *bundle.Credential) { c.Secret = secret.New("\n") },
		"plain URL":      func(c *bundle.Credential) { c.Endpoints[0].URL = "http://example.com" },
		"bad pattern":    func(c *bundle.Credential) { c.Grants[0].Query.Params["q"] = scope.Matcher{Pattern: ptr("(")} },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFixture(t, echo, Options{})
			c := wider(4)
			change(c)
			refuse := func() {
				t.Helper()
				errs := f.server.Apply(state(c))
				if len(errs) != 1 || errs[0].Credential != theName || errs[0].Detail == "" || strings.Contains(errs[0].Error(), theSecret) {
					t.Fatalf("got %v", errs)
				}
			}
			refuse()
			f.want("nothing was held", 503, scope.NotReady)
			f.server.Apply(state(document()))
			refuse()
			f.want("the last one stays", 200, "")
			f.wantMore("the last one stays, whole", 403, scope.OutOfScope)
		})
	}
	f := newFixture(t, echo)
	if errs := f.server.Apply(&bundle.State{Version: bundle.Version + 1}); len(errs) != 1 {
		t.Errorf("an unknown version: %v", errs)
	}
	other := document()
	other.Name = "other"
	if errs := f.server.Apply(state(document(), other)); len(errs) != 1 || errs[0].Credential != "agents/other" {
		t.Errorf("a credential without a listener: %v", errs)
	}
}

// clock is set by the test.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

func (c *clock) set(d time.Duration) { c.offset.Store(int64(d)) }

func TestLease(t *testing.T) {
	var c clock
	f := startFixture(t, echo, Options{Now: c.now})
	serve := func(maxOffline, ends time.Duration) {
		t.Helper()
		d := document()
		d.MaxOffline, d.LeaseEnds = maxOffline, c.now().Add(ends)
		if errs := f.server.Apply(state(d)); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	serve(10*time.Minute, time.Hour)
	c.set(9 * time.Minute)
	f.want("within it", 200, "")
	c.set(11 * time.Minute)
	f.want("too long without news", 503, scope.LeaseExpired)
	f.server.Extend(c.now().Add(time.Minute))
	f.want("news", 200, "")
	c.set(12*time.Minute + 31*time.Second)
	f.want("beyond what the news said, by the wall clock", 503, scope.LeaseExpired)
	f.server.Extend(c.now().Add(-time.Second))
	f.want("news after their own end", 503, scope.LeaseExpired)
	serve(0, time.Hour)
	c.set(13 * time.Minute)
	f.want("two heartbeats", 200, "")
	c.set(14 * time.Minute)
	f.want("more than two heartbeats", 503, scope.LeaseExpired)
	d := document()
	d.LeaseEnds = time.Time{}
	f.server.Apply(state(d))
	f.want("no lease at all", 503, scope.LeaseExpired)
}

// TestSecretExpires holds that a token of the upstream is not sent once it has
// expired, that the next one is, and that what has no end has none.
func TestSecretExpires(t *testing.T) {
	var c clock
	f := startFixture(t, echo, Options{Now: c.now})
	serve := func(expires time.Time) {
		t.Helper()
		d := document()
		d.MaxOffline, d.LeaseEnds, d.SecretExpires = time.Hour, c.now().Add(time.Hour), expires
		if errs := f.server.Apply(state(d)); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	serve(c.now().Add(time.Minute))
	f.want("before its end", 200, "")
	c.set(30 * time.Second)
	f.want("still before it", 200, "")
	sent := f.upstream.bytes()
	c.set(time.Minute)
	f.want("at its end", 503, scope.NotReady)
	f.server.Extend(c.now().Add(time.Hour))
	f.want("news that bring no other", 503, scope.NotReady)
	if got := f.upstream.bytes(); got != sent {
		t.Errorf("a token that has expired is sent: %s", got[len(sent):])
	}
	serve(c.now().Add(time.Minute))
	f.want("the next one", 200, "")
	serve(time.Time{})
	c.set(30 * time.Minute)
	f.want("no end", 200, "")
}

// TestRefusedDocumentEnds holds that what could not be replaced is not kept
// alive by heartbeats: the broker tells of a revocation when its lease ends.
func TestRefusedDocumentEnds(t *testing.T) {
	var c clock
	f := startFixture(t, echo, Options{Now: c.now})
	serve := func(change func(*bundle.Credential)) int {
		t.Helper()
		d := document()
		d.MaxOffline, d.LeaseEnds = 10*time.Minute, c.now().Add(10*time.Minute)
		change(d)
		return len(f.server.Apply(state(d)))
	}
	if serve(func(*bundle.Credential) {}) != 0 {
		t.Fatal("the first document is refused")
	}
	c.set(9 * time.Minute)
	if serve(func(d *bundle.Credential) { d.Generation, d.Endpoints = 9, nil }) == 0 {
		t.Fatal("a document without the listener's endpoint is served")
	}
	f.server.Extend(c.now().Add(10 * time.Minute))
	f.want("what was held has its lease", 200, "")
	c.set(11 * time.Minute)
	f.server.Extend(c.now().Add(10 * time.Minute))
	f.want("and no other", 503, scope.LeaseExpired)
	if serve(func(d *bundle.Credential) { d.Generation = 10 }) != 0 {
		t.Fatal("a good document is refused")
	}
	c.set(20 * time.Minute)
	f.server.Extend(c.now().Add(10 * time.Minute))
	c.set(29 * time.Minute)
	f.want("news of a document that is served", 200, "")
}

func TestWithoutLeases(t *testing.T) {
	var c clock
	f := startFixture(t, echo, Options{Now: c.now, WithoutLeases: true})
	d := document()
	d.LeaseEnds, d.MaxOffline, d.ExpiresAt = time.Time{}, 0, c.now().Add(time.Hour)
	if errs := f.server.Apply(state(d)); len(errs) > 0 {
		t.Fatal(errs)
	}
	c.set(59 * time.Minute)
	f.want("nobody to hear from", 200, "")
	c.set(time.Hour)
	f.want("its time is over", 403, scope.Expired)
}

func TestScopedTokens(t *testing.T) {
	key := token.GenerateKey()
	var c clock
	f := startFixture(t, echo, Options{Now: c.now})
	mint := func(change func(*token.Claims)) string {
		t.Helper()
		now := time.Now()
		claims := token.Claims{
			Issuer: "sallyport:x", Subject: "system:serviceaccount:agents:a", Audience: token.Audience, ID: "jti-1", Scope: "s1",
			IssuedAt: now.Unix(), NotBefore: now.Add(-30 * time.Second).Unix(), Expires: now.Add(10 * time.Minute).Unix(),
			Pod: token.Pod{UID: "p1", Name: "pod-1"}, Credential: token.Credential{Name: "notes", UID: "c1", Generation: 3},
			Upstream: token.Upstream{UID: "u1", SecretVersion: "v1"},
		}
		change(&claims)
		text, err := key.Mint(claims)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	d := document()
	d.ScopeHash, d.Token = "s1", mint(func(*token.Claims) {})
	st := state(d)
	st.TokenKeys = []bundle.TokenKey{key.Public()}
	if errs := f.server.Apply(st); len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, test := range map[string]struct {
		text   string
		status int
	}{
		"its own":            {d.Token, 200},
		"once more":          {d.Token, 200},
		"older generation":   {mint(func(c *token.Claims) { c.Credential.Generation = 1; c.Scope = "s0" }), 200},
		"of another pod":     {mint(func(c *token.Claims) { c.Pod.UID = "p2" }), 401},
		"of another":         {mint(func(c *token.Claims) { c.Credential.UID = "c2" }), 401},
		"expired":            {mint(func(c *token.Claims) { c.IssuedAt -= 1200; c.NotBefore -= 1200; c.Expires -= 1200 }), 401},
		"of another key":     {otherKey(t), 401},
		"one bit":            {d.Token[:len(d.Token)-2] + "xx", 401},
		"nothing behind it":  {d.Token + ".", 401},
		"longer than tokens": {strings.Repeat("a", token.MaxBytes+1), 401},
	} {
		if got := f.askWith(test.text); got.StatusCode != test.status {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
		}
	}
	c.set(11 * time.Minute)
	f.server.Extend(c.now().Add(time.Hour))
	if got := f.askWith(d.Token); got.StatusCode != 401 {
		t.Errorf("a remembered token after its time: got %d", got.StatusCode)
	}
	if r := f.records.records(t)[0]; r.JTI != "jti-1" && r.JTI != "" {
		t.Errorf("recorded %+v", r)
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	now := time.Now().Unix()
	text, err := token.GenerateKey().Mint(token.Claims{
		Issuer: "sallyport:x", Subject: "s", Audience: token.Audience, ID: "j", Scope: "s1", IssuedAt: now, NotBefore: now, Expires: now + 60,
		Pod: token.Pod{UID: "p1", Name: "n"}, Credential: token.Credential{Name: "notes", UID: "c1", Generation: 3}, Upstream: token.Upstream{UID: "u1", SecretVersion: "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTokensThatCome: a token that came with a document must be good here, and of
// that document. One that is not keeps no scope from being put in force.
func TestTokensThatCome(t *testing.T) {
	key, other := token.GenerateKey(), token.GenerateKey()
	now := time.Now()
	own := []bundle.TokenKey{key.Public()}
	for name, tc := range map[string]struct {
		change func(*token.Claims)
		keys   []bundle.TokenKey
		flawed bool
		status int // of the answer to an agent that shows it
	}{
		"its own":           {func(*token.Claims) {}, own, false, 200},
		"of another scope":  {func(c *token.Claims) { c.Scope = "s1" }, own, true, 200},
		"older":             {func(c *token.Claims) { c.Credential.Generation-- }, own, true, 200},
		"of another secret": {func(c *token.Claims) { c.Upstream.UID = "u2" }, own, true, 200},
		"of another pod":    {func(c *token.Claims) { c.Pod.UID = "p2" }, own, true, 401},
		"of another":        {func(c *token.Claims) { c.Credential.UID = "c2" }, own, true, 401},
		"over": {func(c *token.Claims) {
			c.IssuedAt, c.NotBefore, c.Expires = c.IssuedAt-900, c.NotBefore-900, c.Expires-900
		}, own, true, 401},
		"by another key": {func(*token.Claims) {}, []bundle.TokenKey{other.Public()}, true, 401},
		"by no key":      {func(*token.Claims) {}, nil, true, 401},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFixture(t, echo, Options{})
			c := document()
			c.ScopeHash = "s2"
			claims := token.Claims{
				Issuer: "sallyport:x", Subject: "s", Audience: token.Audience, ID: "j", Scope: "s2", IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Unix() + 60,
				Pod: token.Pod{UID: "p1", Name: "n"}, Credential: token.Credential{Name: "notes", UID: "c1", Generation: 3}, Upstream: token.Upstream{UID: "u1", SecretVersion: "v"},
			}
			tc.change(&claims)
			var err error
			if c.Token, err = key.Mint(claims); err != nil {
				t.Fatal(err)
			}
			st := state(c)
			st.TokenKeys = tc.keys
			if errs := f.server.Apply(st); len(errs) > 0 {
				t.Errorf("the document is refused: %v", errs)
			}
			f.want("the scope is in force", 200, "")
			errs := f.server.CheckTokens(st)
			if tc.flawed != (len(errs) > 0) || tc.flawed && errs[0].Credential != theName {
				t.Errorf("got %v", errs)
			}
			if status := f.askWith(c.Token).StatusCode; status != tc.status {
				t.Errorf("an agent that shows it is answered %d", status)
			}
		})
	}
	garbage := document()
	garbage.Token = "a.b.c"
	f := newFixture(t, echo)
	if errs := f.server.CheckTokens(state(garbage, document())); len(errs) != 1 || strings.Contains(errs[0].Error(), garbage.Token) {
		t.Errorf("one of two is no token: %v", errs)
	}
	long := state(document())
	long.TokenKeys = make([]bundle.TokenKey, 99)
	if errs := f.server.CheckTokens(long); len(errs) != 1 {
		t.Errorf("too many keys: %v", errs)
	}
}

func TestConcurrency(t *testing.T) {
	f := newFixture(t, dripping, shortly(bundle.Limits{Concurrency: 2}))
	for range 2 {
		a := f.agent()
		a.send(request("GET", "/notes") + "\r\n")
		if _, err := http.ReadResponse(a.r, nil); err != nil {
			t.Fatal(err)
		}
	}
	got := f.ask()
	if got.StatusCode != 429 || got.reason() != "RateLimited" || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %v %s", got.StatusCode, got.Header, got.body)
	}
}

// An upstream that is not there is told as such, and recorded.
func TestUnreachable(t *testing.T) {
	for name, test := range map[string]struct {
		url     string
		connect map[string]string
		status  int
		reason  scope.Reason
	}{
		"nobody listens":  {"https://example.com", map[string]string{"example.com:443": "127.0.0.1:1"}, 502, scope.UpstreamUnreachable},
		"loopback":        {"https://127.0.0.1:1", nil, 502, scope.DestinationRefused},
		"mapped loopback": {"https://[::ffff:127.0.0.1]:1", nil, 502, scope.DestinationRefused},
		"a name for it":   {"https://localhost:1", nil, 502, scope.DestinationRefused},
		"private":         {"https://10.0.0.5", nil, 502, scope.DestinationRefused},
		"metadata":        {"https://169.254.169.254", nil, 502, scope.DestinationRefused},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFixture(t, echo, Options{})
			d, err := dial.New(dial.Options{ConnectTo: test.connect})
			if err != nil {
				t.Fatal(err)
			}
			f.server.options.Dialer = d
			c := document()
			c.Endpoints[0].URL = test.url
			if errs := f.server.Apply(state(c)); len(errs) > 0 {
				t.Fatal(errs)
			}
			f.want(name, test.status, test.reason)
			records := f.records.records(t)
			if len(records) != 2 || records[0].Verdict != "Allow" || records[1].Event != "outcome" || records[1].Reason != string(test.reason) || records[1].ID != records[0].ID {
				t.Errorf("recorded %+v", records)
			}
		})
	}
}

// A server that cannot prove its name is not the upstream.
func TestWrongCertificate(t *testing.T) {
	u := newUpstream(t, echo)
	f := startFixture(t, echo, Options{})
	for name, o := range map[string]dial.Options{
		"other name":      {Roots: []*x509.Certificate{u.cert}, ConnectTo: map[string]string{"other.test:443": u.Addr().String()}},
		"other authority": {ConnectTo: map[string]string{"other.test:443": u.Addr().String()}},
	} {
		d, err := dial.New(o)
		if err != nil {
			t.Fatal(err)
		}
		f.server.options.Dialer = d
		c := document()
		c.Endpoints[0].URL = "https://other.test"
		c.Limits.HeaderBytes += len(name) // a place of its own
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
		f.want(name, 502, scope.UpstreamUnreachable)
	}
	if u.bytes() != "" {
		t.Errorf("upstream got %q", u.bytes())
	}
}

// Shutdown lets an exchange end, and takes no other.
func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	f := newFixture(t, func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		if req.URL.Path == "/notes/slow" {
			<-release
		}
		_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return err
	})
	idle, busy := f.agent(), f.agent()
	idle.send(request("GET", "/notes") + "\r\n")
	idle.read("GET")
	busy.send(request("GET", "/notes/slow") + "\r\n")
	if !eventually(func() bool { return strings.Contains(f.upstream.bytes(), "slow") }) {
		t.Fatal("nothing was forwarded")
	}
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }()
	if !idle.closed() {
		t.Error("an idle connection stays open")
	}
	if !eventually(func() bool { _, err := net.Dial("tcp", f.address); return err != nil }) {
		t.Error("connections are still taken")
	}
	close(release)
	if got := busy.read("GET"); got.body != "ok" || !got.Close {
		t.Errorf("got %q, closing %t", got.body, got.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A connection that breaks at any point leaves nothing behind: the fixture
// counts goroutines.
func TestAgentsThatLeave(t *testing.T) {
	f := newFixture(t, dripping)
	for _, raw := range []string{"", "GET", request("GET", "/notes"), request("GET", "/notes") + "\r\n", post("Content-Length: 9\r\n") + "he", post("Transfer-Encoding: chunked\r\n") + "2\r\nhe\r\n"} {
		a := f.agent()
		a.send(raw)
		a.Conn.(*net.TCPConn).SetLinger(0)
		a.Close()
	}
	if !eventually(func() bool { return f.server.connections() <= 1 }) { // one that streams notices only when it writes
		t.Errorf("%d connections are open", f.server.connections())
	}
}

// TestRuleIsKept: to a change of the scope alone no table for masking is made
// anew, and to one of the key or its place all are.
func TestRuleIsKept(t *testing.T) {
	f := newFixture(t, echo)
	rule := func(change func(*bundle.Credential)) any {
		t.Helper()
		c := document()
		change(c)
		if errs := f.server.Apply(state(c)); len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, h := range f.server.holders {
			return h.listeners[0].view.Load().swap
		}
		return nil
	}
	first := rule(func(*bundle.Credential) {})
	if rule(func(c *bundle.Credential) { c.Generation, c.Grants = c.Generation+1, c.Grants[:0] }) != first {
		t.Error("a change of the scope made another rule")
	}
	if rule(func(c *bundle.Credential) { c.Generation, c.Secret = c.Generation+1, secret.New("another-key") }) == first {
		t.Error("another key is swapped by the rule of the one before")
	}
	first = rule(func(c *bundle.Credential) { c.Generation++ })
	if rule(func(c *bundle.Credential) {
		c.Generation++
		c.Endpoints[0].Inject = bundle.Inject{Header: &bundle.HeaderInjection{Name: "X-Key"}}
	}) == first {
		t.Error("another place is filled by the rule of the one before")
	}
}
