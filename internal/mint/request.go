package mint

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Request is what asks for the next token of j, given what h holds. It carries
// keys: it is for the place that j names alone. inBody says where the client's
// secret goes.
func (j *Job) Request(ctx context.Context, h *Held, inBody bool, now time.Time) (*http.Request, error) {
	if j.spec.GitHubApp != nil {
		return j.gitHub(ctx, now)
	}
	return j.oauth2(ctx, h, inBody)
}

// MaxAnswer is how many bytes an answer may have. GitHub's describes each
// repository at length.
func (j *Job) MaxAnswer() int64 {
	if j.spec.GitHubApp != nil {
		return maxGitHubAnswer
	}
	return maxTokenAnswer
}

const (
	maxTokenAnswer  = 64 << 10
	maxGitHubAnswer = 8 << 20
)

// oauth2 is a request of RFC 6749, section 4.4.2 or 6.
func (j *Job) oauth2(ctx context.Context, h *Held, inBody bool) (*http.Request, error) {
	o := j.spec.OAuth2
	form := url.Values{}
	switch o.Grant {
	case v1alpha1.GrantRefreshToken:
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", h.RefreshToken(j).Reveal())
	default:
		form.Set("grant_type", "client_credentials")
	}
	if len(o.Scopes) > 0 {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	if o.Audience != "" {
		form.Set("audience", o.Audience)
	}
	basic := !inBody && !j.clientSecret.IsZero()
	if !basic {
		form.Set("client_id", o.ClientID)
	}
	if !basic && !j.clientSecret.IsZero() {
		form.Set("client_secret", j.clientSecret.Reveal())
	}
	req, err := post(ctx, o.TokenURL, "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err == nil && basic {
		// RFC 6749, section 2.3.1: both are escaped as in a form first.
		pair := url.QueryEscape(o.ClientID) + ":" + url.QueryEscape(j.clientSecret.Reveal())
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	return req, err
}

// gitHub asks for an installation token, narrowed to what the spec lists or less.
// None would mean all to GitHub, so it is never asked without.
func (j *Job) gitHub(ctx context.Context, now time.Time) (*http.Request, error) {
	g := j.app
	if len(g.Repositories) == 0 || len(g.Permissions) == 0 || j.api == "" {
		return nil, fail(v1alpha1.ReasonInvalid, fieldGitHubApp, "list repositories and permissions, and an endpoint with profile github-rest")
	}
	assertion, err := j.assertion(now)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Repositories []string                             `json:"repositories"`
		Permissions  map[string]v1alpha1.GitHubPermission `json:"permissions"`
	}{g.Repositories, g.Permissions})
	if err != nil {
		return nil, err
	}
	address := strings.TrimSuffix(j.api, "/") + "/app/installations/" + strconv.FormatInt(g.InstallationID, 10) + "/access_tokens"
	req, err := post(ctx, address, "application/json", body)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+assertion)
		req.Header.Set("Accept", "application/vnd.github+json")
		req.Header.Set("X-Github-Api-Version", "2022-11-28")
	}
	return req, err
}

func post(ctx context.Context, address, media string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// A request that may spend a refresh token is sent once, whatever happens
	// to the connection.
	req.GetBody = nil
	req.Header.Set("Content-Type", media)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	return req, nil
}
