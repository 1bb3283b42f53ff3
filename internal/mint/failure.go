package mint

import (
	"fmt"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// The fields that failures name.
const (
	fieldOAuth2       = "spec.source.oauth2"
	fieldTokenURL     = fieldOAuth2 + ".tokenURL"
	fieldClientID     = fieldOAuth2 + ".clientID"
	fieldClientSecret = fieldOAuth2 + ".clientSecretRef"
	fieldRefreshToken = fieldOAuth2 + ".refreshTokenRef"
	fieldScopes       = fieldOAuth2 + ".scopes"
	fieldGrant        = fieldOAuth2 + ".grant"
	fieldGitHubApp    = "spec.source.githubApp"
	fieldPrivateKey   = fieldGitHubApp + ".privateKeyRef"
)

// A Failure says why there is no new token: a reason of the closed set, the
// field, and what to do. It is for conditions: it holds nothing of a key, of an
// answer, or of the time, and is the same while the trouble is the same.
type Failure struct {
	Reason string
	Field  string
	Msg    string
}

// Error is the field and the message.
func (f *Failure) Error() string { return f.Field + ": " + f.Msg }

func fail(reason, field, format string, args ...any) *Failure {
	return &Failure{reason, field, fmt.Sprintf(format, args...)}
}

// Unreached is a Failure where no answer came.
func (j *Job) Unreached(reason, msg string) *Failure {
	return &Failure{Reason: reason, Field: j.field(), Msg: msg}
}

// field is the one that says where tokens are minted.
func (j *Job) field() string {
	if j.spec.GitHubApp != nil {
		return fieldGitHubApp
	}
	return fieldTokenURL
}

// status is the failure that a status alone tells; nil: it tells none.
func (j *Job) status(code int) *Failure {
	where := "the token endpoint"
	if j.spec.GitHubApp != nil {
		where = "GitHub"
	}
	switch {
	case code >= 300 && code < 400:
		return fail(v1alpha1.ReasonAnswerRefused, j.field(), "%s answers with a redirect, and no key is sent after one: name the place itself", where)
	case code == 429 || code >= 500:
		return fail(v1alpha1.ReasonUpstreamUnreachable, j.field(), "%s answers %d: it is asked again", where, code)
	}
	return nil
}

// refusedOAuth2 is what an error answer of RFC 6749, section 5.2, means here.
// What else such an answer says is not repeated: it may quote the request.
func (j *Job) refusedOAuth2(code int, kind string) *Failure {
	if f := j.status(code); f != nil {
		return f
	}
	o := j.spec.OAuth2
	switch kind {
	case "invalid_client":
		field := fieldClientSecret
		if o.ClientSecretRef == nil {
			field = fieldClientID
		}
		return fail(v1alpha1.ReasonInvalid, field, "the token endpoint does not take the client (invalid_client): correct clientID, or the client's secret in the Secret")
	case "invalid_grant":
		if o.Grant == v1alpha1.GrantRefreshToken {
			return fail(v1alpha1.ReasonInvalid, fieldRefreshToken, "the token endpoint does not take the refresh token (invalid_grant), which has expired, was withdrawn or is used elsewhere too: have access given again, and write the new refresh token into the Secret")
		}
		return fail(v1alpha1.ReasonInvalid, fieldGrant, "the token endpoint does not take this grant (invalid_grant): correct it")
	case "invalid_scope":
		return fail(v1alpha1.ReasonInvalid, fieldScopes, "the token endpoint does not give these scopes (invalid_scope): correct them")
	case "unauthorized_client":
		return fail(v1alpha1.ReasonInvalid, fieldClientID, "the client may not use this grant (unauthorized_client): allow it at the token endpoint, or correct grant")
	case "unsupported_grant_type":
		return fail(v1alpha1.ReasonInvalid, fieldGrant, "the token endpoint does not know this grant (unsupported_grant_type): correct it")
	case "invalid_request":
		return fail(v1alpha1.ReasonInvalid, fieldOAuth2, "the token endpoint does not take the request (invalid_request): correct scopes and audience")
	}
	return fail(v1alpha1.ReasonInvalid, fieldTokenURL, "it answers %d, and no error that a token endpoint gives: correct tokenURL", code)
}

// refusedGitHub is what an error answer of GitHub means here.
func (j *Job) refusedGitHub(code int) *Failure {
	if f := j.status(code); f != nil {
		return f
	}
	g := j.spec.GitHubApp
	switch code {
	case 401:
		return fail(v1alpha1.ReasonInvalid, fieldPrivateKey, "GitHub does not take the app's signature (401): correct appID %d, or the private key in the Secret", g.AppID)
	case 403:
		return fail(v1alpha1.ReasonInvalid, fieldGitHubApp+".installationID", "GitHub gives no token for this installation (403): end its suspension, or wait where too much was asked")
	case 404:
		return fail(v1alpha1.ReasonInvalid, fieldGitHubApp+".installationID", "the app has no installation %d (404): correct installationID or appID", g.InstallationID)
	case 422:
		return fail(v1alpha1.ReasonInvalid, fieldGitHubApp, "GitHub does not give these repositories and permissions (422): list what the installation has, or give it more there")
	}
	return fail(v1alpha1.ReasonInvalid, fieldGitHubApp, "GitHub answers %d, which is no answer to this request: correct the url of the endpoint with profile github-rest", code)
}

// unreadable refuses an answer that is not what it should be.
func (j *Job) unreadable(what string) *Failure {
	return fail(v1alpha1.ReasonAnswerRefused, j.field(), "the token that came is not used: %s", what)
}
