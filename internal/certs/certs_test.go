package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const name = "sallyport-broker.sallyport-system.svc"

// TestNoLeafIsEverUntrusted walks two years in steps of six hours. A reader
// that took the bundle as late as one leaf lifetime ago must trust the leaf
// that is served now, and the bundle of now must trust a leaf of then.
func TestNoLeafIsEverUntrusted(t *testing.T) {
	var a Authorities
	var leaf Pair
	type past struct{ bundle, leaf []byte }
	var history []past
	authorities := map[string]bool{}
	for now := epoch; now.Before(epoch.Add(2 * AuthorityLife)); now = now.Add(6 * time.Hour) {
		var err error
		if a, err = Keep(a, now); err != nil {
			t.Fatal(err)
		}
		if leaf, err = KeepLeaf(a, leaf, []string{name}, now); err != nil {
			t.Fatal(err)
		}
		authorities[string(a.Current.Cert)] = true
		history = append(history, past{a.Bundle, leaf.Cert})
		old := history[max(0, len(history)-1-int(LeafLife/(6*time.Hour)))]
		if err := verify(old.bundle, leaf.Cert, now); err != nil {
			t.Fatalf("%v: yesterday's bundle refuses today's leaf: %v", now, err)
		}
		if c, err := parseCert(old.leaf); err != nil {
			t.Fatal(err)
		} else if now.Before(c.NotAfter) {
			if err := verify(a.Bundle, old.leaf, now); err != nil {
				t.Fatalf("%v: today's bundle refuses yesterday's leaf: %v", now, err)
			}
		}
	}
	if len(authorities) < 3 {
		t.Errorf("%d authorities signed in two years, want at least 3", len(authorities))
	}
}

func TestKeepTwiceIsKeepOnce(t *testing.T) {
	a, err := Keep(Authorities{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{0, AuthorityLife * 3 / 4, AuthorityLife*3/4 + 2*LeafLife} {
		if a, err = Keep(a, epoch.Add(at)); err != nil {
			t.Fatal(err)
		}
		b, err := Keep(a, epoch.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bundle, b.Bundle) || !bytes.Equal(a.Current.Cert, b.Current.Cert) || !bytes.Equal(a.Next.Cert, b.Next.Cert) {
			t.Errorf("after %v a second run changed what the first had stored", at)
		}
	}
}

func TestKeepHeals(t *testing.T) {
	good, err := Keep(Authorities{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Keep(Authorities{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for what, stored := range map[string]Authorities{
		"nothing stored": {},
		"all expired":    good,
		"rubbish":        {Current: Pair{Cert: []byte("x"), Key: []byte("y")}, Bundle: []byte("z")},
		"foreign key":    {Current: Pair{Cert: good.Current.Cert, Key: other.Current.Key}},
		"a leaf":         {Current: Pair{Cert: good.Current.Cert}},
	} {
		now := epoch.Add(2 * AuthorityLife)
		a, err := Keep(stored, now)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		leaf, err := KeepLeaf(a, Pair{}, []string{name}, now)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if err := verify(a.Bundle, leaf.Cert, now); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := tls.X509KeyPair(leaf.Cert, leaf.Key); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestLeafIsReplacedWhenItMust(t *testing.T) {
	a, err := Keep(Authorities{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := KeepLeaf(a, Pair{}, []string{name}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Keep(Authorities{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		by    Authorities
		names []string
		at    time.Duration
		same  bool
	}{
		"young":             {a, []string{name}, LeafLife / 2, true},
		"old":               {a, []string{name}, LeafLife * 3 / 4, false},
		"other name":        {a, []string{name, "other.svc"}, 0, false},
		"another authority": {fresh, []string{name}, 0, false},
	} {
		got, err := KeepLeaf(c.by, leaf, c.names, epoch.Add(c.at))
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(got.Cert, leaf.Cert); same != c.same {
			t.Errorf("%s: kept %v, want %v", what, same, c.same)
		}
	}
}

func verify(bundle, leaf []byte, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	cert, err := parseCert(leaf)
	if err != nil {
		return err
	}
	_, err = cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: name})
	return err
}

// TestPastIsRemembered walks twenty years: a pod that was told to trust an
// authority is ours for a decade, also where all was expired for a while.
func TestPastIsRemembered(t *testing.T) {
	var a Authorities
	var order []string
	for now := epoch; now.Before(epoch.Add(20 * AuthorityLife)); now = now.Add(AuthorityLife / 20) {
		if year := now.Sub(epoch) / AuthorityLife; year == 5 || year == 6 {
			continue // nobody looked
		}
		var err error
		if a, err = Keep(a, now); err != nil {
			t.Fatal(err)
		}
		if signs := string(a.Current.Cert); len(order) == 0 || order[len(order)-1] != signs {
			order = append(order, signs)
		}
		known := string(a.Bundle) + string(a.Past)
		for _, cert := range order[max(0, len(order)-maxPast):] {
			if strings.Count(known, cert) != 1 {
				t.Fatalf("%v: an authority is there %d times", now, strings.Count(known, cert))
			}
		}
	}
	if n := bytes.Count(a.Past, []byte("BEGIN CERTIFICATE")); n != maxPast || len(order) <= maxPast {
		t.Errorf("%d of %d authorities are remembered, want %d", n, len(order), maxPast)
	}
}
