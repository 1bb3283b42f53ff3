// Package certificate has OpenSSL make the keys and play the upstream: a server
// that takes no client without a certificate, behind the sallyport binary.
package certificate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const host = "api.internal.example"

// binary is the one under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-certificate-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/sallyport").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is a directory with an authority of clients and a server's certificate.
type world struct {
	t    *testing.T
	dir  string
	said synced // by OpenSSL's server
}

// synced is a buffer that is read while it is written to.
type synced struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

// take returns what was written since it was last asked.
func (s *synced) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.all.Reset()
	return s.all.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=clients", "-keyout", "ca.key", "-out", "ca.pem")
	w.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN="+host,
		"-addext", "subjectAltName=DNS:"+host, "-keyout", "server.key", "-out", "server.pem")
	return w
}

func (w *world) openssl(args ...string) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), "openssl", args...)
	command.Dir = w.dir
	if out, err := command.CombinedOutput(); err != nil {
		w.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// client makes a certificate of this name and its key.
func (w *world) client(name string, key ...string) {
	w.t.Helper()
	w.openssl(append(append([]string{"req", "-new"}, key...), "-nodes", "-subj", "/CN="+name, "-keyout", name+".key", "-out", name+".csr")...)
	w.openssl("x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-out", name+".pem")
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// write puts a file in its place at once.
func (w *world) write(name, text string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// manifests are those of a credential that is this certificate with this key.
func (w *world) manifests(certificate, key string) string {
	w.t.Helper()
	return w.write("scope.yaml", fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: pair, namespace: agents}
stringData: {tls.crt: %q, tls.key: %q}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: internal, namespace: agents}
spec:
  endpoints: [{name: api, url: "https://%s", inject: {clientCertificate: {}}}]
  source: {clientCertificate: {certRef: {name: pair, key: tls.crt}, keyRef: {name: pair, key: tls.key}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: internal, namespace: agents}
spec:
  upstream: {name: internal}
  holders: {serviceAccounts: [agent]}
  grants: [{name: read, http: {methods: [GET], paths: ["/index.html"]}}]
`, w.read(certificate), w.read(key), host))
}

// serve runs OpenSSL's server, which wants a certificate of the authority and
// tells whose it was, and returns its address.
func (w *world) serve() string {
	w.t.Helper()
	w.write("index.html", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	command := exec.CommandContext(w.t.Context(), "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key",
		"-CAfile", "ca.pem", "-Verify", "1", "-verify_return_error", "-HTTP")
	command.Dir, command.Stderr, command.WaitDelay = w.dir, &w.said, time.Second
	stdout, err := command.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			w.t.Fatalf("openssl does not listen: %v", err)
		}
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "ACCEPT "); ok {
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return address
		}
	}
}

// agent is a `sallyport run`, and the way to it.
type agent struct {
	t          *testing.T
	url, token string
	stderr     synced
}

// start runs the binary on the manifests until the test ends.
func (w *world) start(manifests, address string) *agent {
	w.t.Helper()
	ready := filepath.Join(w.dir, "ready.json")
	a := &agent{t: w.t}
	command := exec.CommandContext(w.t.Context(), binary, "run", "--watch", "-f", manifests, "--ready-file", ready, "--audit-file", filepath.Join(w.dir, "audit"),
		"--upstream-ca", filepath.Join(w.dir, "server.pem"), "--connect-to", host+":443="+address)
	command.Stderr, command.WaitDelay = &a.stderr, time.Second
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if w.t.Failed() {
			w.t.Logf("%.4000s", a.stderr.take())
		}
	})
	var read struct {
		Credentials []struct {
			Token     string
			Endpoints []struct{ URL string }
		}
	}
	if !eventually(func() bool {
		text, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(text, &read) == nil && len(read.Credentials) == 1
	}) {
		w.t.Fatal("it does not get ready")
	}
	a.url, a.token = read.Credentials[0].Endpoints[0].URL, read.Credentials[0].Token
	return a
}

func eventually(condition func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if condition() {
			return true
		}
	}
	return false
}

// client asks where it is told, whatever the environment says of proxies.
var client = &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}

// get asks for a path and returns the status and what was answered.
func (a *agent) get(path string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	res, err := client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Logf("the answer breaks off: %v", err)
	}
	return res.StatusCode, string(text)
}

// kinds are what openssl makes keys by.
var kinds = map[string][]string{
	"ecdsa": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}, "rsa": {"-newkey", "rsa:2048"}, "ed25519": {"-newkey", "ed25519"},
}

// TestOpenSSL shows certificates of every kind to OpenSSL's server, and rotates
// from one to the next while it runs.
func TestOpenSSL(t *testing.T) {
	w := newWorld(t)
	for name, key := range kinds {
		w.client(name, key...)
	}
	a := w.start(w.manifests("rsa.pem", "rsa.key"), w.serve())
	for _, name := range []string{"rsa", "ecdsa", "ed25519", "rsa"} {
		w.manifests(name+".pem", name+".key")
		var text, said string
		if !eventually(func() bool {
			var status int
			status, text = a.get("/index.html")
			said += w.said.take()
			return status == http.StatusOK && text == "hello" && strings.Contains(said, "depth=0 CN = "+name)
		}) {
			t.Errorf("%s: %s, %s", name, text, said)
		}
	}
	if status, _ := a.get("/other"); status != http.StatusForbidden {
		t.Errorf("what is not granted: %d", status)
	}
}

// TestStrangers are refused by the server, which is told as such.
func TestStrangers(t *testing.T) {
	w := newWorld(t)
	w.client("stranger", kinds["ecdsa"]...)
	other := newWorld(t)
	a := w.start(w.manifests("stranger.pem", "stranger.key"), serveFor(w, other))
	if status, text := a.get("/index.html"); status != http.StatusBadGateway {
		t.Errorf("%d %s", status, text)
	}
}

// serveFor serves with the certificate of w, for clients of another authority.
func serveFor(w, clients *world) string {
	w.write("ca.pem", clients.read("ca.pem"))
	return w.serve()
}

// TestKeysThatAreRefused end the run before it begins, with the part that is to
// blame and the remedy; nothing of a key is told.
func TestKeysThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.client("ecdsa", kinds["ecdsa"]...)
	w.client("rsa", kinds["rsa"]...)
	w.openssl("pkey", "-in", "rsa.key", "-aes256", "-passout", "pass:x", "-out", "encrypted.key")
	w.openssl("ec", "-in", "ecdsa.key", "-aes256", "-passout", "pass:x", "-out", "older.key")
	for name, test := range map[string]struct{ certificate, key, field, says string }{
		"other key":        {"ecdsa.pem", "rsa.key", "spec.source.clientCertificate.keyRef", "does not fit"},
		"encrypted":        {"rsa.pem", "encrypted.key", "spec.source.clientCertificate.keyRef", "openssl pkey"},
		"encrypted, older": {"ecdsa.pem", "older.key", "spec.source.clientCertificate.keyRef", "openssl pkey"},
		"no certificate":   {"rsa.csr", "rsa.key", "spec.source.clientCertificate.certRef", "certificate in PEM"},
	} {
		command := exec.CommandContext(t.Context(), binary, "run", "-f", w.manifests(test.certificate, test.key))
		out, err := command.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%s: it ends with %v", name, err)
		}
		if !strings.Contains(string(out), test.field) || !strings.Contains(string(out), test.says) || strings.Contains(string(out), "-----") {
			t.Errorf("%s: it says %s", name, out)
		}
	}
}
