//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/test/canary"
	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

// intruder is a hostile agent and its control: the same pod without a sidecar,
// which holds the key in its environment, in its memory, in a file that it has
// open and where a sidecar would have its own.
type intruder struct {
	*probe
	Control string // namespace
	User    int64
}

var hostile = template.Must(template.New("").Parse(`
{{define "namespaces"}}
apiVersion: v1
kind: Namespace
metadata:
  name: {{.Namespace}}
  labels: {sallyport.dev-test: e2e, pod-security.kubernetes.io/enforce: baseline}
---
apiVersion: v1
kind: Namespace
metadata:
  name: {{.Control}}
  labels: {sallyport.dev-test: e2e, pod-security.kubernetes.io/enforce: baseline}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: {{.Control}}}
stringData: {token: {{.Key}}}
{{end}}
{{define "pods"}}
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: {{.Namespace}}}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
      annotations: {sallyport.dev/credentials: probe}
    spec:
      serviceAccountName: holder
      automountServiceAccountToken: true
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: {{.User}}, runAsGroup: {{.User}}}
      containers:
      - name: agent
        image: {{.Agent}}
        imagePullPolicy: Never
        command: [bash, -c, sleep infinity & wait]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: {{.Control}}}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: {{.User}}, runAsGroup: {{.User}}, fsGroup: {{.User}}}
      containers:
      - name: agent
        image: {{.Agent}}
        imagePullPolicy: Never
        workingDir: /var/run/sallyport-private
        command: [bash, -c, 'exec 9<token; sleep infinity & wait']
        env:
        - {name: GITHUB_TOKEN, valueFrom: {secretKeyRef: {name: key, key: token}}}
        volumeMounts:
        - {name: key, mountPath: /var/run/sallyport-private}
        - {name: shared, mountPath: /var/run/sallyport}
      volumes:
      - name: key
        secret: {secretName: key}
      - name: shared
        emptyDir: {}
{{end}}
`))

// newIntruder starts both. No request was sent yet, so no connection is open.
func newIntruder(t *testing.T, name string, user int64) *intruder {
	t.Helper()
	i := &intruder{probe: newProbe("hostile-" + name), Control: "e2e-control-" + name, User: user}
	apply := func(part string) {
		t.Helper()
		var out bytes.Buffer
		if err := hostile.ExecuteTemplate(&out, part, i); err != nil {
			t.Fatal(err)
		}
		if err := world.Cluster.Apply(t.Context(), out.String()); err != nil {
			t.Fatal(err)
		}
	}
	apply("namespaces")
	i.apply(t, "accounts", "key", "upstream", "credential")
	apply("pods")
	for _, namespace := range []string{i.Namespace, i.Control} {
		if _, err := world.Cluster.Run(t.Context(), "rollout", "status", "-n", namespace, "deployment/agent", "--timeout="+soon.String()); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// secrets are the key, and each half of it: not even a part may be found.
func (i *intruder) secrets() map[string]string {
	half := len(i.Key) / 2
	return map[string]string{"key": i.Key, "first half": i.Key[:half], "second half": i.Key[half:]}
}

// scan searches all that the command prints in a pod of the namespace. What the
// command may not do it says, and that is no failure.
func (i *intruder) scan(ctx context.Context, namespace string, command ...string) *canary.Scanner {
	s := &canary.Scanner{Secrets: i.secrets()}
	_ = world.Cluster.Stream(ctx, s, append([]string{"exec", "-n", namespace, "deployment/agent", "-c", "agent", "--", "intruder"}, command...)...)
	return s
}

// clean holds that the command shows nothing in the agent's pod.
func (i *intruder) clean(t *testing.T, command ...string) int {
	t.Helper()
	s := i.scan(t.Context(), i.Namespace, command...)
	for name, form := range s.Found() {
		t.Errorf("intruder %s shows the %s, as %s", strings.Join(command, " "), name, form)
	}
	if s.Size() == 0 {
		t.Errorf("intruder %s printed nothing", strings.Join(command, " "))
	}
	return s.Size()
}

// run runs the intruder and returns what it printed.
func (i *intruder) run(t *testing.T, namespace string, command ...string) string {
	t.Helper()
	out, err := world.Cluster.Exec(t.Context(), namespace, "deployment/agent", "agent", append([]string{"intruder"}, command...)...)
	if err != nil {
		t.Errorf("intruder %s: %v\n%s", strings.Join(command, " "), err, out)
	}
	if form := canary.Find(i.Key, out); form != "" && namespace == i.Namespace {
		t.Errorf("intruder %s shows the key, as %s", strings.Join(command, " "), form)
	}
	return out
}

// TestHostileAgent runs hostile code beside a sidecar, as its user and as root
// with the capabilities that a runtime gives by default. It reads what it can
// and tries what it can: nothing shows the key, and nothing out of scope goes
// upstream. The same in a pod that holds the key shows it by every way.
func TestHostileAgent(t *testing.T) {
	const sidecarUser = 14399
	for name, user := range map[string]int64{"user": sidecarUser, "root": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIntruder(t, name, user)
			t.Run("names", i.names)
			i.until(t, "GET", readable, http.StatusOK, "main")
			before := i.pod(t)
			if s := before.Spec.InitContainers[0].SecurityContext; s.RunAsUser == nil || *s.RunAsUser != sidecarUser {
				t.Fatalf("the sidecar's user is not the one that is taken for it: %+v", s)
			}
			for _, part := range []struct {
				name string
				do   func(*testing.T)
			}{
				{"reads", i.reads}, {"packets", i.packets}, {"ports", i.ports},
				{"requests", i.requests}, {"broker", i.broker}, {"flood", i.flood},
			} {
				t.Run(part.name, part.do)
			}
			i.until(t, "GET", readable, http.StatusOK, "main")
			i.unharmed(t, &before)
		})
	}
}

// unharmed holds that the sidecar is the one of before, and was never ended.
func (i *intruder) unharmed(t *testing.T, before *corev1.Pod) {
	t.Helper()
	after := i.pod(t)
	is, err := sidecar(&after)
	if err != nil || before.UID != after.UID || is.RestartCount != 0 {
		t.Errorf("the sidecar is not the one of before: %v, %+v", err, is)
	}
}

// reads searches every way to what others hold.
func (i *intruder) reads(t *testing.T) {
	for _, channel := range []string{"environ", "memory", "trace", "fds", "roots", "files", "kernel"} {
		size := i.clean(t, "read", channel)
		t.Logf("%s: %d bytes", channel, size)
		if found := i.scan(t.Context(), i.Control, "read", channel).Found()["key"]; found == "" && channel != "kernel" {
			t.Errorf("by %s the key is not found where it is", channel)
		}
	}
	i.clean(t, "links")
	if found := i.scan(t.Context(), i.Control, "links").Found()["key"]; found == "" {
		t.Error("by links the key is not found where it is")
	}
	if out := i.run(t, i.Namespace, "links"); strings.Contains(out, "planted") || !strings.Contains(out, "refused link") {
		t.Errorf("links: %s", out)
	}
	if out := i.run(t, i.Control, "links"); !strings.Contains(out, "planted link") {
		t.Errorf("no link can be planted where anybody may write: %s", out)
	}
}

// packets listens to everything while requests go to the sidecar and upstream.
func (i *intruder) packets(t *testing.T) {
	listen := func(namespace, command string) *canary.Scanner {
		handle := strings.TrimSpace(i.handle(t))
		s := &canary.Scanner{Secrets: i.secrets()}
		s.Secrets["handle"] = handle
		script := `intruder sniff -for 4s & while ` + command + `kill -0 %1 2>/dev/null; do :; done`
		if err := world.Cluster.Stream(t.Context(), s, "exec", "-n", namespace, "deployment/agent", "-c", "agent", "--", "bash", "-c", script); err != nil {
			t.Error(err)
		}
		return s
	}
	request := `curl -s -m 5 -o /dev/null -H "Authorization: Bearer $GITHUB_TOKEN" %s; `
	guarded := listen(i.Namespace, fmt.Sprintf(request, `"$GITHUB_API_URL`+readable+`"`)).Found()
	control := listen(i.Control, fmt.Sprintf(request, "http://api."+i.Upstream+".svc:443/")).Found()
	may := i.User == 0 // raw sockets are root's
	if (guarded["handle"] != "") != may || (control["key"] != "") != may {
		t.Errorf("packets can be listened to: found %v, and %v in the control", guarded, control)
	}
	for name := range i.secrets() {
		if guarded[name] != "" {
			t.Errorf("the %s is in packets, as %s", name, guarded[name])
		}
	}
}

// handle is the agent's token.
func (i *intruder) handle(t *testing.T) string {
	t.Helper()
	out, err := world.Cluster.Exec(t.Context(), i.Namespace, "deployment/agent", "agent", "printenv", "GITHUB_TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ports tries to take the sidecar's, with every option that sockets have.
func (i *intruder) ports(t *testing.T) {
	if out := i.run(t, i.Namespace, "ports", "14399", "14400"); strings.Contains(out, "took") || !strings.Contains(out, "refused 127.0.0.1:14400 SO_REUSEPORT") {
		t.Errorf("the sidecar's ports: %s", out)
	}
	if out := i.run(t, i.Namespace, "ports", "15400", "own"); !strings.Contains(out, "took 127.0.0.1:15400") || !strings.Contains(out, "took 127.0.0.1:15999 SO_REUSEPORT") {
		t.Errorf("other ports: %s", out)
	}
}

// attempt is a request as it goes over the wire, and where it has to end.
type attempt struct {
	Name, Text string
	reaches    bool // the upstream, where the key is held
}

func (i *intruder) attempts() (all []attempt) {
	mark := "hostile-" + i.Namespace
	get := func(name, line, host, rest string, reaches bool) {
		all = append(all, attempt{name, line + " HTTP/1.1\r\nHost: " + host + "\r\n" + rest + "Connection: close\r\n\r\n", reaches})
	}
	const bearer = "Authorization: Bearer {token}\r\n"
	get("deletion", "DELETE /repos/acme/docs/git/refs/heads/"+mark, "{host}", bearer, true)
	get("other repository", "GET /repos/acme/"+mark, "{host}", bearer, true)
	get("other method", "POST /repos/acme/docs/issues/"+mark+"/comments", "{host}", bearer+"Content-Length: 0\r\n", true)
	get("dots", "GET /repos/acme/docs/../"+mark, "{host}", bearer, true)
	get("escaped dots", "GET /repos/acme/docs/%2e%2e/"+mark, "{host}", bearer, true)
	get("query of the health port", "GET /repos/acme/"+mark+"?x=/healthz", "{host}", bearer, true)
	get("path of the health port", "GET /healthz/../repos/acme/"+mark, "{host}", bearer, true)
	get("other host", "GET /repos/acme/docs?"+mark, "api.example.com", bearer, false)
	get("host of the upstream", "GET /repos/acme/docs?"+mark, "api."+i.Upstream+".svc", bearer, false)
	get("two hosts", "GET /repos/acme/docs?"+mark, "{host}", "Host: api.example.com\r\n"+bearer, false)
	get("whole URL", "GET http://api.example.com/repos/acme/docs?"+mark, "api.example.com", bearer, false)
	get("tunnel", "CONNECT api."+i.Upstream+".svc:443", "api."+i.Upstream+".svc:443", bearer, false)
	get("trace", "TRACE /repos/acme/docs?"+mark, "{host}", bearer, false)
	get("no token", "GET /repos/acme/docs?"+mark, "{host}", "", false)
	get("two tokens", "GET /repos/acme/docs?"+mark, "{host}", bearer+"Authorization: Bearer x\r\n", false)
	return all
}

type answered struct {
	Name   string
	Status int
	Body   string
}

// send sends the attempts by the intruder.
func (i *intruder) attempt(t *testing.T, namespace string, all []attempt, args ...string) (answers []answered) {
	t.Helper()
	in, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"exec", "-i", "-n", namespace, "deployment/agent", "-c", "agent", "--", "intruder", "exchange"}, args...)
	out, err := world.Cluster.Pipe(t.Context(), string(in), args...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &answers)
	}
	if err != nil {
		t.Fatal(err)
	}
	if form := canary.Find(i.Key, out); form != "" && namespace == i.Namespace {
		t.Errorf("an answer has the key, as %s", form)
	}
	return answers
}

// requests sends what is out of scope, or to somewhere else. Nothing of it is
// seen upstream; sent with the key itself, it is.
func (i *intruder) requests(t *testing.T) {
	all := i.attempts()
	sidecar := "127.0.0.1:14400"
	for _, a := range i.attempt(t, i.Namespace, all, "-addr="+sidecar, "-host="+sidecar) {
		if a.Status < 400 && a.Status != 0 {
			t.Errorf("%s was answered: %d %s", a.Name, a.Status, a.Body)
		}
	}
	for _, a := range i.attempt(t, i.Namespace, []attempt{{Name: "sound", Text: "GET " + readable + " HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"}}, "-addr="+sidecar, "-host="+sidecar) {
		if a.Status != http.StatusOK {
			t.Errorf("a sound request, sent alike, got %d %s", a.Status, a.Body)
		}
	}
	if seen := i.marked(t); len(seen) > 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
	server := "api." + i.Upstream + ".svc"
	i.attempt(t, i.Control, all, "-addr="+server+":443", "-tls", "-host="+server)
	reach := 0
	for _, a := range all {
		if a.reaches {
			reach++
		}
	}
	err := kube.Until(t.Context(), soon, "the control's requests upstream", func(context.Context) error {
		if seen := i.marked(t); len(seen) < reach {
			return fmt.Errorf("%d of %d were seen: %+v", len(seen), reach, seen)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	i.health(t)
}

// marked are the requests that the upstream saw with the real key.
func (i *intruder) marked(t *testing.T) (all []upstream.Entry) {
	t.Helper()
	seen, err := world.Cluster.Run(t.Context(), "logs", "-n", i.Upstream, "deployment/api", "--since=10m")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(seen) {
		var e upstream.Entry
		if json.Unmarshal([]byte(line), &e) == nil && strings.Contains(e.Path, "hostile-"+i.Namespace) && e.Authorized {
			all = append(all, e)
		}
	}
	return all
}

// health asks the health port for what it does not have.
func (i *intruder) health(t *testing.T) {
	var all []attempt
	for _, line := range []string{
		"GET /", "GET //healthz", "GET /healthz/", "GET /healthz?x", "GET /x?y=/healthz", "GET /healthz/../debug/pprof/heap", "GET /%68ealthz",
		"GET /debug/pprof/heap", "GET /config", "GET http://x/healthz", "GET /metrics/../shutdown", "POST /shutdown", "POST /healthz", "PUT /metrics", "GET " + readable,
	} {
		all = append(all, attempt{Name: line, Text: line + " HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"})
	}
	for _, a := range i.attempt(t, i.Namespace, all, "-addr=127.0.0.1:14399", "-host=127.0.0.1:14399") {
		if a.Status < 400 {
			t.Errorf("health: %s got %d %s", a.Name, a.Status, a.Body)
		}
	}
	for _, a := range i.attempt(t, i.Namespace, []attempt{{Name: "sound", Text: "GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"}}, "-addr=127.0.0.1:14399", "-host=127.0.0.1:14399") {
		if a.Status != http.StatusOK || !strings.Contains(a.Body, "sallyport_") {
			t.Errorf("health: metrics got %d %s", a.Status, a.Body)
		}
	}
}

// broker asks the broker with all tokens but the sidecar's, and with one that an
// administrator makes for this very pod: to the API server it is the sidecar's
// identity, and the broker keeps the pod to the sidecar's key. In [probe.minted]
// the same request is given the key, once the pod is kept to none.
func (i *intruder) broker(t *testing.T) {
	ask := func(args ...string) (answers []answered) {
		out, err := world.Cluster.Exec(t.Context(), i.Namespace, "deployment/agent", "agent", append([]string{"intruder", "broker"}, args...)...)
		if err == nil {
			err = json.Unmarshal([]byte(out), &answers)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return answers
	}
	answers := ask()
	names := map[string]bool{}
	for _, a := range answers {
		names[a.Name] = true
		if a.Status < 400 || canary.Find(i.Key, a.Body) != "" {
			t.Errorf("the broker was asked by %s: %d %s", a.Name, a.Status, a.Body)
		}
	}
	for _, name := range []string{"own", "audience", "none's algorithm", "handle", "scoped"} {
		if !names[name] {
			t.Errorf("the broker was not asked by %s: %v", name, names)
		}
	}
	token, err := world.Cluster.Run(t.Context(), "create", "token", "holder", "-n", i.Namespace,
		"--audience=broker.sallyport.dev", "--bound-object-kind=Pod", "--bound-object-name="+i.pod(t).Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range ask("-token=" + strings.TrimSpace(token)) {
		if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "another key") || canary.Find(i.Key, a.Body) != "" {
			t.Errorf("the broker was asked with the sidecar's identity: %d %s", a.Status, a.Body)
		}
	}
}

// flood sends too much of everything: the sidecar neither ends nor keeps others
// waiting.
func (i *intruder) flood(t *testing.T) {
	const lasting = 32 * time.Second // three probes of liveness
	done := make(chan string, 1)
	pod := i.pod(t)
	go func() {
		out, err := world.Cluster.Exec(t.Context(), i.Namespace, "deployment/agent", "agent", "intruder", "flood",
			"-addr=127.0.0.1:14400", "-health="+pod.Status.PodIP+":14399", "-for="+lasting.String())
		done <- fmt.Sprint(out, err)
	}()
	answered, failed := 0, []string{}
	for {
		select {
		case out := <-done:
			t.Logf("%d requests went on, %d failed: %v\n%s", answered, len(failed), failed[:min(len(failed), 5)], out)
			if answered == 0 || len(failed) > 0 {
				t.Error("requests were not answered meanwhile")
			}
			i.unharmed(t, &pod)
			return
		default:
		}
		got, err := i.probe.send(t.Context(), "GET", readable)
		if err != nil || got.status != http.StatusOK {
			failed = append(failed, fmt.Sprint(got, err))
			continue
		}
		answered++
	}
}

// names repoints the upstream's and the broker's by the hosts file and by a name
// server of its own. It is root's to do, and moves others, but no request of the
// sidecar's.
func (i *intruder) names(t *testing.T) {
	server := "api." + i.Upstream + ".svc"
	for n, file := range []string{"hosts", "resolv"} {
		if n > 0 && i.User == 0 {
			i.anew(t)
		}
		control := make(chan string, 1)
		go func() {
			control <- i.repoint(t.Context(), i.Control, file,
				`echo '[{"Text": "GET / HTTP/1.1\r\nHost: moved\r\n\r\n"}]' | intruder exchange -tls -addr=`+server+`:443`)
		}()
		guarded := i.repoint(t.Context(), i.Namespace, file,
			`for n in $(seq 24); do curl -s -m 20 -H "Authorization: Bearer $GITHUB_TOKEN" "$GITHUB_API_URL`+readable+`" & done; wait $(jobs -p | tail -n +2)`)
		moved := <-control
		if strings.Contains(guarded, "request ") || strings.Contains(guarded, "impostor\n") || canary.Find(i.Key, guarded) != "" {
			t.Errorf("%s: a request came to the impostor:\n%s", file, guarded)
		}
		if (i.User == 0) != strings.Contains(moved, "request GET") {
			t.Errorf("%s: the control says\n%s", file, moved)
		}
		if file == "hosts" && !strings.Contains(guarded, `"full_name"`) {
			t.Errorf("the hosts file took the sidecar's requests away:\n%s", guarded)
		}
		if file == "resolv" && i.User == 0 && !strings.Contains(guarded, "connected ") {
			t.Errorf("the sidecar's name server was not changed, so nothing was shown:\n%s", guarded)
		}
		t.Logf("%s: %d requests answered by the upstream, %d questions and %d connections to the impostor", file,
			strings.Count(guarded, `"full_name"`), strings.Count(guarded, "asked for "), strings.Count(guarded, "connected "))
	}
}

// anew has another pod in the place of the agent's, whose sidecar has no
// connection open.
func (i *intruder) anew(t *testing.T) {
	t.Helper()
	restart(t, i.Namespace, "deployment/agent")
	err := kube.Until(t.Context(), soon, "the pod of before to be gone", func(ctx context.Context) error {
		out, err := world.Cluster.Run(ctx, "get", "pods", "-n", i.Namespace, "-o", "name")
		if err == nil && strings.Count(out, "pod/") != 1 {
			err = fmt.Errorf("there are %q", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// repoint runs the command while the impostor is at work.
func (i *intruder) repoint(ctx context.Context, namespace, file, command string) string {
	// A resolver looks every five seconds whether its configuration has changed.
	script := `exec 2>&1; echo 'hosts: files dns' >/etc/nsswitch.conf; intruder impostor -name=api.` + i.Upstream + `.svc -` + file + ` -for=10s & sleep 6; ` + command + `; wait`
	out, _ := world.Cluster.Exec(ctx, namespace, "deployment/agent", "agent", "bash", "-c", script) // it says what it may not
	return out
}
