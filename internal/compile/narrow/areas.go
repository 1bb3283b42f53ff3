package narrow

// An area is what lies at and below /repos/{owner}/{repo}/NAME of GitHub's REST
// API, with the permissions that anything there may need (GitHub's documentation,
// Permissions required for GitHub Apps). One too many costs a token that may do
// more than it has to, one too few is refused by GitHub: where it depends on the
// number of an issue or on the files of a commit, all stand here.
type area struct {
	name        string // empty: the repository itself
	permissions []string
	least       need     // of every method; otherwise those that change nothing read
	whole       []string // of the permissions, those that are needed as they are listed, likewise
}

// Permissions that stand together in many areas.
var (
	settings     = []string{"administration"}
	code         = []string{"contents", "single_file", "workflows"}
	conversation = []string{"issues", "pull_requests"}
	secrets      = []string{"administration", "secrets", "actions_variables", "environments"}
)

func with(first []string, more ...string) []string {
	return append(first[:len(first):len(first)], more...)
}

// areas are those that are known. Of a request elsewhere nothing is.
var areas = []area{
	{name: "", permissions: with(settings, "contents")},
	{name: "actions", permissions: with(secrets, "actions", "deployments", "workflows")},
	{name: "activity", permissions: code},
	{name: "agents", permissions: []string{"agent_secrets", "agent_variables"}},
	{name: "assignees", permissions: conversation},
	{name: "attestations", permissions: []string{"attestations"}},
	{name: "autolinks", permissions: settings},
	{name: "automated-security-fixes", permissions: settings},
	{name: "branches", permissions: with(settings, "contents", "members", "workflows")},
	{name: "check-runs", permissions: []string{"checks"}},
	{name: "check-suites", permissions: []string{"checks"}},
	{name: "code-quality", permissions: settings, least: listed},
	{name: "code-scanning", permissions: with(settings, "contents", "security_events", "workflows")},
	{name: "code-security-configuration", permissions: settings},
	{name: "codeowners", permissions: code},
	{name: "codespaces", permissions: []string{"codespaces", "codespaces_metadata", "codespaces_secrets"}, least: listed},
	{name: "collaborators", permissions: with(settings, "members")},
	{name: "comments", permissions: with(conversation, "contents")},
	{name: "commits", permissions: with(conversation, "checks", "contents", "statuses")},
	{name: "community", permissions: code},
	{name: "compare", permissions: code},
	{name: "contents", permissions: code},
	{name: "contributors"},
	{name: "copilot", permissions: []string{"copilot_agent_settings"}},
	{name: "dependabot", permissions: []string{"dependabot_secrets", "vulnerability_alerts"}},
	{name: "dependency-graph", permissions: code},
	{name: "deployments", permissions: []string{"contents", "deployments", "statuses"}},
	{name: "dispatches", permissions: []string{"contents"}},
	{name: "environments", permissions: with(secrets, "actions", "deployments", "members")},
	{name: "events", permissions: conversation},
	{name: "forks", permissions: with(settings, "contents")},
	{name: "git", permissions: code},
	{name: "hash-algorithm"},
	{name: "hooks", permissions: []string{"repository_hooks"}},
	{name: "immutable-releases", permissions: settings},
	{name: "interaction-limits", permissions: settings},
	{name: "invitations", permissions: with(settings, "private_repository_invitations")},
	{name: "issues", permissions: conversation},
	{name: "keys", permissions: settings},
	{name: "labels", permissions: conversation},
	{name: "languages"},
	{name: "license", permissions: code},
	{name: "merge-upstream", permissions: code},
	{name: "merges", permissions: code},
	{name: "milestones", permissions: conversation},
	{name: "pages", permissions: with(settings, "pages")},
	{name: "pages/health", permissions: with(settings, "pages"), least: listed},
	{name: "private-vulnerability-reporting", permissions: settings},
	{name: "properties", permissions: []string{"repository_custom_properties"}},
	{name: "pulls", permissions: append(with(conversation, "members"), code...)}, // teams review
	{name: "readme", permissions: code},
	{name: "releases", permissions: code, whole: []string{"contents"}}, // drafts are shown to who may write
	{name: "rules", permissions: settings},
	{name: "rulesets", permissions: with(settings, "members"), least: listed},
	{name: "secret-scanning", permissions: []string{"secret_scanning_alerts"}},
	{name: "security-advisories", permissions: with(settings, "repository_advisories")},
	{name: "stargazers"},
	{name: "stats"},
	{name: "statuses", permissions: []string{"statuses"}},
	{name: "subscribers"},
	{name: "tags", permissions: with(settings, "contents")},
	{name: "tarball", permissions: code},
	{name: "teams", permissions: with(settings, "members")},
	{name: "topics", permissions: settings},
	{name: "traffic", permissions: settings},
	{name: "vulnerability-alerts", permissions: with(settings, "vulnerability_alerts")},
	{name: "zipball", permissions: code},
}

// writeOnly are the permissions of which GitHub knows no reading: nothing that changes
// nothing needs them.
var writeOnly = map[string]bool{"workflows": true}

// implied is what GitHub adds to every token.
const implied = "metadata"

// known are the permissions of which it is known where they are needed.
var known = func() map[string]bool {
	all := map[string]bool{implied: true}
	for _, a := range areas {
		for _, p := range a.permissions {
			all[p] = true
		}
	}
	return all
}()

// paths are the templates of the requests of a.
func (a *area) paths() []string {
	if a.name == "" {
		return []string{repository}
	}
	return []string{repository + "/" + a.name, repository + "/" + a.name + "/{rest...}"}
}

// repository is the path of one; everything else about it lies below.
const (
	repository = "/repos/{owner}/{repo}"
	below      = repository + "/{rest...}"
)

// harmless are paths of which no permission and no repository is asked.
var harmless = []string{"/", "/emojis", "/meta", "/octocat", "/rate_limit", "/versions", "/zen"}
