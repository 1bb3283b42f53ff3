package recipes

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile"
)

// references are pages whose examples are run, with the least number of blocks that
// each has.
var references = map[string]int{
	"../../docs/reference/scope-language.md": 20,
	"../../docs/reference/grpc.md":           4,
}

// block is one fenced part of a page.
type block struct{ kind, info, text string }

var fence = regexp.MustCompile("(?ms)^```(\\w+)[ ]*([^\\n]*)\\n(.*?)^```$")

func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		out = append(out, block{m[1], m[2], m[3]})
	}
	return out
}

// manifests makes a whole of the part of a spec that an example shows.
func (b *block) manifests() string {
	profile, ceiling := "strict", ""
	if name, ok := strings.CutPrefix(b.info, "profile="); ok {
		profile = name
	}
	if grant, ok := strings.CutPrefix(b.info, "ceiling="); ok {
		ceiling = "  ceiling: {grants: [" + grant + "]}\n"
	}
	return "apiVersion: sallyport.dev/v1alpha1\nkind: UpstreamSecret\nmetadata: {name: up, namespace: agents}\nspec:\n" +
		"  endpoints: [{name: api, url: https://api.example.com, profile: " + profile + ", inject: {bearer: {}}}]\n" +
		"  source: {secretRef: {name: key, key: token}}\n" + ceiling +
		"---\napiVersion: sallyport.dev/v1alpha1\nkind: ScopedCredential\nmetadata: {name: example, namespace: agents}\nspec:\n" +
		"  upstream: {name: up}\n  holders: {serviceAccounts: [agent]}\n  " + strings.ReplaceAll(strings.TrimSpace(b.text), "\n", "\n  ") + "\n"
}

// TestReference runs every example of these pages: each is followed by
// requests with the decision on them, or by what is said against it.
func TestReference(t *testing.T) {
	for page, least := range references {
		t.Run(filepath.Base(page), func(t *testing.T) { testPage(t, page, least) })
	}
}

func testPage(t *testing.T, page string, least int) {
	all := blocks(t, page)
	if len(all) < least || len(all)%2 != 0 {
		t.Fatalf("the page has %d blocks", len(all))
	}
	for i := 0; i < len(all); i += 2 {
		example, outcome := all[i], all[i+1]
		if example.kind != "yaml" {
			t.Fatalf("block %d is %s: an example comes first, then what comes of it", i, example.kind)
		}
		file := filepath.Join(t.TempDir(), "example.yaml")
		if err := os.WriteFile(file, []byte(example.manifests()), 0o600); err != nil {
			t.Fatal(err)
		}
		c := read(t, file)[0]
		switch outcome.kind {
		case "requests":
			if c.err != nil {
				t.Errorf("%s\n%v", example.text, c.err)
				continue
			}
			decide(t, &c, outcome.text)
		case "refused":
			refused(t, &c, example.text, outcome.text)
		default:
			t.Errorf("block %d is %s: write requests or refused", i+1, outcome.kind)
		}
	}
}

func decide(t *testing.T, c *compiled, text string) {
	t.Helper()
	entries := parse(t, text)
	if len(entries) == 0 {
		t.Errorf("no requests are shown")
	}
	check(t, c, entries)
}

// refused holds an example to what is said against it: all of it, and with a
// reason that conditions have.
func refused(t *testing.T, c *compiled, example, text string) {
	t.Helper()
	var r *compile.Refused
	if !errors.As(c.err, &r) || r.Reason == "" {
		t.Errorf("it is accepted, or not refused in our words: %v\n%s", c.err, example)
		return
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, want := range lines {
		if !strings.Contains(c.err.Error(), want) {
			t.Errorf("%q is not said of\n%s\nbut %v", want, example, c.err)
		}
	}
	if len(r.Problems) != len(lines) {
		t.Errorf("%d things are said of\n%s\n%v", len(r.Problems), example, c.err)
	}
}
