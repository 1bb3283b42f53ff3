package minter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mint"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// workFor asks tokenURL with client credentials.
func workFor(t *testing.T, edit func(*v1alpha1.UpstreamSecret)) *work {
	t.Helper()
	up := &v1alpha1.UpstreamSecret{}
	up.Spec.Source = clientCredentials()
	if edit != nil {
		edit(up)
	}
	job, err := mint.NewJob(up, []secret.Value{secret.New("canary-secret")})
	if err != nil {
		t.Fatal(err)
	}
	return &work{up: up, job: job}
}

// names resolves everything to the same addresses.
type names []netip.Addr

func (n names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if n == nil {
		return nil, &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}
	}
	return n, nil
}

// reasonOf is that of a failure, which tells nothing secret and stays the same.
func reasonOf(t *testing.T, err error) string {
	t.Helper()
	var f *mint.Failure
	if !errors.As(err, &f) {
		t.Fatalf("no failure: %v", err)
	}
	if strings.Contains(err.Error(), "canary") || !strings.HasPrefix(err.Error(), "spec.source.oauth2") {
		t.Errorf("it says %q", err)
	}
	return f.Reason
}

// TestDestinations holds that no key goes to an address that is not vetted, with
// nothing in between that could be led elsewhere.
func TestDestinations(t *testing.T) {
	for name, tc := range map[string]struct {
		why     string
		names   names
		private bool
		want    string
	}{
		"loopback":        {"what listens there is ours", names{netip.MustParseAddr("127.0.0.1")}, true, "DestinationRefused"},
		"metadata":        {"it hands out keys", names{netip.MustParseAddr("169.254.169.254")}, true, "DestinationRefused"},
		"mapped":          {"the same in another spelling", names{netip.MustParseAddr("::ffff:169.254.169.254")}, true, "DestinationRefused"},
		"private":         {"not allowed here", names{netip.MustParseAddr("10.0.0.1")}, false, "DestinationRefused"},
		"one of two":      {"one spoils the answer", names{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")}, true, "DestinationRefused"},
		"none":            {"nothing to ask", names{}, true, "DestinationRefused"},
		"no name":         {"perhaps later", nil, true, "UpstreamUnreachable"},
		"nobody's number": {"as written in tokenURL", nil, true, "DestinationRefused"},
	} {
		t.Run(name, func(t *testing.T) {
			a := asker{resolver: tc.names}
			w := workFor(t, func(up *v1alpha1.UpstreamSecret) {
				if tc.private {
					up.Spec.Network = &v1alpha1.Network{Private: v1alpha1.PrivateAllow}
				}
				if name == "nobody's number" {
					up.Spec.Source.OAuth2.TokenURL = "https://127.0.0.1/token"
				}
			})
			_, err := a.token(t.Context(), w, time.Now())
			if got := reasonOf(t, err); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.why, got, tc.want)
			}
		})
	}
}

// TestEnvironmentNamesNoProxy holds that the key goes to the place itself.
func TestEnvironmentNamesNoProxy(t *testing.T) {
	var reached atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", proxy.URL)
	a := asker{resolver: names{netip.MustParseAddr("127.0.0.1")}}
	if _, err := a.token(t.Context(), workFor(t, nil), time.Now()); reasonOf(t, err) != "DestinationRefused" || reached.Load() != 0 {
		t.Errorf("a proxy was asked %d times", reached.Load())
	}
}

// TestHostileEndpoints ask a server that answers as none should.
func TestHostileEndpoints(t *testing.T) {
	const good = `{"access_token":"canary-token","token_type":"Bearer","expires_in":600}`
	for name, tc := range map[string]struct {
		why  string
		do   func(w http.ResponseWriter, r *http.Request)
		want string // empty: taken
		asks int64
	}{
		"good": {"as it should be", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(good))
		}, "", 1},
		"redirect": {"a key would go where the answer says", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/elsewhere", http.StatusTemporaryRedirect)
		}, "AnswerRefused", 1},
		"long": {"memory is bounded", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 1000 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 1<<10)))
			}
			_, _ = w.Write([]byte(good))
		}, "AnswerRefused", 1},
		"long header": {"memory is bounded", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1<<10))
			}
		}, "UpstreamUnreachable", 1},
		"cut off": {"half an answer is none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte(good))
		}, "UpstreamUnreachable", 1},
		"dropped": {"it is not sent again", func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, "UpstreamUnreachable", 1},
		"coded": {"a small answer that grows", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b"))
		}, "AnswerRefused", 1},
		"header not taken": {"the body is tried, once", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.PostFormValue("client_secret") == "canary-secret" {
				_, _ = w.Write([]byte(good))
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"canary-secret"}`))
		}, "", 2},
		"neither taken": {"and no third time", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		}, "Invalid", 2},
	} {
		t.Run(name, func(t *testing.T) {
			var asks atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asks.Add(1)
				tc.do(w, r)
			}))
			server.Config.ErrorLog = quietLog()
			server.StartTLS()
			defer server.Close()
			a := leadingTo(server.Listener.Addr().String(), server.Certificate())
			answer, err := a.token(t.Context(), workFor(t, nil), time.Now())
			switch {
			case tc.want == "":
				if err != nil || answer.Token.Reveal() != "canary-token" || answer.InBody != (tc.asks == 2) {
					t.Errorf("%v, in the body %v: %s", err, answer.InBody, tc.why)
				}
			case reasonOf(t, err) != tc.want || !answer.Token.IsZero():
				t.Errorf("got %v, want %s: %s", err, tc.want, tc.why)
			}
			if n := asks.Load(); n != tc.asks {
				t.Errorf("asked %d times, want %d: %s", n, tc.asks, tc.why)
			}
		})
	}
}

// TestTime holds that an endpoint that does not answer is given up.
func TestTime(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an empty answer could be read yet, before the client has closed
	}))
	defer server.Close()
	a := leadingTo(server.Listener.Addr().String(), server.Certificate())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := a.token(ctx, workFor(t, nil), time.Now()); reasonOf(t, err) != "UpstreamTimeout" {
		t.Errorf("got %v", err)
	}
	deadline := time.Duration(0)
	a.resolver, a.elsewhere = noticing{&deadline}, nil
	if _, err := a.token(context.Background(), workFor(t, nil), time.Now()); err == nil || deadline <= 0 || deadline > dialTimeout {
		t.Errorf("without a deadline of the caller's there is %s", deadline)
	}
}

// noticing notes how long a look-up may take.
type noticing struct{ left *time.Duration }

func (n noticing) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	if end, ok := ctx.Deadline(); ok {
		*n.left = time.Until(end)
	}
	return nil, nil
}

// TestCertificates holds that TLS is verified by name, and that the authority
// of an endpoint on the same server counts.
func TestCertificates(t *testing.T) {
	p := newProvider(t)
	strangers := asker{elsewhere: p.asker().elsewhere}
	if _, err := strangers.token(t.Context(), workFor(t, nil), time.Now()); reasonOf(t, err) != "UpstreamUnreachable" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	other := p.asker()
	other.elsewhere["login.invalid:443"] = other.elsewhere["example.com:443"]
	w := workFor(t, func(up *v1alpha1.UpstreamSecret) {
		up.Spec.Source.OAuth2.TokenURL = "https://login.invalid/oauth/token"
	})
	if _, err := other.token(t.Context(), w, time.Now()); reasonOf(t, err) != "UpstreamUnreachable" {
		t.Errorf("another name: %v", err)
	}
	trusting := func(url string) *work {
		return workFor(t, func(up *v1alpha1.UpstreamSecret) {
			up.Spec.Endpoints = []v1alpha1.Endpoint{{Name: "api", URL: url, TLS: &v1alpha1.TLS{CABundle: pemOf(p.Server.Certificate())}}}
		})
	}
	if _, err := strangers.token(t.Context(), trusting("https://example.com/v1"), time.Now()); reasonOf(t, err) != "Invalid" {
		t.Errorf("the authority of the endpoint: %v", err) // the provider does not know this client
	}
	if _, err := strangers.token(t.Context(), trusting("https://example.com:8443"), time.Now()); reasonOf(t, err) != "UpstreamUnreachable" {
		t.Errorf("the authority of another server: %v", err)
	}
}
