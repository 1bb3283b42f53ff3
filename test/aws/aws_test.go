// Package aws plays clients of AWS as agents: AWS's own SDK for Go and curl,
// through the binary, against services that verify every signature by a reading
// of AWS's text of their own.
package aws

import (
	"bufio"
	"bytes"
	"crypto/md5" //nolint:gosec // G501: SQS says so
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/test/sigv4"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

const (
	accessKeyID = "AKIDCANARY0123456789"
	secretKey   = "CANARY/wJalrXUtnFEMI+K7MDENG=bPxRfiCY"
	session     = "CANARY//session+token=="
	filesHost   = "s3.eu-central-1.amazonaws.com"
	queuesHost  = "sqs.eu-central-1.amazonaws.com"
	queue       = "https://sqs.eu-central-1.amazonaws.com/1234/jobs"
)

const manifests = `
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: agents}
stringData: {id: ` + accessKeyID + `, secret: ` + secretKey + `}
---
apiVersion: v1
kind: Secret
metadata: {name: session, namespace: agents}
stringData: {token: ` + session + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: aws, namespace: agents}
spec:
  endpoints:
  - {name: files, url: "https://` + filesHost + `", inject: {awsSigV4: {region: eu-central-1, service: s3}}}
  - {name: queues, url: "https://` + queuesHost + `", inject: {awsSigV4: {region: eu-central-1, service: sqs}}}
  source:
    awsKeys:
      accessKeyIDRef: {name: keys, key: id}
      secretAccessKeyRef: {name: keys, key: secret}
      sessionTokenRef: {name: session, key: token}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: aws, namespace: agents}
spec:
  upstream: {name: aws}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: read
    http: {endpoint: files, methods: [GET], paths: ["/reports/{key...}"]}
    where: {key: {glob: "public/**"}}
    query: {params: {x-id: {equals: GetObject}}}
  - name: write
    http: {endpoint: files, methods: [PUT], paths: ["/reports/{key...}"]}
    where: {key: {glob: "public/**"}}
    query: {params: {x-id: {equals: PutObject}}}
    body: {media: Opaque, maxBytes: 4194304}
  - name: list
    http: {endpoint: files, methods: [GET], paths: ["/reports"]}
    query: {params: {list-type: {equals: "2", required: true}, prefix: {pattern: "public/.*", required: true}}}
  - name: send
    http: {endpoint: queues, methods: [POST], paths: [/]}
    headers:
      X-Amz-Target: {equals: AmazonSQS.SendMessage, required: true}
      Content-Type: {equals: application/x-amz-json-1.0}
    body: {fields: {QueueUrl: {equals: "` + queue + `", required: true}, MessageBody: {maxLength: 100}}}
`

// service is one of AWS's, with its objects; it takes nothing that does not
// verify.
type service struct {
	verifier sigv4.Verifier

	mu      sync.Mutex
	objects map[string]string
	calls   []string // method and target of what verified
	refused []string // why the rest did not
}

func newService(name string) *service {
	return &service{objects: map[string]string{}, verifier: sigv4.Verifier{
		Region: "eu-central-1", Service: name, AccessKeyID: accessKeyID, SecretAccessKey: secretKey, SessionToken: session, Now: time.Now,
	}}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := sigv4.Of(r)
	if err == nil {
		err = s.verifier.Verify(req)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.refused = append(s.refused, r.Method+" "+r.RequestURI+": "+err.Error())
		http.Error(w, "<Error><Code>SignatureDoesNotMatch</Code></Error>", http.StatusForbidden)
		return
	}
	s.calls = append(s.calls, r.Method+" "+r.RequestURI)
	if s.verifier.Service == "sqs" {
		sent(w, req.Body)
		return
	}
	s.object(w, r, req.Body)
}

// sent answers as SQS does.
func sent(w http.ResponseWriter, body []byte) {
	var message struct{ MessageBody string }
	if json.Unmarshal(body, &message) != nil {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	sum := md5.Sum([]byte(message.MessageBody)) //nolint:gosec // G401: as above
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_, _ = fmt.Fprintf(w, `{"MessageId":"1","MD5OfMessageBody":"%s"}`, hex.EncodeToString(sum[:]))
}

// object answers as S3 does.
func (s *service) object(w http.ResponseWriter, r *http.Request, body []byte) {
	text, found := s.objects[r.URL.Path]
	switch {
	case r.Method == http.MethodPut:
		s.objects[r.URL.Path] = string(body)
	case r.URL.Query().Get("list-type") == "2":
		s.list(w, r.URL.Path+"/", r.URL.Query().Get("prefix"))
	case !found:
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, text)
	}
}

func (s *service) list(w io.Writer, bucket, prefix string) {
	type content struct{ Key string }
	var result struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []content
	}
	for path := range s.objects {
		if key, ok := strings.CutPrefix(path, bucket); ok && strings.HasPrefix(key, prefix) {
			result.Contents = append(result.Contents, content{key})
		}
	}
	slices.SortFunc(result.Contents, func(a, b content) int { return strings.Compare(a.Key, b.Key) })
	_ = xml.NewEncoder(w).Encode(result)
}

// news returns what the service was asked since it was last told, and what it
// refused.
func (s *service) news() (calls, refused []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, refused = s.calls, s.refused
	s.calls, s.refused = nil, nil
	return calls, refused
}

// Programs that are built once.
var binary, clients string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-aws-")
	if err != nil {
		panic(err)
	}
	binary, clients = filepath.Join(dir, "sallyport"), filepath.Join(dir, "clients")
	for _, build := range [][3]string{{".", binary, "../../cmd/sallyport"}, {"clients", clients, "."}} {
		command := exec.Command("go", "build", "-o", build[1], build[2])
		command.Dir = build[0]
		if out, err := command.CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is the services and the binary before them.
type world struct {
	files, queues *service
	home, audit   string
	env           []string // of a COMMAND
}

// newWorld starts all of it. The agent's environment is what `sallyport run`
// gives to its COMMAND, and nothing else.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, manifests, session)
}

// newWorldOf starts the services for keys with this session token.
func newWorldOf(t *testing.T, manifests, token string) *world {
	t.Helper()
	w := &world{files: newService("s3"), queues: newService("sqs"), home: t.TempDir()}
	w.files.verifier.SessionToken, w.queues.verifier.SessionToken = token, token
	certificate, authority, err := upstream.Certificate(filesHost, queuesHost)
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{"run", "-f", w.write(t, "scope.yaml", manifests), "--upstream-ca", w.write(t, "ca.pem", string(authority))}
	for host, s := range map[string]*service{filesHost: w.files, queuesHost: w.queues} {
		server := httptest.NewUnstartedServer(s)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		arguments = append(arguments, "--connect-to", host+":443="+server.Listener.Addr().String())
	}
	w.audit = filepath.Join(w.home, "audit.jsonl")
	w.start(t, append(arguments, "--audit-file", w.audit)...)
	return w
}

func (w *world) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(w.home, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// start runs the binary with a COMMAND that tells its environment, and a zero
// and a one at its end.
func (w *world) start(t *testing.T, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, append(arguments, "--", "sh", "-c", "env -0 && printf '\\001' && cat")...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + w.home}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command.Stderr, command.WaitDelay = &output, time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the process said:\n%s", output.String())
		}
	})
	text, err := bufio.NewReader(stdout).ReadString(1)
	if err != nil {
		t.Fatalf("the command did not start: %v\n%s", err, output.String())
	}
	w.env = strings.Split(strings.TrimSuffix(text, "\x00\x01"), "\x00")
}

// variable is one that the agent has.
func (w *world) variable(t *testing.T, name string) string {
	t.Helper()
	for _, v := range w.env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	t.Fatalf("the agent has no %s: %v", name, w.env)
	return ""
}

// run runs a program as the agent and returns what it printed.
func (w *world) run(t *testing.T, more []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Env = append(slices.Clone(w.env), more...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}
