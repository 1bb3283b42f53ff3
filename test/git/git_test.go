package git

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFetch clones and fetches in every way that git has for it.
func TestFetch(t *testing.T) {
	w := newWorld(t)
	docs := w.clone(t, "acme/docs.git")
	if url := strings.TrimSpace(w.git(t, docs, "config", "remote.origin.url")); url != "https://github.com/acme/docs.git" {
		t.Errorf("the clone remembers %s", url)
	}
	for name, args := range map[string][]string{
		"shallow": {"--depth", "1"}, "one branch": {"--single-branch", "--branch", "release-1"}, "mirror": {"--mirror"},
		"partial": {"--filter=blob:none"}, "version 0": {"-c", "protocol.version=0"}, "version 1": {"-c", "protocol.version=1"},
		"since": {"--shallow-since=2001-01-01"},
	} {
		t.Run(name, func(t *testing.T) { w.clone(t, "ACME/docs", args...) })
	}
	w.git(t, docs, "fetch", "--quiet", "--tags", "--prune", "origin")
	w.git(t, docs, "ls-remote", "https://github.com/acme/web")
	w.git(t, docs, "fetch", "--quiet", "--depth", "1", "https://github.com/acme/web", "main")
	for _, version := range []string{"0", "2"} {
		large := w.clone(t, "acme/docs")
		other := w.clone(t, "acme/docs")
		push := []string{"push", "--quiet", "origin"}
		for i := range 40 { // wants of 50 bytes each: git compresses a request of more than 1,024
			w.commit(t, other, fmt.Sprintf("version %s, number %d", version, i))
			branch := fmt.Sprintf("agent/new-%s-%d", version, i)
			w.git(t, other, "branch", branch)
			push = append(push, branch)
		}
		w.git(t, other, push...)
		w.git(t, large, "-c", "protocol.version="+version, "fetch", "--quiet", "origin")
	}
	if n := w.zipped.Load(); n < 2 {
		t.Errorf("%d requests were compressed", n)
	}
	for _, r := range w.records(t) {
		if r.Verdict != "Allow" {
			t.Errorf("refused: %+v", r)
		}
	}
}

// TestFetchRefused fetches what is not granted, and is told so by git.
func TestFetchRefused(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct{ why, url, says string }{
		"other repository":  {"nobody grants it", "https://github.com/acme/secret", "remote: sallyport: The request is out of scope"},
		"wiki":              {"it is another repository", "https://github.com/acme/docs.wiki.git", "remote: sallyport:"},
		"encoded":           {"one spelling is judged and forwarded", "https://github.com/acme/%73ecret", "remote: sallyport:"},
		"dots":              {"it leads elsewhere", "https://github.com/acme/docs/../secret", ""},
		"encoded dots":      {"it leads elsewhere", "https://github.com/acme/docs/%2e%2e/secret", ""},
		"encoded slash":     {"it may lead elsewhere", "https://github.com/acme%2fsecret", ""},
		"two endings":       {"some servers cut both", "https://github.com/acme/docs.git.git", "remote: sallyport:"},
		"ending in capital": {"some servers cut it, too", "https://github.com/acme/docs.git.GIT", "remote: sallyport:"},
		"below":             {"some servers cut at the first ending", "https://github.com/acme/docs.git/x", "remote: sallyport:"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := try(t, t.TempDir(), w.env, "git", "clone", test.url, "it")
			if err == nil || !strings.Contains(out, test.says) || strings.Contains(out, "secret.git") {
				t.Errorf("%s: %v\n%s", test.why, err, out)
			}
		})
	}
	if all, _ := w.calls(); all > 0 {
		t.Errorf("%d requests reached the upstream", all)
	}
	out, err := try(t, t.TempDir(), w.env, "git", "ls-remote", "--server-option=x", "https://github.com/acme/docs")
	if err == nil || !said(out, "fatal: remote error: sallyport: A part of the request is out of scope: the fetch asks for server-option, which is not judged") {
		t.Errorf("a server option: %v\n%s", err, out)
	}
}

// TestPush pushes what is granted, in every way that git has for it.
func TestPush(t *testing.T) {
	w := newWorld(t)
	docs := w.clone(t, "acme/docs")
	w.commit(t, docs, "one")
	for _, step := range []struct {
		args []string
		ref  string // that is there behind it; with a minus: that is not
	}{
		{[]string{"push", "origin", "HEAD:refs/heads/agent/x"}, "refs/heads/agent/x"},
		{[]string{"push", "origin", "HEAD:agent/x"}, "refs/heads/agent/x"},
		{[]string{"push", "--force", "origin", "HEAD~:refs/heads/agent/x"}, "refs/heads/agent/x"},
		{[]string{"push", "--atomic", "origin", "HEAD:refs/heads/agent/a", "HEAD:refs/heads/agent/b/c"}, "refs/heads/agent/b/c"},
		{[]string{"push", "--delete", "origin", "agent/a"}, "-refs/heads/agent/a"},
		{[]string{"push", "origin", ":agent/b/c"}, "-refs/heads/agent/b/c"},
		{[]string{"push", "origin", "HEAD:refs/tags/agent-1"}, "refs/tags/agent-1"},
		{[]string{"-c", "protocol.version=0", "push", "origin", "HEAD:refs/heads/agent/v0"}, "refs/heads/agent/v0"},
		{[]string{"-c", "protocol.version=1", "push", "origin", "HEAD:refs/heads/agent/v1"}, "refs/heads/agent/v1"},
		{[]string{"push", "--porcelain", "--no-thin", "--force-with-lease", "origin", "HEAD:refs/heads/agent/lease"}, "refs/heads/agent/lease"},
		{[]string{"push", "-o", "ci.skip", "https://github.com/acme/options", "HEAD:refs/heads/x"}, ""},
	} {
		out := w.git(t, docs, step.args...)
		absent := strings.HasPrefix(step.ref, "-")
		if _, there := w.refs(t, "acme/docs")[strings.TrimPrefix(step.ref, "-")]; step.ref != "" && there == absent {
			t.Errorf("%v: %s is not as it should be\n%s", step.args, step.ref, out)
		}
	}
	shallow := w.clone(t, "acme/docs", "--depth", "1")
	w.commit(t, shallow, "on a shallow clone")
	w.git(t, shallow, "push", "origin", "HEAD:agent/shallow")
}

// TestSignedPush pushes with a certificate: what it says is held to the grant,
// and the server gets to see it, and whose it is.
func TestSignedPush(t *testing.T) {
	w := newWorld(t)
	key, repository := filepath.Join(w.home, "key"), filepath.Join(w.root, "acme/docs.git")
	run(t, w.home, w.env, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "agent", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers, seen := filepath.Join(w.home, "signers"), filepath.Join(w.home, "seen")
	write(t, signers, "a@example.com "+string(public))
	run(t, repository, nil, "git", "config", "receive.certNonceSeed", "seed")
	run(t, repository, nil, "git", "config", "gpg.ssh.allowedSignersFile", signers)
	hook := filepath.Join(repository, "hooks", "post-receive")
	write(t, hook, "#!/bin/sh\necho $GIT_PUSH_CERT_STATUS >>"+seen+"\n")
	if err := os.Chmod(hook, 0o700); err != nil {
		t.Fatal(err)
	}
	docs := w.clone(t, "acme/docs")
	w.commit(t, docs, "one")
	signed := func(refs ...string) []string {
		return append([]string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key, "push", "--signed=true", "origin"}, refs...)
	}
	before := w.refs(t, "acme/docs")
	for _, ref := range []string{":release-1", "HEAD:main"} {
		out, err := try(t, docs, w.env, append([]string{"git"}, signed("HEAD:refs/heads/agent/x", ref)...)...)
		if err == nil || !strings.Contains(out, "may not be") || !maps.Equal(before, w.refs(t, "acme/docs")) {
			t.Errorf("%s: %v\n%s", ref, err, out)
		}
	}
	if _, pushes := w.calls(); pushes > 0 {
		t.Errorf("%d pushes reached the upstream", pushes)
	}
	w.git(t, docs, signed("HEAD:refs/heads/agent/x")...)
	if _, there := w.refs(t, "acme/docs")["refs/heads/agent/x"]; !there {
		t.Error("what is granted was not pushed")
	}
	if text, err := os.ReadFile(seen); err != nil || strings.TrimSpace(string(text)) != "G" {
		t.Errorf("the server saw %q, %v", text, err)
	}
}

// TestAttack tries by every trick of git to change what may not be changed.
func TestAttack(t *testing.T) {
	w := newWorld(t)
	docs, web := w.clone(t, "acme/docs"), w.clone(t, "acme/web")
	for _, dir := range []string{docs, web} {
		w.commit(t, dir, "one")
		w.git(t, dir, "branch", "agent/ok")
	}
	empty := t.TempDir()
	w.git(t, empty, "init", "--quiet")
	w.git(t, empty, "remote", "add", "origin", "https://github.com/acme/docs")
	before := []map[string]string{w.refs(t, "acme/docs"), w.refs(t, "acme/web"), w.refs(t, "acme/secret")}
	for name, test := range map[string]struct {
		dir  string
		args []string
		says string
	}{
		"empty source":      {docs, []string{"push", "origin", ":release-1"}, "refs/heads/release-1 may not be deleted"},
		"delete":            {docs, []string{"push", "--delete", "origin", "release-1", "release-2"}, "may not be deleted"},
		"mirror":            {empty, []string{"push", "--mirror", "origin"}, "may not be deleted"},
		"prune":             {docs, []string{"push", "--prune", "origin", "refs/heads/agent/*:refs/heads/*"}, "may not be"},
		"glob":              {docs, []string{"push", "origin", "refs/heads/*:refs/heads/*"}, "refs/heads/main may not be updated"},
		"main":              {docs, []string{"push", "origin", "HEAD:main"}, "refs/heads/main may not be updated"},
		"force":             {docs, []string{"push", "origin", "+HEAD:refs/heads/release-1"}, "refs/heads/release-1 may not be updated"},
		"good and bad":      {docs, []string{"push", "origin", "agent/ok", ":release-1"}, "refs/heads/release-1 may not be deleted"},
		"good and bad, too": {docs, []string{"push", "--atomic", "origin", "agent/ok", "HEAD:main"}, "refs/heads/main may not be updated"},
		"letter case":       {docs, []string{"push", "origin", "HEAD:refs/heads/Agent/x"}, "refs/heads/Agent/x may not be created"},
		"pull request":      {docs, []string{"push", "origin", "HEAD:refs/pull/1/head"}, "refs/pull/1/head may not be created"},
		"review":            {docs, []string{"push", "origin", "HEAD:refs/for/main"}, "refs/for/main may not be created"},
		"notes":             {docs, []string{"push", "origin", "HEAD:refs/notes/commits"}, "refs/notes/commits may not be created"},
		"tag":               {docs, []string{"push", "origin", "HEAD:refs/tags/v1"}, "refs/tags/v1 may not be created"},
		"option":            {docs, []string{"push", "-o", "merge_request.create", "origin", "agent/ok"}, "push without --push-option"},
		"action":            {web, []string{"push", "origin", ":agent/old"}, "refs/heads/agent/old may not be deleted: the grant allows this ref no Delete"},
		"update":            {web, []string{"push", "origin", "+HEAD:agent/old"}, "the grant allows this ref no Update"},
		"other repository":  {docs, []string{"push", "https://github.com/acme/secret", "agent/ok"}, "remote: sallyport: The request is out of scope"},
		"wiki":              {docs, []string{"push", "https://github.com/acme/docs.wiki.git", "agent/ok"}, "remote: sallyport:"},
		"dots":              {docs, []string{"push", "https://github.com/acme/docs/../secret", "agent/ok"}, ""},
		"encoded dots":      {docs, []string{"push", "https://github.com/acme/docs/%2e%2e/secret", "agent/ok"}, ""},
		"version 0":         {docs, []string{"-c", "protocol.version=0", "push", "origin", ":release-1"}, "refs/heads/release-1 may not be deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := try(t, test.dir, w.env, append([]string{"git"}, test.args...)...)
			if err == nil || !said(out, test.says) {
				t.Errorf("%v: want %q in\n%s", err, test.says, out)
			}
		})
	}
	if _, pushes := w.calls(); pushes > 0 {
		t.Errorf("%d pushes reached the upstream", pushes)
	}
	for i, name := range []string{"acme/docs", "acme/web", "acme/secret"} {
		if got := w.refs(t, name); !maps.Equal(got, before[i]) {
			t.Errorf("%s: %v, was %v", name, got, before[i])
		}
	}
	for _, r := range w.records(t) {
		if refused := r.Verdict == "Deny"; refused != (r.Reason != "") {
			t.Errorf("record %+v", r)
		}
	}
	w.git(t, docs, "push", "origin", "agent/ok") // the allowed work goes on
}

// said finds text in git's output, which breaks lines as the terminal is wide.
func said(out, want string) bool {
	flat := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "remote:", " ")), " ") }
	return strings.Contains(flat(out), flat(want))
}

// TestClientPresets: the token is in no file and in no address, and git asks
// nobody for it.
func TestClientPresets(t *testing.T) {
	w := newWorld(t)
	docs := w.clone(t, "acme/docs")
	handle := w.handle(t)
	err := filepath.WalkDir(docs, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), handle) || strings.Contains(string(text), basic(handle)) || strings.Contains(string(text), w.address(t)) {
			t.Errorf("%s holds the token or the sidecar's address", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range w.records(t) {
		if r.Reason == "Unauthenticated" {
			t.Errorf("git had to be asked: %+v", r)
		}
	}
}
