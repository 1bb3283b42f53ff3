package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reveals lists where the text of a secret.Value is taken out, how often, and
// why. To add a place, say here why it has to be.
var reveals = map[string]struct {
	calls int
	why   string
}{
	"sidecar/credential/swap.go":            {3, "the credential is rendered once, and written into the upstream request"},
	"sidecar/credential/sigv4/sigv4.go":     {8, "keys are checked, masked in answers, and given to the signer"},
	"internal/bundle/codec.go":              {1, "the document carries it to the sidecar"},
	"internal/compile/material/material.go": {1, "a key of AWS holds no space"},
	"internal/bundle/aws.go":                {1, "an access key id has to stand in a signature"},
	"internal/bundle/certificate.go":        {2, "a certificate and its key are parsed"},
	"internal/secret/join.go":               {2, "parts are joined, and taken apart"},
	"controllers/secretwatch/secret.go":     {1, "the manager's own keys are read from a Secret, too"},
	"controllers/tokenkey/keys.go":          {3, "the key of the HMAC that names a secret's version, and what is named"},
	"cmd/sallyport/ledger.go":               {1, "the same name, under a key of the process"},
	"internal/secret/secret.go":             {2, "comparing, in constant time"},
	"internal/mint/job.go":                  {4, "what a token was minted from is named by digests, in the manager's own Secret"},
	"internal/mint/request.go":              {3, "a request for a token carries the client's secret and the refresh token"},
	"internal/mint/store.go":                {2, "what was minted is stored in the manager's own Secret"},
	"internal/mint/assertion.go":            {1, "the app's private key signs"},
}

// TestReveal holds down where secrets leave their Values. Whoever takes the
// method without calling it is found as well.
func TestReveal(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	want, got := map[string]int{}, map[string]int{}
	for name, place := range reveals {
		want[name] = place.calls
	}
	for name := range strings.FieldsSeq(git(t, root, "ls-files", "--cached", "--others", "--exclude-standard", "*.go")) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if n := selections(t, path.Join(root, name), "Reveal"); n > 0 {
			got[name] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a secret is revealed elsewhere (-listed +found):\n%s", diff)
	}
}

// selections counts where a field or method of this name is selected in file.
func selections(t *testing.T, file, name string) int {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if os.IsNotExist(err) {
		return 0 // deleted, not yet committed
	} else if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			n++
		}
		return true
	})
	return n
}

// TestManagerVets holds that the manager has nothing led past the vetting of
// addresses: what tests may set, it does not.
func TestManagerVets(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	files := 0
	for name := range strings.FieldsSeq(git(t, root, "ls-files", "--cached", "--others", "--exclude-standard", "cmd/manager/*.go", "controllers/*.go", "internal/*.go")) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		if n := selections(t, path.Join(root, name), "ConnectUnvetted"); n > 0 {
			t.Errorf("%s leads connections elsewhere, %d times", name, n)
		}
	}
	if files == 0 {
		t.Error("no file was looked at")
	}
}
