package mint

import (
	"encoding/json"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// levels of access, each of which has those before it.
var levels = map[v1alpha1.GitHubPermission]int{v1alpha1.GitHubRead: 1, v1alpha1.GitHubWrite: 2, v1alpha1.GitHubAdmin: 3}

// implied is what GitHub adds to every token.
const implied = "metadata"

// readGitHub reads an installation token, and holds it to what was asked for.
// What the answer leaves out is not known, so it is not used.
func (j *Job) readGitHub(members map[string]json.RawMessage) (Answer, *Failure) {
	token, _ := text(members, "token")
	until, _ := text(members, "expires_at")
	expires, err := time.Parse(time.RFC3339, until)
	switch {
	case !checkText(token):
		return Answer{}, j.unreadable("the answer has no token, or one that fits into no header")
	case err != nil:
		return Answer{}, j.unreadable("the answer does not say when it expires (expires_at)")
	}
	if f := j.withinPermissions(members["permissions"]); f != nil {
		return Answer{}, f
	}
	if f := j.withinRepositories(members); f != nil {
		return Answer{}, f
	}
	return Answer{Token: secret.New(token), Expires: expires}, nil
}

func (j *Job) withinPermissions(raw json.RawMessage) *Failure {
	var given map[string]v1alpha1.GitHubPermission
	if json.Unmarshal(raw, &given) != nil || given == nil {
		return j.unreadable("the answer does not say which permissions it has")
	}
	for name, level := range given {
		asked := levels[j.app.Permissions[name]]
		if name == implied {
			asked = max(asked, levels[v1alpha1.GitHubRead])
		}
		if n := levels[level]; n == 0 || n > asked {
			return j.unreadable("it has permissions that were not asked for")
		}
	}
	return nil
}

func (j *Job) withinRepositories(members map[string]json.RawMessage) *Failure {
	selection, _ := text(members, "repository_selection")
	var given []struct{ Name string }
	if selection != "selected" || json.Unmarshal(members["repositories"], &given) != nil || given == nil {
		return j.unreadable("the answer does not say that it is good for selected repositories, and for which")
	}
	asked := map[string]bool{}
	for _, name := range j.app.Repositories {
		asked[lower(name)] = true
	}
	for _, r := range given {
		if !asked[lower(r.Name)] {
			return j.unreadable("it is good for repositories that were not asked for")
		}
	}
	return nil
}
