package authority

import (
	"bytes"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrustStore has OpenSSL read what Java is to trust: the certificates of the
// bundle, each of them marked as trusted, and nothing else.
func TestTrustStore(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	cover(t, s, "a.example")
	cover(t, s, "a.example", "b.example") // another authority
	want := p.read(t, Bundle)
	out, err := exec.CommandContext(t.Context(), "openssl", "pkcs12", "-in", filepath.Join(p.agent, Directory, Store), "-passin", "pass:").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := 0
	for rest := want; ; n++ {
		var block, stored *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if stored, out = next(t, out); stored == nil || !bytes.Equal(stored.Bytes, block.Bytes) {
			t.Fatalf("certificate %d is another one, or none", n)
		}
	}
	if n < 3 {
		t.Errorf("the bundle has %d certificates", n)
	}
	if more, _ := next(t, out); more != nil {
		t.Errorf("there is a %s besides", more.Type)
	}
}

// next returns the next block of what OpenSSL says, and holds that it is marked.
func next(t *testing.T, text []byte) (*pem.Block, []byte) {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, rest
	}
	said := string(text[:len(text)-len(rest)])
	if !strings.Contains(said, "2.16.840.1.113894.746875.1.1:") && !strings.Contains(said, "Trusted key usage (Oracle):") {
		t.Errorf("it is not marked as trusted: %.200s", said)
	}
	return block, rest
}
