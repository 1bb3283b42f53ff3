package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRemoval(t *testing.T) {
	for name, tt := range map[string]struct {
		why   string
		saved string
		want  string
	}{
		"nothing of ours": {
			why:   "a host's own rules stay as they are",
			saved: "*filter\n:INPUT DROP [1:2]\n:DOCKER - [0:0]\n-A INPUT -j DOCKER\nCOMMIT\n",
		},
		"jumps go before chains": {
			why: "a chain that is jumped to cannot be deleted",
			saved: `# comment
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:DOCKER - [0:0]
-A PREROUTING -j DOCKER
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.213.80.1/32 -j KUBE-SVC-X
COMMIT
`,
			want: `*nat
:KUBE-SERVICES - [0:0]
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-X KUBE-SERVICES
COMMIT
`,
		},
		"a comment that looks like a jump": {
			why: "only the target counts, not what a comment says",
			saved: `*filter
:FORWARD ACCEPT [0:0]
:SALLYPORT-FORWARD - [0:0]
-A FORWARD -m comment --comment "never -j SALLYPORT-FORWARD here" -j ACCEPT
-A FORWARD -j SALLYPORT-FORWARD
COMMIT
`,
			want: `*filter
:SALLYPORT-FORWARD - [0:0]
-D FORWARD -j SALLYPORT-FORWARD
-X SALLYPORT-FORWARD
COMMIT
`,
		},
		"a foreign name that holds ours": {
			why:   "a prefix is a prefix",
			saved: "*filter\n:MY-KUBE-X - [0:0]\n-A INPUT -j MY-KUBE-X\nCOMMIT\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, removal(parseTables(tt.saved))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

func FuzzRemoval(f *testing.F) {
	f.Add("*nat\n:KUBE-A - [0:0]\n-A OUTPUT -j KUBE-A\nCOMMIT\n")
	f.Add("*\n:\n-A \n-A -j\n")
	f.Fuzz(func(t *testing.T, saved string) {
		for line := range strings.Lines(removal(parseTables(saved))) {
			if chain, ok := strings.CutPrefix(line, "-X "); ok && !ours(chain) {
				t.Errorf("deletes the foreign chain %q", chain)
			}
			if chain, ok := strings.CutPrefix(line, ":"); ok && !ours(chain) {
				t.Errorf("empties the foreign chain %q", chain)
			}
		}
	})
}

func TestOverlaps(t *testing.T) {
	for address, want := range map[string]bool{
		"10.213.64.1/24":  true,
		"10.213.100.7/32": true,
		"10.213.128.1/24": false, // next to the range
		"10.0.0.5/8":      false, // a route, not a link
		"10.213.0.1/16":   true,
		"192.0.2.2/24":    false,
		"fd00::2/64":      false,
		"nonsense":        false,
	} {
		if got := overlaps(address); got != want {
			t.Errorf("overlaps(%q) = %v, want %v", address, got, want)
		}
	}
}

func TestAddressesFit(t *testing.T) {
	pods, services := netip.MustParsePrefix(Pods), netip.MustParsePrefix(Services)
	all := netip.MustParsePrefix(reserved)
	if pods.Overlaps(services) {
		t.Error("pods and Services share addresses")
	}
	if !all.Contains(pods.Addr()) || !all.Contains(services.Addr()) || pods.Bits() < all.Bits() || services.Bits() < all.Bits() {
		t.Error("the reserved range does not cover pods and Services")
	}
	if !pods.Contains(netip.MustParseAddr(Node)) {
		t.Error("the node's address is not one of the bridge's")
	}
	if services.Addr().Next() != netip.MustParseAddr(API) || !services.Contains(netip.MustParseAddr(DNS)) {
		t.Error("the Service addresses of API and DNS are wrong")
	}
}

func TestSettings(t *testing.T) {
	root := t.TempDir()
	write := func(name, value string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	for name := range settings {
		write(name, "7")
	}
	s := Settings{Root: root, File: filepath.Join(t.TempDir(), "former.json")}
	if err := s.Restore(); err != nil {
		t.Fatalf("Restore without a record: %v", err)
	}
	for range 2 { // the second run must not record what the first has set
		if err := s.Set(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range settings {
		if got := read(name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	for name := range settings {
		if got := read(name); got != "7" {
			t.Errorf("%s = %s after Restore, want 7", name, got)
		}
	}
}
