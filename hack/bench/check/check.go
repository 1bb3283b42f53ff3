package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Proxy is one that is to be checked.
type Proxy struct {
	Addr      netip.AddrPort
	Token     string // of the agent
	Key       string // that goes upstream
	Authority string // that goes upstream
	Reads     bool   // it claims to judge the JSON of records
	client    *http.Client
}

const (
	path       = "/repos/acme/web/pulls"
	blobs      = "/repos/acme/web/blobs"
	records    = "/repos/acme/web/records"
	streamPath = "/repos/acme/web/stream-0"
	patience   = 5 * time.Second
)

// EqualWork returns an error unless the proxy before u does all that is
// measured: it lets pass what is in scope and nothing else, puts the key in the
// token's place, keeps connections, holds no event back, and judges the JSON of
// records if it claims to.
func EqualWork(ctx context.Context, p Proxy, u *Upstream) error {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	p.client = &http.Client{Transport: transport, Timeout: patience}
	for _, step := range []func(context.Context, *Upstream) error{p.refuses, p.forwards, p.judges, p.keeps, p.streams} {
		u.take()
		if err := step(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// Distrusts returns an error unless the proxy refuses u, which has the
// certificate of an authority that it does not know.
func Distrusts(ctx context.Context, p Proxy, u *Upstream) error {
	p.client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := p.ask(ctx, http.MethodGet, path, p.Token, "")
	seen, _ := u.take()
	switch {
	case err != nil:
		return err
	case len(seen) > 0:
		return errors.New("it sent a request to an upstream whose certificate nobody vouches for")
	case a.status < 500:
		return fmt.Errorf("it answers %d for an upstream whose certificate nobody vouches for", a.status)
	}
	return nil
}

type answer struct {
	status  int
	body    string
	closing bool // the connection ends with it
}

func (p *Proxy) request(ctx context.Context, method, path, token, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.Addr.String()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	switch {
	case path == records:
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	return p.client.Do(r)
}

func (p *Proxy) ask(ctx context.Context, method, path, token, body string) (answer, error) {
	a, err := p.request(ctx, method, path, token, body)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(a.Body)
	return answer{a.StatusCode, string(text), a.Close}, err
}

// refuses tries what is out of scope.
func (p *Proxy) refuses(ctx context.Context, u *Upstream) error {
	middle := len(p.Token) / 2
	other := p.Token[:middle] + string(p.Token[middle]^1) + p.Token[middle+1:]
	for _, c := range []struct {
		what, method, path, token string
		status                    int
	}{
		{"no token", http.MethodGet, path, "", http.StatusUnauthorized},
		{"a token of the same length", http.MethodGet, path, other, http.StatusUnauthorized},
		{"another method", http.MethodDelete, path, p.Token, http.StatusForbidden},
		{"another repository", http.MethodGet, "/repos/acme/secrets/pulls", p.Token, http.StatusForbidden},
		{"another owner", http.MethodGet, "/repos/other/web/pulls", p.Token, http.StatusForbidden},
		{"a longer path", http.MethodGet, path + "/1", p.Token, http.StatusForbidden},
		{"a shorter path", http.MethodGet, "/repos/acme/web", p.Token, http.StatusForbidden},
	} {
		a, err := p.ask(ctx, c.method, c.path, c.token, "")
		if err != nil {
			return fmt.Errorf("with %s: %w", c.what, err)
		}
		if seen, _ := u.take(); len(seen) > 0 || a.status != c.status {
			return fmt.Errorf("with %s it answers %d, not %d, and sends %d requests to the upstream", c.what, a.status, c.status, len(seen))
		}
	}
	return nil
}

// forwards looks at what comes to the upstream.
func (p *Proxy) forwards(ctx context.Context, u *Upstream) error {
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, path, ""},
		{http.MethodPost, blobs, strings.Repeat("b", 4096)},
	} {
		if err := p.forwardsOne(ctx, u, c.method, c.path, c.body); err != nil {
			return err
		}
	}
	return nil
}

func (p *Proxy) forwardsOne(ctx context.Context, u *Upstream, method, path, body string) error {
	a, err := p.ask(ctx, method, path, p.Token, body)
	if err != nil {
		return fmt.Errorf("asking in scope: %w", err)
	}
	if a != (answer{http.StatusOK, Body, false}) {
		return fmt.Errorf("%s %s in scope is answered %d: %.200q", method, path, a.status, a.body)
	}
	seen, _ := u.take()
	if len(seen) != 1 {
		return fmt.Errorf("of one request %d came to the upstream", len(seen))
	}
	return p.compare(seen[0], method, path, body)
}

// judges uploads JSON of another kind, and then of the right one. Each is as
// long as what is measured, and its kind comes last.
func (p *Proxy) judges(ctx context.Context, u *Upstream) error {
	if !p.Reads {
		return nil
	}
	const rest = `{"records":[{"kind":"record"},"%s"]%s}`
	filler := strings.Repeat("r", 4000)
	for _, c := range []struct{ what, kind string }{
		{"another kind", `,"kind":"secret"`},
		{"a kind that goes on", `,"kind":"records"`},
		{"no kind of its own", ""},
	} {
		a, err := p.ask(ctx, http.MethodPost, records, p.Token, fmt.Sprintf(rest, filler, c.kind))
		if err != nil {
			return fmt.Errorf("uploading JSON with %s: %w", c.what, err)
		}
		if seen, _ := u.take(); len(seen) > 0 || a.status != http.StatusForbidden {
			return fmt.Errorf("to JSON with %s it answers %d, not %d, and sends %d requests to the upstream", c.what, a.status, http.StatusForbidden, len(seen))
		}
	}
	return p.forwardsOne(ctx, u, http.MethodPost, records, fmt.Sprintf(rest, filler, `,"kind":"record"`))
}

func (p *Proxy) compare(s Seen, method, path, body string) error {
	var head bytes.Buffer
	_ = s.Header.Write(&head) // to memory
	switch {
	case s.Method != method || s.Path != path || s.Body != body:
		return fmt.Errorf("%s %s with %d bytes came to the upstream as %s %s with %d", method, path, len(body), s.Method, s.Path, len(s.Body))
	case len(s.Header["Authorization"]) != 1 || s.Header.Get("Authorization") != "Bearer "+p.Key:
		return errors.New("the key did not come to the upstream in the token's place")
	case strings.Contains(head.String(), p.Token):
		return errors.New("the agent's token came to the upstream")
	case s.Host != p.Authority:
		return fmt.Errorf("the upstream was asked as %s, not as %s", s.Host, p.Authority)
	}
	return nil
}

// keeps asks often, and counts connections to the upstream.
func (p *Proxy) keeps(ctx context.Context, u *Upstream) error {
	const often = 20
	for range often {
		a, err := p.ask(ctx, http.MethodGet, path, p.Token, "")
		if err != nil {
			return fmt.Errorf("asking again: %w", err)
		}
		if a.status != http.StatusOK || a.closing {
			return fmt.Errorf("asked again it answers %d, and that the connection ends is %t", a.status, a.closing)
		}
	}
	// A connection that an earlier step has left may be closed, and none but it.
	if _, connections := u.take(); connections > 1 {
		return fmt.Errorf("it opened %d connections to the upstream for %d requests", connections, often)
	}
	return nil
}

// streams awaits an event of a stream that has not ended.
func (p *Proxy) streams(ctx context.Context, u *Upstream) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		select {
		case u.end <- struct{}{}:
		default:
		}
	}()
	a, err := p.request(ctx, http.MethodGet, streamPath, p.Token, "")
	if err != nil {
		return fmt.Errorf("asking for events: %w", err)
	}
	defer func() { _ = a.Body.Close() }()
	got := make([]byte, len(event))
	if _, err := io.ReadFull(a.Body, got); err != nil {
		return fmt.Errorf("the first event did not come while the stream went on: %w", err)
	}
	if string(got) != event {
		return fmt.Errorf("the first event came as %q", got)
	}
	return nil
}
