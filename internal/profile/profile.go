// Package profile holds what is known of upstream families: spellings that the
// upstream takes for equal, names that it would act on, headers of its own, and
// the environment variables by which its clients are configured.
//
// Profiles are data under data/, one file each, reviewed like code: an entry
// that calls two spellings equal which the upstream tells apart would let one
// scope reach the other's resource. Sources of each entry:
//
//   - github-rest: the names of accounts and repositories are compared without
//     letter case, file paths and refs may hold an encoded slash, client_id and
//     client_secret are an older way to authenticate, X-GitHub-Api-Version
//     chooses the version (GitHub's REST documentation). Clients that take a
//     host for an Enterprise server put /api/v3/ before the path, and ask
//     /api/graphql (cli/cli, github-mcp-server). Its clients read
//     GITHUB_API_URL, GITHUB_TOKEN and GH_TOKEN. It includes github-graphql.
//   - github-git: the names of accounts and repositories have no letter case.
//     git reads GIT_CONFIG_COUNT and the keys and values that it counts
//     (git-config(1)): insteadOf leads addresses of the upstream to the sidecar,
//     extraHeader shows it the token without being asked, and to nobody else.
//   - github-graphql: GraphQL-Features lets fields be selected that are in
//     preview (github.com/cli/cli sends it). Its clients read GITHUB_GRAPHQL_URL,
//     as they find it in GitHub Actions. Its schema is in internal/compile/sdl.
//   - google-rest: the system parameters of Google's APIs, with and without a
//     dollar sign: $httpMethod is another method, key another identity,
//     userProject another payer, uploadType another way to read the body
//     (Google's documentation of system parameters). X-Goog-FieldMask narrows
//     an answer.
//   - odata: system query options by which a read reaches further resources or
//     has another form, with and without their dollar sign (OData 4.01, URL
//     Conventions, section 5.1).
//   - strict-json: strict, for upstreams that are asked with JSON bodies.
//   - openai: Idempotency-Key and OpenAI-Beta are sent by the client libraries,
//     which read OPENAI_BASE_URL, OPENAI_API_BASE and OPENAI_API_KEY and want
//     the version in the address. Organization and project are not forwarded:
//     they choose who pays.
//   - anthropic: anthropic-version is required. The client libraries read
//     ANTHROPIC_BASE_URL or ANTHROPIC_API_URL, and send ANTHROPIC_API_KEY in
//     x-api-key, ANTHROPIC_AUTH_TOKEN as Bearer: only one of them may be set.
//   - mcp: the headers of the protocol are made of the messages, which their
//     grants judge. Clients read no variables: the address and the token stand
//     in their configuration, for which spec.client.env sets what it refers to.
package profile

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Profile is one upstream family. The zero value is strict and sets no
// variable. Callers must not change the slices.
type Profile struct {
	// Scope is what the judge knows of it.
	Scope scope.Profile
	// Env are the client variables.
	Env []EnvVar
}

// EnvVar is a client variable. Its value holds {url:ENDPOINT}, in which
// ENDPOINT stands for the endpoint that has the profile, {upstream}, its url,
// {token}, or {basic}, the token as the password of HTTP Basic; or it says of
// the others how they are read.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Inject says that the variable is for endpoints that take the credential
	// this way alone: bearer, header or basic. Empty: for all.
	Inject string `json:"inject"`
}

//go:embed data/*.json
var data embed.FS

// profiles are read once, when the program starts; a mistake in the data is a
// mistake in the program.
var profiles = mustRead(data)

// Lookup returns the profile of that name, and whether this release has it.
// The empty name is strict. It is safe for concurrent use.
func Lookup(name string) (Profile, bool) {
	if name == "" {
		name = "strict"
	}
	p, ok := profiles[name]
	return p, ok
}

// Names returns the names that Lookup knows, sorted.
func Names() []string {
	var names []string
	for name := range profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func mustRead(files fs.FS) map[string]Profile {
	read, err := readAll(files)
	if err != nil {
		panic(err)
	}
	return read
}

// readAll reads every file strictly: a key that is misspelt would be a rule
// that is missing.
func readAll(files fs.FS) (map[string]Profile, error) {
	paths, err := fs.Glob(files, "data/*.json")
	if err != nil {
		return nil, fmt.Errorf("listing profiles: %w", err)
	}
	all := map[string]Profile{}
	for _, file := range paths {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("reading profile: %w", err)
		}
		p, err := read(text)
		if err != nil {
			return nil, fmt.Errorf("reading profile %s: %w", file, err)
		}
		all[strings.TrimSuffix(path.Base(file), ".json")] = p
	}
	return all, nil
}

func read(text []byte) (Profile, error) {
	var file struct {
		Profile scope.Profile `json:"profile"`
		Env     []EnvVar      `json:"env"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return Profile{}, err
	}
	p := Profile{Scope: file.Profile}
	if len(file.Env) > 0 {
		p.Env = file.Env
	}
	return p, nil
}
