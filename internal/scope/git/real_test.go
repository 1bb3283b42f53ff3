package git_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

// scratch is a repository that pushes are tried on.
type scratch struct{ template, first, second string }

// program runs git with nobody's configuration.
func program(t testing.TB, dir, stdin string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Stdin = dir, strings.NewReader(stdin)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "HOME=" + dir, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=receive.advertisePushOptions",
		"GIT_CONFIG_VALUE_0=true", "GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	}
	var out bytes.Buffer
	command.Stdout = &out
	err := command.Run()
	return strings.TrimSpace(out.String()), err
}

func newScratch(t testing.TB) scratch {
	t.Helper()
	s := scratch{template: filepath.Join(t.TempDir(), "template.git")}
	must := func(stdin string, args ...string) string {
		out, err := program(t, s.template, stdin, args...)
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	if err := os.Mkdir(s.template, 0o700); err != nil {
		t.Fatal(err)
	}
	must("", "init", "--quiet", "--bare", "--initial-branch=main")
	tree := must("", "mktree")
	s.first = must("one\n", "commit-tree", tree)
	s.second = must("two\n", "commit-tree", tree, "-p", s.first)
	for _, ref := range []string{"refs/heads/main", "refs/heads/release-1", "refs/heads/agent/old"} {
		must("", "update-ref", ref, s.first)
	}
	return s
}

// names are what stands for objects that are there.
func (s scratch) names(body string) string {
	return strings.NewReplacer(oidA, s.first, oidB, s.second).Replace(body)
}

// push gives a body to git and returns the refs before and after.
func (s scratch) push(t testing.TB, body string) (before, after map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it.git")
	if err := os.CopyFS(dir, os.DirFS(s.template)); err != nil {
		t.Fatal(err)
	}
	refs := func() map[string]string {
		out, err := program(t, dir, "", "for-each-ref", "--format=%(refname) %(objectname)")
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for line := range strings.Lines(out) {
			name, object, _ := strings.Cut(strings.TrimSpace(line), " ")
			found[name] = object
		}
		return found
	}
	before = refs()
	_, _ = program(t, dir, body, "receive-pack", "--stateless-rpc", ".") // it may refuse; the refs tell
	return before, refs()
}

// emptyPack is a pack without objects, with its checksum: those that are named
// are there.
const emptyPack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"

// seeds are bodies that git takes, with what they change.
var seeds = map[string]map[string]git.Action{
	packets(create("refs/heads/agent/x")+caps, "0000", emptyPack):                                                  {"refs/heads/agent/x": git.Create},
	packets(create("refs/heads/agent/x")+"\x00 report-status\n", "0000", emptyPack):                                {"refs/heads/agent/x": git.Create},
	packets(create("refs/heads/agent/x")+"\n", "0000", emptyPack):                                                  {"refs/heads/agent/x": git.Create},
	packets(update("refs/heads/agent/old")+caps, "0000", emptyPack):                                                {"refs/heads/agent/old": git.Update},
	packets(remove("refs/heads/agent/old")+caps, "0000"):                                                           {"refs/heads/agent/old": git.Delete},
	packets(remove("refs/heads/agent/old")+caps, create("refs/heads/agent/y/z"), "0000", emptyPack):                {"refs/heads/agent/old": git.Delete, "refs/heads/agent/y/z": git.Create},
	packets(create("refs/heads/agent/x")+"\x00 report-status push-options atomic", "0000", "a", "0000", emptyPack): {"refs/heads/agent/x": git.Create},
	packets("0000"): {},
}

// allowed asks the judge, of a grant of refs/heads/agent/** for every action.
func allowed(t testing.TB, body string) bool {
	t.Helper()
	p := policy(t, scope.Profile{}, func(s *git.Spec) { s.Push.AnyOption, s.Push.MaxCommands = true, 100 })
	d, _ := ask(t, p, post("git-receive-pack", ""), body, nil)
	return d.Verdict == scope.Allow
}

// TestGitTakesWhatIsAllowed gives bodies that are allowed to git, which must do
// what they say.
func TestGitTakesWhatIsAllowed(t *testing.T) {
	s := newScratch(t)
	for body, want := range seeds {
		if body = s.names(body); !allowed(t, body) {
			t.Errorf("refused: %q", body)
			continue
		}
		before, after := s.push(t, body)
		if got := changes(before, after); !equal(got, want) {
			t.Errorf("%q changes %v, want %v", body, got, want)
		}
	}
}

func changes(before, after map[string]string) map[string]git.Action {
	out := map[string]git.Action{}
	for ref, object := range before {
		if after[ref] == "" {
			out[ref] = git.Delete
		} else if after[ref] != object {
			out[ref] = git.Update
		}
	}
	for ref := range after {
		if before[ref] == "" {
			out[ref] = git.Create
		}
	}
	return out
}

func equal(a, b map[string]git.Action) bool {
	if len(a) != len(b) {
		return false
	}
	for ref, action := range a {
		if b[ref] != action {
			return false
		}
	}
	return true
}

// FuzzPush: git changes nothing that an allowed push did not say, and no ref
// beyond those that are granted.
func FuzzPush(f *testing.F) {
	s := newScratch(f)
	for body := range seeds {
		f.Add([]byte(body))
	}
	for _, body := range []string{
		packets(create("refs/heads/agent/x")+caps, remove("refs/heads/release-1"), "0000", emptyPack),
		packets("shallow "+oidA, create("refs/heads/agent/x")+caps, "0000", emptyPack),
		packets("push-cert"+caps, update("refs/heads/main"), "push-cert-end\n", "0000", emptyPack),
		packets(certified(create("refs/heads/agent/x"), signature)...) + "0000" + emptyPack,
		packets(certified(create("refs/heads/agent/x"), signature, update("refs/heads/main"), signature)...) + "0000" + emptyPack,
		packets(create("refs/heads/agent/x")+"\x00 push-options", "0000", "a", "0000") + packets(update("refs/heads/main"), "0000", emptyPack),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body := s.names(string(data))
		if !allowed(t, body) {
			return
		}
		said := map[string]git.Action{}
		list, err := git.ReadList([]byte(body), true)
		if err != nil {
			t.Fatalf("allowed, but %v", err)
		}
		for _, c := range list.Commands {
			said[strings.Clone(c.Ref)] = c.Action
		}
		before, after := s.push(t, body)
		for ref, action := range changes(before, after) {
			agent := strings.HasPrefix(ref, "refs/heads/agent/") || strings.HasPrefix(ref, "refs/tags/agent-")
			// To git, an update that names another old object than there is fails; one
			// that creates what is there too. So an action is as it says, or nothing.
			if !agent || said[ref] != action {
				t.Errorf("git did %s %s; the push says %v\n%q", action, ref, said, body)
			}
		}
	})
}

// FuzzList: a list that is read in pieces says the same as one that is read
// whole, and never less is asked for again.
func FuzzList(f *testing.F) {
	for body := range seeds {
		f.Add([]byte(body), uint16(40))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		whole, err := git.ReadList(data, true)
		part, perr := git.ReadList(data[:min(int(cut), len(data))], false)
		switch {
		case perr != nil && err == nil:
			t.Errorf("the beginning is refused (%v), all of it is not", perr)
		case perr == nil && err == nil && part.Whole && len(part.Commands) != len(whole.Commands):
			t.Errorf("the beginning says %d commands, all of it %d", len(part.Commands), len(whole.Commands))
		case err == nil && !whole.Whole:
			t.Error("nothing is wrong, and it is not whole")
		}
	})
}

// BenchmarkPush judges a list of a thousand commands.
func BenchmarkPush(b *testing.B) {
	lines := []string{create("refs/heads/agent/0") + caps}
	for i := range 999 {
		lines = append(lines, create("refs/heads/agent/topic-"+strings.Repeat("x", i%40)+"/"+string(rune('a'+i%26))+strings.Repeat("y", i/26)))
	}
	body := packets(append(lines, "0000", emptyPack)...)
	p := policy(b, scope.Profile{}, func(s *git.Spec) { s.Push.MaxCommands = 1000 })
	var r scope.Request
	h := post("git-receive-pack", "")
	h.HasBody = true
	if err := r.Parse(&h, nil); err != nil {
		b.Fatal(err)
	}
	c := scope.Content{Data: []byte(body), Whole: true}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if d := p.DecideBody(&r, c); d.Verdict != scope.Allow {
			b.Fatal(d.Detail)
		}
	}
}
