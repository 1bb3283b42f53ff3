package aws

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

// versity is Versity's S3 gateway, as it is, and the binary before it: a server
// that others wrote, which holds a request to its signature by a reading of its
// own. It knows no session tokens.
type versity struct {
	*world
	around  string // where who goes around the binary finds it
	buckets string
	log     string
	read    int // bytes of the log that news has told
}

// versityManifests let the SDK's checksums up, since the server looks at them.
var versityManifests = strings.NewReplacer(
	"      sessionTokenRef: {name: session, key: token}\n", "",
	"    body: {media: Opaque, maxBytes: 4194304}\n", "    body: {media: Opaque, maxBytes: 4194304}\n"+
		"    headers: {X-Amz-Checksum-Crc32: {maxLength: 8}, X-Amz-Sdk-Checksum-Algorithm: {equals: CRC32}}\n",
).Replace(manifests)

func newVersity(t *testing.T) *versity {
	t.Helper()
	home := t.TempDir()
	v := &versity{world: &world{home: home, audit: filepath.Join(home, "audit.jsonl")},
		buckets: filepath.Join(home, "buckets"), log: filepath.Join(home, "server.log")}
	metadata, users, socket := filepath.Join(home, "metadata"), filepath.Join(home, "users"), filepath.Join(home, "s")
	for _, dir := range []string{filepath.Join(v.buckets, "reports"), metadata, users} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	certificate, authority, err := upstream.Certificate(filesHost)
	if err != nil {
		t.Fatal(err)
	}
	chain, key := encoded(t, certificate)
	v.serve(t, "--quiet", "--port", socket, "--region", "eu-central-1", "--access-log", v.log, "--iam-dir", users,
		"--cert", v.write(t, "server.pem", chain), "--key", v.write(t, "server.key", key), "posix", "--sidecar", metadata, v.buckets)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	secured := func() (net.Conn, error) {
		return tls.Dial("unix", socket, &tls.Config{ServerName: filesHost, RootCAs: trusted, MinVersion: tls.VersionTLS12})
	}
	await(t, secured)
	v.around = "http://" + relay(t, secured)
	plain := relay(t, func() (net.Conn, error) { return net.Dial("unix", socket) })
	v.start(t, "run", "-f", v.write(t, "scope.yaml", versityManifests), "--upstream-ca", v.write(t, "ca.pem", string(authority)),
		"--connect-to", filesHost+":443="+plain, "--audit-file", v.audit)
	return v
}

// serve runs the server, which make builds from the module beside this.
func (v *versity) serve(t *testing.T, arguments ...string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(cache, "sallyport", "clients", "versitygw"), arguments...)
	var output bytes.Buffer
	command.Env = []string{"HOME=" + v.home, "TMPDIR=" + v.home, "ROOT_ACCESS_KEY_ID=" + accessKeyID, "ROOT_SECRET_ACCESS_KEY=" + secretKey}
	command.Stdout, command.Stderr, command.WaitDelay = &output, &output, time.Second
	if err := command.Start(); err != nil {
		t.Fatalf("run `make clients`: %v", err)
	}
	t.Cleanup(func() {
		_ = command.Wait() // its context is done by now
		if t.Failed() {
			t.Logf("the server said:\n%s", output.String())
		}
	})
}

// encoded is a certificate and its key as files have them.
func encoded(t *testing.T, c tls.Certificate) (chain, key string) {
	t.Helper()
	for _, one := range c.Certificate {
		chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one}))
	}
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return chain, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// await waits until somebody answers.
func await(t *testing.T, dial func() (net.Conn, error)) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		c, err := dial()
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// relay leads to what dial reaches, byte by byte, and returns its address. The
// server listens on a socket, since it does not tell a port that it was given.
func relay(t *testing.T, dial func() (net.Conn, error)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go join(client, dial)
		}
	}()
	return listener.Addr().String()
}

// join copies both ways until either side is done.
func join(client net.Conn, dial func() (net.Conn, error)) {
	defer func() { _ = client.Close() }()
	server, err := dial()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// logged is a line of the server's log: the operation, the status and the code
// of the error.
var logged = regexp.MustCompile(`(?m)\] \S+ \S+ \S+ (?:s3_)?(\S+) .* /\S* (\d{3}) (\S+) \d+ \d+ \d+ \d+ `)

// news returns what the server was asked since it was last told, and how it
// answered. It writes a line before it answers.
func (v *versity) news(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(v.log)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, line := range logged.FindAllStringSubmatch(string(text[v.read:]), -1) {
		all = append(all, strings.TrimSuffix(strings.Join(line[1:], " "), " -"))
	}
	if lines := strings.Count(string(text[v.read:]), " SigV4 "); lines != len(all) {
		t.Errorf("%d of %d lines of the log were read:\n%s", len(all), lines, text[v.read:])
	}
	v.read = len(text)
	return all
}

// stored is what the server has for an object.
func (v *versity) stored(key string) string {
	text, err := os.ReadFile(filepath.Join(v.buckets, "reports", key))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// expect has the SDK do things and compares what it printed and what the server
// wrote down.
func (v *versity) expect(t *testing.T, more, do, want, news []string) {
	t.Helper()
	got := strings.Split(strings.TrimSpace(v.run(t, more, append([]string{clients}, do...)...)), "\n")
	same := func(got, want string) bool {
		start, end, _ := strings.Cut(want, "...")
		return got == want || end != "" && strings.HasPrefix(got, start) && strings.Contains(got, end)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("it printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := v.news(t); !slices.Equal(got, news) {
		t.Errorf("the server wrote %q, want %q", got, news)
	}
}

// TestVersityRefuses is the control: the server takes the key from who has it,
// and refuses the agent, by whatever it has, and others.
func TestVersityRefuses(t *testing.T) {
	v := newVersity(t)
	token, none := v.variable(t, "AWS_ACCESS_KEY_ID"), v.variable(t, "AWS_SECRET_ACCESS_KEY")
	do := []string{"put|reports|public/a b.txt|other", "get|reports|public/a b.txt", "list|reports|public/", "delete|reports|public/a b.txt"}
	as := func(id, secret string) []string {
		return []string{"AWS_ENDPOINT_URL_S3=" + v.around, "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret}
	}
	v.expect(t, as(accessKeyID, secretKey),
		append(do[:3:3], "put|reports|public/gone|", "delete|reports|public/gone"),
		[]string{"put: done", "get: other", "list: public/a b.txt", "put: done", "delete: done"},
		[]string{"PutObject 200", "GetObject 200", "ListObjectsV2 200", "PutObject 200", "DeleteObject 200"})
	for name, test := range map[string]struct{ why, id, secret, code string }{
		"another secret":     {"it verifies", accessKeyID, strings.ToLower(secretKey), "SignatureDoesNotMatch"},
		"the agent's secret": {"it is none", accessKeyID, none, "SignatureDoesNotMatch"},
		"the agent's token":  {"the sidecar alone takes it", token, none, "InvalidAccessKeyId"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(test.why)
			v.expect(t, as(test.id, test.secret), do,
				[]string{"put: error: ..." + test.code, "get: error: ..." + test.code, "list: error: ..." + test.code, "delete: error: ..." + test.code},
				[]string{"PutObject 403 " + test.code, "GetObject 403 " + test.code, "ListObjectsV2 403 " + test.code, "DeleteObject 403 " + test.code})
			if text := v.stored("public/a b.txt"); text != "other" {
				t.Errorf("it is stored as %s", text)
			}
		})
	}
}

// TestVersity has the SDK do what is granted, and what is not: the server takes
// every signature that the sidecar made, and hears of nothing else.
func TestVersity(t *testing.T) {
	v := newVersity(t)
	const odd = "public/dt=2024-01-01/a b+c:d@e(f)!$&'*,~ä.txt"
	v.expect(t, nil,
		[]string{"put|reports|public/a.txt|hello", "get|reports|public/a.txt", "put|reports|" + odd + "|odd", "get|reports|" + odd,
			"put|reports|public/empty|", "list|reports|public/", "get|reports|public/none"},
		[]string{"put: done", "get: hello", "put: done", "get: odd", "put: done", "list: public/a.txt," + odd + ",public/empty", "get: error: ...NoSuchKey"},
		[]string{"PutObject 200", "GetObject 200", "PutObject 200", "GetObject 200", "PutObject 200", "ListObjectsV2 200", "GetObject 404 NoSuchKey"})
	if text := v.stored(odd); text != "odd" {
		t.Errorf("it is stored as %s", text)
	}
	v.expect(t, []string{"AWS_REQUEST_CHECKSUM_CALCULATION=when_supported"},
		[]string{"put|reports|public/sum|with a checksum", "get|reports|public/sum"},
		[]string{"put: done", "get: with a checksum"}, []string{"PutObject 200", "GetObject 200"})
	v.expect(t, nil,
		[]string{"delete|reports|public/a.txt", "get|reports|private/a.txt", "put|reports|private/a.txt|x", "list|reports|private/", "list|other|public/", "get|other|public/a.txt"},
		[]string{"delete: error: ...403", "get: error: ...403", "put: error: ...403", "list: error: ...403", "list: error: ...403", "get: error: ...403"}, nil)
	v.expect(t, []string{"AWS_REGION=us-east-1"}, []string{"get|reports|public/a.txt"}, []string{"get: error: ...403"}, nil)
	if text := v.stored("public/a.txt"); text != "hello" {
		t.Errorf("after all that is refused it is %s", text)
	}
	v.keepsKeys(t)
}

// TestVersityBodies has curl send bodies that stream: the server holds them to
// the digest that the agent gave, which the sidecar signed, and to its checksum.
func TestVersityBodies(t *testing.T) {
	v := newVersity(t)
	text := strings.Repeat("0123456789abcdef", 80000)
	sum, other := sha256.Sum256([]byte(text)), sha256.Sum256([]byte("other"))
	file := v.write(t, "large", text)
	for name, test := range map[string]struct {
		why, status, code, news string
		headers                 []string
	}{
		"unsigned":      {"curl leaves it so", "200", "", "PutObject 200", nil},
		"digest":        {"it is that of the body", "200", "", "PutObject 200", []string{"X-Amz-Content-Sha256: " + hex.EncodeToString(sum[:])}},
		"other digest":  {"the body is another", "400", "XAmzContentSHA256Mismatch", "PutObject 400 XAmzContentSHA256Mismatch", []string{"X-Amz-Content-Sha256: " + hex.EncodeToString(other[:])}},
		"other sum":     {"the body is another", "400", "BadDigest", "PutObject 400 BadDigest", []string{"X-Amz-Checksum-Crc32: AAAAAA=="}},
		"parts":         {"they cannot be signed", "415", "sallyport.dev/reasons/", "", []string{"X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Encoding: aws-chunked"}},
		"trailing sums": {"they come in parts", "415", "sallyport.dev/reasons/", "", []string{"X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding: aws-chunked"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-T", file}
			for _, h := range test.headers {
				args = append(args, "-H", h)
			}
			key := "public/" + strings.ReplaceAll(name, " ", "-")
			out := v.curl(t, "files", "s3", append(args, "/reports/"+key)...)
			if news := strings.Join(v.news(t), ", "); !strings.HasSuffix(out, " "+test.status) || !strings.Contains(out, test.code) || news != test.news {
				t.Errorf("%s: %s: %s", test.why, out, news)
			}
			if (v.stored(key) == text) != (test.status == "200") {
				t.Errorf("%s: it is stored as %.100s", test.why, v.stored(key))
			}
		})
	}
}
