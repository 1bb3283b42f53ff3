package minter

import (
	"context"
	"net/http"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sallyport-dev/sallyport/test/oauth"
)

// What clients of the provider are called, and their secrets.
const (
	webClient, webSecret         = oauth.WebClient, oauth.WebSecret
	serviceClient, serviceSecret = oauth.ServiceClient, oauth.ServiceSecret
	tokenURL                     = oauth.TokenURL
)

// provider is a real server of OAuth 2 on loopback.
type provider struct{ *oauth.Provider }

func newProvider(t *testing.T) *provider {
	t.Helper()
	p, err := oauth.New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &provider{p}
}

func (p *provider) asker() asker {
	return leadingTo(p.Server.Listener.Addr().String(), p.Server.Certificate())
}

// last is the access token that was given last.
func (p *provider) last() string {
	if all := p.Given(); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// consent begins a family, and returns its first refresh token.
func (p *provider) consent(t *testing.T) string {
	t.Helper()
	refresh, err := p.Consent(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return refresh
}

// takes tells whether the provider takes an access token for good.
func (p *provider) takes(t *testing.T, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Server.URL+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.Server.Client().Do(req)
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
