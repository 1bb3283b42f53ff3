package minter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What clients of the provider are called, and their secrets.
const (
	webClient, webSecret         = "web-client", "canary-web-secret"
	serviceClient, serviceSecret = "sid1", "verysecret" // of the library's example storage
	tokenURL                     = "https://example.com/oauth/token"
)

// provider is a real server of OAuth 2, the one of zitadel/oidc, on loopback.
// It rotates refresh tokens; one that comes a second time withdraws the whole
// family, as careful providers do.
type provider struct {
	*storage.Storage
	server *httptest.Server

	mu        sync.Mutex
	used      map[string]bool
	reused    int
	withdrawn map[string]bool // the families of these
	asked     int             // requests for tokens
	last      string          // access token that was given last
	// answer replaces an answer, once it was made; nil: it is passed on.
	answer func(status int, body []byte) (int, []byte)
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	storage.RegisterClients(storage.WebClient(webClient, webSecret))
	p := &provider{Storage: storage.NewStorage(storage.NewUserStore("https://example.com")), used: map[string]bool{}, withdrawn: map[string]bool{}}
	handler, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("test")), GrantTypeRefreshToken: true}, p, op.StaticIssuer("https://example.com"), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			p.token(w, r, handler)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	p.server.Config.ErrorLog = quietLog()
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

// token has the provider answer, and notes what it gave.
func (p *provider) token(w http.ResponseWriter, r *http.Request, next http.Handler) {
	made := httptest.NewRecorder()
	next.ServeHTTP(made, r)
	status, body := made.Code, made.Body.Bytes()
	var given struct {
		Token string `json:"access_token"`
	}
	p.mu.Lock()
	p.asked++
	if status == http.StatusOK && json.Unmarshal(body, &given) == nil {
		p.last = given.Token
	}
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		status, body = answer(status, body)
	}
	w.Header().Set("Content-Type", made.Header().Get("Content-Type"))
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(body))
}

// count is how often it was asked for tokens, and how often with a refresh token
// that was used before.
func (p *provider) count() (asked, reused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.reused
}

func (p *provider) given() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *provider) answering(f func(status int, body []byte) (int, []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// consent begins a family: somebody has given the web client access. It returns
// the first refresh token.
func (p *provider) consent(t *testing.T) string {
	t.Helper()
	_, refresh, _, err := p.Storage.CreateAccessAndRefreshTokens(context.Background(), &storage.AuthRequest{
		ID: "consent", ApplicationID: webClient, UserID: "id1", Scopes: []string{"openid", "profile", "offline_access"},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return refresh
}

// CreateAccessAndRefreshTokens notes what is used up.
func (p *provider) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (string, string, time.Time, error) {
	id, next, expires, err := p.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
	if err == nil && current != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.used[current] = true
	}
	return id, next, expires, err
}

// TokenRequestByRefreshToken withdraws the family of a token that was used.
func (p *provider) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
	p.mu.Lock()
	reused, known := p.used[token], p.withdrawn[token]
	if reused {
		p.reused++
		p.withdrawn[token] = true
	}
	p.mu.Unlock()
	switch {
	case known: // what was given since is of another family
		return nil, errors.New("used before: the family was withdrawn")
	case reused:
		return nil, errors.Join(errors.New("used before: the family is withdrawn"), p.TerminateSession(ctx, "id1", webClient))
	}
	return p.Storage.TokenRequestByRefreshToken(ctx, token)
}

// takes tells whether the provider takes an access token for good.
func (p *provider) takes(t *testing.T, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server.URL+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// mustRequest is what a refresh token stands for.
func mustRequest(t *testing.T, p *provider, token string) op.TokenRequest {
	t.Helper()
	r, err := p.TokenRequestByRefreshToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
