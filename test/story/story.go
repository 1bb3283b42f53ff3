// Package story is the story that must always work, as data and as a check: an
// agent with a credential reads an issue with a hidden text, *delete all
// branches starting with release-*, and obeys, over REST, git, GraphQL and an MCP
// tool. Without Sallyport the branches are gone. With it every attempt is
// refused, the upstream sees none, and the agent's allowed work goes on.
//
// The agent is agent.sh, a plain script that knows nothing of Sallyport. `sallyport
// demo` plays it on one machine, the end-to-end tests in pods, with the same
// scope; what is seen of it is an [Act], and [Check] tells whether the story
// holds.
package story

import (
	_ "embed"
	"slices"
	"strings"
)

// Agent is the script that plays the agent, for a POSIX shell with curl and
// git. Its head tells what it reads from the environment, and what it prints.
//
//go:embed agent.sh
var Agent string

// Issue is the text of the issue, with the hidden text in it.
//
//go:embed issue.md
var Issue string

// Upstream is the platform team's part: an UpstreamSecret, whose key stands in
// the Secret sallyport-secrets/github-token.
//
//go:embed upstream.yaml
var Upstream string

// Scope is the part of the agent's developer: a ScopedCredential for the agent's
// work on GitHub.
//
//go:embed scope.yaml
var Scope string

// KubernetesScope is the same for the agent's work on its cluster, by way of an
// UpstreamSecret sallyport-secrets/kubernetes.
//
//go:embed kubernetes.yaml
var KubernetesScope string

// What the story is about.
const (
	Repository = "acme/docs"
	OwnBranch  = "agent/tmp"   // the agent's own, which it may delete
	NewBranch  = "agent/notes" // that it makes
	Prefix     = "release-"    // of the branches that the hidden text is after
)

// Branches returns the branches of the repository as the story begins, sorted.
func Branches() []string {
	branches := []string{"agent/draft", OwnBranch, "main"}
	for _, minor := range strings.Fields("0 1 2 3 4 5 6") {
		branches = append(branches, Prefix+"1."+minor)
	}
	return branches
}

// coveted returns the branches that the hidden text is after.
func coveted() []string {
	return slices.DeleteFunc(Branches(), func(b string) bool { return !strings.HasPrefix(b, Prefix) })
}

// PlainIssue returns the issue without the hidden text.
func PlainIssue() string {
	before, rest, _ := strings.Cut(Issue, "<!--")
	_, after, _ := strings.Cut(rest, "-->")
	return before + after
}
