// Package oauth runs a real server of OAuth 2 on loopback, the one of
// zitadel/oidc, to have tokens minted by.
package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What clients of the provider are called, and their secrets. The service client
// is one of the library's example storage.
const (
	WebClient     = "web-client"
	WebSecret     = "canary-web-secret"
	ServiceClient = "sid1"
	ServiceSecret = "verysecret"
)

// TokenURL is where tokens are asked for, once example.com leads to the
// provider.
const TokenURL = "https://example.com/oauth/token"

// Provider gives tokens. It rotates refresh tokens; one that comes a second time
// withdraws the whole family, as careful providers do. It may be used
// concurrently.
type Provider struct {
	*storage.Storage
	Server *httptest.Server

	life time.Duration // of access tokens; 0: as the library has it

	mu        sync.Mutex
	used      map[string]bool
	reused    int
	withdrawn map[string]bool // the families of these
	asked     int             // requests for tokens
	given     []string        // access tokens
	ends      map[string]time.Time
	secret    string // of the service client
	// answer replaces an answer, once it was made; nil: it is passed on.
	answer func(status int, body []byte) (int, []byte)
}

// New starts a provider whose access tokens live that long; 0: five minutes.
func New(life time.Duration) (*Provider, error) {
	storage.RegisterClients(storage.WebClient(WebClient, WebSecret))
	p := &Provider{
		Storage: storage.NewStorage(storage.NewUserStore("https://example.com")), life: life, secret: ServiceSecret,
		used: map[string]bool{}, withdrawn: map[string]bool{}, ends: map[string]time.Time{},
	}
	handler, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("test")), GrantTypeRefreshToken: true}, p, op.StaticIssuer("https://example.com"), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("making a provider: %w", err)
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			p.token(w, r, handler)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	p.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.Server.StartTLS()
	return p, nil
}

// Close stops serving.
func (p *Provider) Close() { p.Server.Close() }

// token has the provider answer, and notes what it gave.
func (p *Provider) token(w http.ResponseWriter, r *http.Request, next http.Handler) {
	made := httptest.NewRecorder()
	next.ServeHTTP(made, r)
	status, body := made.Code, made.Body.Bytes()
	var given struct {
		Token string `json:"access_token"`
		Life  int64  `json:"expires_in"`
	}
	p.mu.Lock()
	p.asked++
	if status == http.StatusOK && json.Unmarshal(body, &given) == nil {
		p.given = append(p.given, given.Token)
		p.ends[given.Token] = time.Now().Add(time.Duration(given.Life) * time.Second)
	}
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		status, body = answer(status, body)
	}
	w.Header().Set("Content-Type", made.Header().Get("Content-Type"))
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(body)) // whoever asked may have gone
}

// Count is how often it was asked for tokens, and how often with a refresh token
// that was used before.
func (p *Provider) Count() (asked, reused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.reused
}

// Given are the access tokens that it gave, the last one last.
func (p *Provider) Given() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.given)
}

// Good tells whether an access token was given and has not ended, with a second
// for the request that it came with.
func (p *Provider) Good(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.ends[token].Add(time.Second))
}

// Answering has f replace answers; nil: they are passed on.
func (p *Provider) Answering(f func(status int, body []byte) (int, []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// Reissue gives the service client another secret. The one before is not taken
// any more.
func (p *Provider) Reissue(secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secret = secret
}

// ClientCredentials knows the service client by the secret that it has now.
func (p *Provider) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	p.mu.Lock()
	known := secret == p.secret
	p.mu.Unlock()
	if !known {
		return nil, errors.New("this is not the client's secret")
	}
	return p.Storage.ClientCredentials(ctx, id, ServiceSecret)
}

// CreateAccessToken has the token end as early as the provider's do.
func (p *Provider) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, expires, err := p.Storage.CreateAccessToken(ctx, r)
	if p.life > 0 {
		expires = time.Now().Add(p.life)
	}
	return id, expires, err
}

// Consent begins a family: somebody has given the web client access. It returns
// the first refresh token.
func (p *Provider) Consent(ctx context.Context) (string, error) {
	_, refresh, _, err := p.Storage.CreateAccessAndRefreshTokens(ctx, &storage.AuthRequest{
		ID: "consent", ApplicationID: WebClient, UserID: "id1", Scopes: []string{"openid", "profile", "offline_access"},
	}, "")
	return refresh, err
}

// CreateAccessAndRefreshTokens notes what is used up.
func (p *Provider) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (string, string, time.Time, error) {
	id, next, expires, err := p.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
	if err == nil && current != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.used[current] = true
	}
	return id, next, expires, err
}

// TokenRequestByRefreshToken withdraws the family of a token that was used.
func (p *Provider) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
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
		return nil, errors.Join(errors.New("used before: the family is withdrawn"), p.TerminateSession(ctx, "id1", WebClient))
	}
	return p.Storage.TokenRequestByRefreshToken(ctx, token)
}
