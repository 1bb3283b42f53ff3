package authority

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// place is where a test's Set keeps what it makes.
type place struct{ private, agent string }

func newPlace(t *testing.T) place { return place{t.TempDir(), t.TempDir()} }

func (p place) open(t *testing.T) *Set {
	t.Helper()
	var roots []*os.Root
	for _, dir := range []string{p.private, p.agent} {
		r, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		roots = append(roots, r)
	}
	return Open(Options{Private: roots[0], Agent: roots[1], Public: public(t)})
}

// public is an authority that agents trust besides.
func public(t *testing.T) string {
	t.Helper()
	one, err := newIssuer([]string{"public.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(inPEM(one.root.Raw))
}

func (p place) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.agent, Directory, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p place) pool(t *testing.T, name string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.read(t, name)) {
		t.Fatalf("%s holds no certificate", name)
	}
	return pool
}

func cover(t *testing.T, s *Set, hosts ...string) {
	t.Helper()
	if err := s.Cover(hosts); err != nil {
		t.Fatal(err)
	}
}

// shakeHands connects as an agent does, and returns both ends' errors.
func shakeHands(t *testing.T, s *Set, host string, client *tls.Config) (here, there error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			err = tls.Server(c, s.Config(host)).Handshake()
		}
		ended <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there = tls.Client(c, client).Handshake()
	c.Close()
	return <-ended, there
}

func TestHandshake(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	cover(t, s, "api.example.com", "192.0.2.7", "2001:db8::7")
	for _, file := range []string{File, Bundle} {
		for _, host := range []string{"api.example.com", "192.0.2.7", "2001:db8::7"} {
			if here, there := shakeHands(t, s, host, &tls.Config{RootCAs: p.pool(t, file), ServerName: host}); here != nil || there != nil {
				t.Errorf("%s, %s: %v, %v", file, host, here, there)
			}
		}
	}
	pool := p.pool(t, File)
	for name, test := range map[string]struct {
		why    string
		host   string
		client *tls.Config
		want   error
	}{
		"another name":    {"the tunnel leads elsewhere", "api.example.com", &tls.Config{ServerName: "www.example.com"}, ErrServerName},
		"upper case":      {"one spelling", "api.example.com", &tls.Config{ServerName: "API.example.com"}, ErrServerName},
		"no name":         {"nobody says where to", "api.example.com", &tls.Config{InsecureSkipVerify: true}, ErrServerName},
		"to an address":   {"addresses have no names", "192.0.2.7", &tls.Config{ServerName: "api.example.com"}, ErrServerName},
		"HTTP/2 alone":    {"it is not spoken here", "api.example.com", &tls.Config{ServerName: "api.example.com", NextProtos: []string{"h2"}}, nil},
		"TLS 1.1":         {"too old", "api.example.com", &tls.Config{ServerName: "api.example.com", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, nil},
		"not covered":     {"there is no authority", "other.example.com", &tls.Config{ServerName: "other.example.com"}, nil},
		"a name below":    {"there is no authority", "x.api.example.com", &tls.Config{ServerName: "x.api.example.com"}, nil},
		"another address": {"there is no authority", "192.0.2.8", &tls.Config{ServerName: "192.0.2.8"}, nil},
	} {
		test.client.RootCAs = pool
		here, there := shakeHands(t, s, test.host, test.client)
		if here == nil || there == nil || test.want != nil && !errors.Is(here, test.want) {
			t.Errorf("%s: %v, %v: %s", name, here, there, test.why)
		}
	}
}

// forge has an authority vouch for what it must not vouch for.
func forge(t *testing.T, by *issuer, change func(*x509.Certificate)) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	raw, err := x509.CreateCertificate(rand.Reader, template, by.certificate, by.key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// vouched is what somebody with the key of a pod would make.
var vouched = map[string]struct {
	hosts []string
	cert  func(*x509.Certificate)
	good  bool
}{
	"its name":                   {[]string{"api.example.com"}, names("api.example.com"), true},
	"one of its names":           {[]string{"api.example.com", "b.example"}, names("b.example"), true},
	"its address":                {[]string{"192.0.2.7"}, addresses("192.0.2.7"), true},
	"its address of version 6":   {[]string{"2001:db8::7"}, addresses("2001:db8::7"), true},
	"another name":               {[]string{"api.example.com"}, names("www.example.org"), false},
	"the name above":             {[]string{"api.example.com"}, names("example.com"), false},
	"a name beside":              {[]string{"api.example.com"}, names("notapi.example.com"), false},
	"a wildcard above":           {[]string{"api.example.com"}, names("*.example.com"), false},
	"one name too many":          {[]string{"api.example.com"}, names("api.example.com", "www.example.org"), false},
	"an address":                 {[]string{"api.example.com"}, addresses("192.0.2.7"), false},
	"an address of version 6":    {[]string{"api.example.com"}, addresses("2001:db8::7"), false},
	"loopback":                   {[]string{"api.example.com"}, addresses("127.0.0.1"), false},
	"another address":            {[]string{"192.0.2.7"}, addresses("192.0.2.8"), false},
	"an address of the other":    {[]string{"192.0.2.7"}, addresses("2001:db8::7"), false},
	"a name, of addresses alone": {[]string{"192.0.2.7"}, names("api.example.com"), false},
	"an address and a name":      {[]string{"192.0.2.7"}, both, false},
	"all of its own":             {[]string{"192.0.2.7", "api.example.com"}, both, true},
}

func names(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func both(c *x509.Certificate) {
	names("api.example.com")(c)
	addresses("192.0.2.7")(c)
}

func addresses(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, a := range list {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
	}
}

// TestNameConstraints has Go and OpenSSL verify what somebody with the key of a
// pod would make: whoever trusts the authority trusts it for its hosts alone.
func TestNameConstraints(t *testing.T) {
	for name, test := range vouched {
		t.Run(name, func(t *testing.T) {
			one, err := newIssuer(test.hosts, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			raw := forge(t, one, test.cert)
			if err := verifyGo(one, raw); (err == nil) != test.good {
				t.Errorf("Go says %v", err)
			}
			if out, err := verifyOpenSSL(t, one, raw); (err == nil) != test.good || !test.good && !strings.Contains(out, "subtree violation") {
				t.Errorf("OpenSSL says %v: %s", err, out)
			}
		})
	}
}

// TestNameConstraintsInJava has Java verify the same. It asks what it trusts for
// no constraints, so that those of the certificate behind that have to hold.
func TestNameConstraintsInJava(t *testing.T) {
	args, good := []string{"testdata/Verify.java"}, []bool{}
	var cases []string
	for name, test := range vouched {
		one, err := newIssuer(test.hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		store, err := trustStore(string(inPEM(one.root.Raw)))
		if err != nil {
			t.Fatal(err)
		}
		shown := append(inPEM(forge(t, one, test.cert)), inPEM(one.certificate.Raw)...)
		args = append(args, write(t, []byte(store)), write(t, shown))
		cases, good = append(cases, name), append(good, test.good)
	}
	out, err := exec.CommandContext(t.Context(), "java", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(said) != len(cases) {
		t.Fatalf("got %q", out)
	}
	for i, text := range said {
		if (text == "good") != good[i] || !good[i] && !strings.Contains(text, "name constraints") {
			t.Errorf("%s: Java says %s", cases[i], text)
		}
	}
}

func inPEM(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: raw})
}

// write returns a file with this text.
func write(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func verifyGo(by *issuer, leaf []byte) error {
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(by.root)
	between.AddCert(by.certificate)
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

func verifyOpenSSL(t *testing.T, by *issuer, leaf []byte) (string, error) {
	t.Helper()
	root, between := write(t, inPEM(by.root.Raw)), write(t, inPEM(by.certificate.Raw))
	out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-purpose", "sslserver", "-no-CApath", "-CAfile", root, "-untrusted", between, write(t, inPEM(leaf))).CombinedOutput()
	return string(out), err
}

// An authority makes no other, and vouches for no client.
func TestNothingBesidesServers(t *testing.T) {
	one, err := newIssuer([]string{"api.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if c := one.root; !c.PermittedDNSDomainsCritical || !c.IsCA || c.MaxPathLen != 1 || c.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("got %+v", c)
	}
	if c := one.certificate; !c.PermittedDNSDomainsCritical || !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("got %+v", c)
	}
	below := forge(t, one, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "another"}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	middle, err := x509.ParseCertificate(below)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(forge(t, &issuer{certificate: middle, key: one.key}, func(c *x509.Certificate) { c.DNSNames = []string{"api.example.com"} }))
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(one.root)
	between.AddCert(one.certificate)
	between.AddCert(middle)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err == nil {
		t.Error("an authority below it is believed")
	}
	client, err := x509.ParseCertificate(forge(t, one, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"api.example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it vouches for a client")
	}
}

// A client that read the file once knows the hosts that it knew, after a
// restart of the sidecar and after others came.
func TestClientsReadOnce(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	cover(t, s, "a.example")
	before := p.pool(t, File)
	for name, later := range map[string]func() *Set{
		"the same":   func() *Set { cover(t, s, "a.example"); return s },
		"a restart":  func() *Set { again := p.open(t); cover(t, again, "a.example"); return again },
		"more hosts": func() *Set { again := p.open(t); cover(t, again, "a.example", "b.example"); return again },
		"fewer":      func() *Set { again := p.open(t); cover(t, again, "b.example"); return again },
	} {
		if here, there := shakeHands(t, later(), "a.example", &tls.Config{RootCAs: before, ServerName: "a.example"}); here != nil || there != nil {
			t.Errorf("%s: %v, %v", name, here, there)
		}
	}
	s = p.open(t)
	cover(t, s, "a.example", "b.example")
	if here, there := shakeHands(t, s, "b.example", &tls.Config{RootCAs: before, ServerName: "b.example"}); here == nil || there == nil {
		t.Error("the authority of the first host vouches for the second")
	}
	if here, there := shakeHands(t, s, "b.example", &tls.Config{RootCAs: p.pool(t, File), ServerName: "b.example"}); here != nil || there != nil {
		t.Errorf("who reads again: %v, %v", here, there)
	}
}

func TestAuthoritiesAreBounded(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	var hosts []string
	for i := range maxAuthorities + 1 {
		hosts = append(hosts, fmt.Sprintf("h%d.example", i))
		cover(t, s, hosts...)
	}
	if n := bytes.Count(p.read(t, File), []byte("BEGIN")); n != 1 {
		t.Errorf("%d authorities, want one for all", n)
	}
	for _, h := range hosts {
		if here, there := shakeHands(t, s, h, &tls.Config{RootCAs: p.pool(t, File), ServerName: h}); here != nil || there != nil {
			t.Errorf("%s: %v, %v", h, here, there)
		}
	}
}

// No key is in a file that the agent can read, and the private file is the
// sidecar's alone.
func TestKeysStay(t *testing.T) {
	p := newPlace(t)
	cover(t, p.open(t), "a.example")
	info, err := os.Stat(filepath.Join(p.private, privateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private file: %v, %v", info.Mode(), err)
	}
	kept, err := os.ReadFile(filepath.Join(p.private, privateFile))
	if err != nil {
		t.Fatal(err)
	}
	one, _ := decode(kept)
	if one.key.PublicKey.Equal(one.root.PublicKey) || bytes.Count(kept, []byte("PRIVATE KEY")) != 2 {
		t.Error("the key of what is trusted is kept")
	}
	scalar, err := one.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	err = filepath.WalkDir(p.agent, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		for rest := text; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != typeCertificate || bytes.Contains(block.Bytes, scalar) {
				t.Errorf("%s holds a %s", path, block.Type)
			}
		}
		if bytes.Contains(text, scalar) || bytes.Contains(text, []byte("PRIVATE")) {
			t.Errorf("%s holds a key", path)
		}
		return nil
	})
	if err != nil || read != 3 {
		t.Errorf("%d files read, %v", read, err)
	}
}

// What an earlier process left and is not whole is not used: agents would be
// told to trust what nothing can be issued by.
func TestBrokenStore(t *testing.T) {
	p := newPlace(t)
	cover(t, p.open(t), "a.example")
	file := filepath.Join(p.private, privateFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := newPlace(t)
	cover(t, other.open(t), "a.example")
	foreign, err := os.ReadFile(filepath.Join(other.private, privateFile))
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Index(whole, []byte("-----BEGIN PRIVATE"))
	foreignCut := bytes.Index(foreign, []byte("-----BEGIN PRIVATE"))
	behindRoot := func(text []byte) int { return 1 + bytes.Index(text[1:], []byte("-----BEGIN")) }
	for name, text := range map[string][]byte{
		"empty":          nil,
		"no key":         whole[:cut],
		"half a key":     whole[:cut+80],
		"another's key":  append(append([]byte(nil), whole[:cut]...), foreign[foreignCut:]...),
		"another's root": slices.Concat(foreign[:behindRoot(foreign)], whole[behindRoot(whole):]),
		"no root":        whole[behindRoot(whole):],
		"no PEM":         []byte("authorities"),
		"more behind":    append(append([]byte(nil), whole...), "x"...),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s := p.open(t)
		if len(s.list) != 0 {
			t.Errorf("%s: it was used", name)
		}
		cover(t, s, "a.example")
		if here, there := shakeHands(t, s, "a.example", &tls.Config{RootCAs: p.pool(t, File), ServerName: "a.example"}); here != nil || there != nil {
			t.Errorf("%s: %v, %v", name, here, there)
		}
	}
}

// Certificates are renewed long before they expire, and an authority that could
// not be written is not used.
func TestRenewal(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	now := time.Now()
	s.options.Now = func() time.Time { return now }
	cover(t, s, "a.example")
	first, err := s.certificate("a.example")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.certificate("a.example"); again != first || err != nil {
		t.Errorf("a certificate is issued for each handshake: %v", err)
	}
	now = now.Add(leafLifetime/2 + time.Second)
	if later, err := s.certificate("a.example"); later == first || err != nil {
		t.Errorf("the certificate was not renewed: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(p.agent, Directory)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.agent, Directory), nil, 0o600); err != nil { // no directory
		t.Fatal(err)
	}
	if err := s.Cover([]string{"a.example", "b.example"}); err == nil {
		t.Error("nobody was told that agents cannot read whom to trust")
	}
	if _, err := s.certificate("b.example"); err == nil {
		t.Error("a certificate was issued that nobody can verify")
	}
}

func TestPublic(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	one := public(t)
	if got, err := Public(filepath.Join(dir, "none"), write("some", "# comment\n"+one+"\ntext\n"+one)); err != nil || got != one+one {
		t.Errorf("got %q, %v", got, err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: []byte("x")}))
	for name, text := range map[string]string{"a key": one + key, "empty": "", "text": "certificates", "broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if got, err := Public(write(name, text)); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	// This system's own, which the bundle of agents is made of.
	system, err := Public()
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM([]byte(system)) {
		t.Errorf("the system's: %v", err)
	}
}
