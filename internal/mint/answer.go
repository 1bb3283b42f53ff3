package mint

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// An Answer is what a token endpoint gave.
type Answer struct {
	Token   secret.Value // zero: none that is used
	Expires time.Time
	// Refresh is the next refresh token; zero: the one before stays good. It is
	// to be kept even where the token is not used.
	Refresh secret.Value
	// InBody is where the client's secret was when it was taken.
	InBody bool
	// wrongClient says that the client was not taken, and nothing else done.
	wrongClient bool
}

// TryOther tells whether the client's secret may be sent once more, in the other
// place (RFC 6749, section 2.3.1): only where the endpoint said that it looked
// at nothing else.
func (a *Answer) TryOther(j *Job) bool { return a.wrongClient && !j.clientSecret.IsZero() }

// maxLife is how long a token is used at most, whatever its answer says.
const maxLife = 30 * 24 * time.Hour

// maxToken bounds a token, in bytes. It has to fit into a header.
const maxToken = 16 << 10

// Read reads an answer to what was asked at asked. The error is a *Failure; the
// refresh token is there all the same.
func (j *Job) Read(status int, header http.Header, body []byte, asked time.Time) (Answer, error) {
	a, f := j.read(status, header, body, asked)
	if f == nil && (!a.Expires.After(asked) || a.Token.IsZero()) {
		f = j.unreadable("it has expired already: compare the clocks")
	}
	if f != nil {
		a.Token, a.Expires = secret.Value{}, time.Time{}
		return a, f
	}
	if latest := asked.Add(maxLife); a.Expires.After(latest) {
		a.Expires = latest
	}
	a.Expires = a.Expires.Truncate(time.Second) // as it is stored
	return a, nil
}

func (j *Job) read(status int, header http.Header, body []byte, asked time.Time) (Answer, *Failure) {
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	members, err := object(body)
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		members = nil
	}
	success := http.StatusOK
	if j.spec.GitHubApp != nil {
		success = http.StatusCreated
	}
	switch {
	case status != success:
		return j.readError(status, members)
	case members == nil:
		return Answer{}, j.unreadable("the answer is no JSON object, or has a name twice")
	case j.spec.GitHubApp != nil:
		return j.readGitHub(members)
	}
	return j.readOAuth2(members, asked)
}

// readError reads an answer that brings no token.
func (j *Job) readError(status int, members map[string]json.RawMessage) (Answer, *Failure) {
	if j.spec.GitHubApp != nil {
		return Answer{}, j.refusedGitHub(status)
	}
	kind, _ := text(members, "error")
	return Answer{wrongClient: kind == "invalid_client" && (status == 400 || status == 401)}, j.refusedOAuth2(status, kind)
}

// readOAuth2 reads a successful answer (RFC 6749, section 5.1).
func (j *Job) readOAuth2(members map[string]json.RawMessage, asked time.Time) (Answer, *Failure) {
	var a Answer
	if refresh, ok := text(members, "refresh_token"); ok && j.spec.OAuth2.Grant == v1alpha1.GrantRefreshToken && checkText(refresh) {
		a.Refresh = secret.New(refresh)
	}
	token, _ := text(members, "access_token")
	kind, _ := text(members, "token_type")
	life, lasts := seconds(members["expires_in"])
	granted, told := text(members, "scope")
	switch {
	case !checkText(token):
		return a, j.unreadable("the answer has no access_token, or one that fits into no header")
	case !isBearer(kind):
		return a, j.unreadable("its token_type is not Bearer, and no other is known here")
	case !lasts:
		return a, j.unreadable("the answer does not say when it expires (expires_in), and one that may have expired is not sent: have the token endpoint say so")
	case told && len(j.spec.OAuth2.Scopes) > 0 && !within(strings.Fields(granted), j.spec.OAuth2.Scopes):
		return a, fail(v1alpha1.ReasonAnswerRefused, fieldScopes, "the token that came has scopes that were not asked for, and is not used: list them, or have the token endpoint not give them")
	}
	a.Token, a.Expires = secret.New(token), asked.Add(life)
	return a, nil
}

// within tells whether all that is given was asked for.
func within(given, asked []string) bool {
	all := map[string]bool{}
	for _, s := range asked {
		all[s] = true
	}
	for _, s := range given {
		if !all[s] {
			return false
		}
	}
	return true
}

// isBearer compares as RFC 6749, section 5.1 says: letters have no case.
func isBearer(kind string) bool { return len(kind) == len("bearer") && lower(kind) == "bearer" }

// lower lowers ASCII letters alone.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// seconds reads a whole number above zero; some write it as a string.
func seconds(raw json.RawMessage) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	return time.Duration(min(n, int64(maxLife/time.Second))) * time.Second, true
}

// checkText tells whether s is visible ASCII that fits into a header.
func checkText(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// text reads a string.
func text(members map[string]json.RawMessage, name string) (string, bool) {
	var s *string
	if raw, ok := members[name]; !ok || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// errNoObject is never shown: it would quote nothing.
var errNoObject = errors.New("no JSON object with every name once")

// object reads a JSON object, names exactly as they are, each once.
func object(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if _, twice := members[name]; err != nil || !ok || twice {
			return nil, errNoObject
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, errNoObject
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil || len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
		return nil, errNoObject
	}
	return members, nil
}
