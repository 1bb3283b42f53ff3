package aws

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSDK has AWS's SDK do what is granted, with keys of every spelling, and
// what is not: nothing of that reaches a service, and no signature fails.
func TestSDK(t *testing.T) {
	w := newWorld(t)
	const odd = "public/dt=2024-01-01/a b+c:d@e(f)!$&'*,~ä.txt"
	got := strings.Split(strings.TrimSpace(w.run(t, nil, clients,
		"put|reports|public/a.txt|hello",
		"get|reports|public/a.txt",
		"put|reports|"+odd+"|odd",
		"get|reports|"+odd,
		"put|reports|public/empty|",
		"list|reports|public/",
		"get|reports|public/none",
		"send|"+queue+"|a message",
	)), "\n")
	want := []string{
		"put: done", "get: hello", "put: done", "get: odd", "put: done", "list: public/a.txt," + odd + ",public/empty",
		"get: error: NoSuchKey", "send: done",
	}
	for i := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], strings.TrimSuffix(want[i], "error: NoSuchKey")) {
			t.Fatalf("it printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if !strings.Contains(got[6], "NoSuchKey") {
		t.Errorf("an error of the service is told as %s", got[6])
	}
	files, bad := w.files.news()
	queues, worse := w.queues.news()
	if len(files) != 7 || len(queues) != 1 || len(bad)+len(worse) > 0 {
		t.Errorf("the services took %v and %v, and refused %v and %v", files, queues, bad, worse)
	}
	for _, refused := range []string{
		"get|reports|private/a.txt", "put|reports|private/a.txt|x", "delete|reports|public/a.txt", "list|reports|private/", "list|other|public/",
		"get|other|public/a.txt", "send|https://sqs.eu-central-1.amazonaws.com/1234/other|x", "send|" + queue + "|" + strings.Repeat("x", 101),
	} {
		if out := w.run(t, nil, clients, refused); !strings.Contains(out, ": error: ") || !strings.Contains(out, "40") {
			t.Errorf("%.60s: %s", refused, out)
		}
	}
	if out := w.run(t, []string{"AWS_REGION=us-east-1"}, clients, "get|reports|public/a.txt"); !strings.Contains(out, "error: ") {
		t.Errorf("another region: %s", out)
	}
	files, bad = w.files.news()
	queues, worse = w.queues.news()
	if len(files)+len(queues)+len(bad)+len(worse) > 0 {
		t.Errorf("of what is not granted %v, %v, %v and %v reached a service", files, queues, bad, worse)
	}
	w.keepsKeys(t)
}

// TestLargeObjects are sent as they come, beyond what is read whole.
func TestLargeObjects(t *testing.T) {
	w := newWorld(t)
	text := strings.Repeat("0123456789abcdef", 80000) // more than bodyBytes; an argument may have 128 KiB
	file := w.write(t, "large", text)
	out := w.curl(t, "files", "s3", "-T", file, "/reports/public/large")
	if calls, refused := w.files.news(); !strings.HasSuffix(out, " 200") || len(calls) != 1 || len(refused) > 0 {
		t.Errorf("%s: %v, %v", out, calls, refused)
	}
	if w.files.objects["/reports/public/large"] != text {
		t.Error("it is stored as something else")
	}
}

// curl has curl sign and send a request; the status is its last word.
func (w *world) curl(t *testing.T, endpoint, service string, args ...string) string {
	t.Helper()
	url := w.variable(t, map[string]string{"files": "AWS_ENDPOINT_URL_S3", "queues": "AWS_ENDPOINT_URL_SQS"}[endpoint])
	last := len(args) - 1
	all := append([]string{"curl", "-s", "-g", "--path-as-is", "--aws-sigv4", "aws:amz:eu-central-1:" + service, "-w", " %{http_code}",
		"--user", w.variable(t, "AWS_ACCESS_KEY_ID") + ":" + w.variable(t, "AWS_SECRET_ACCESS_KEY")}, args[:last]...)
	return w.run(t, nil, append(all, url+args[last])...)
}

// TestCurl has another client sign, and tries what an SDK would not send.
func TestCurl(t *testing.T) {
	w := newWorld(t)
	w.files.objects["/reports/public/a b"] = "hello"
	for name, test := range map[string]struct {
		why, endpoint, service, status string
		args                           []string
	}{
		"get":             {"granted", "files", "s3", "200", []string{"/reports/public/a%20b"}},
		"list":            {"names in another order than they are signed in", "files", "s3", "200", []string{"/reports?prefix=public/&list-type=2"}},
		"send":            {"granted", "queues", "sqs", "200", []string{"-H", "Content-Type: application/x-amz-json-1.0", "-H", "X-Amz-Target: AmazonSQS.SendMessage", "-d", `{"QueueUrl": "` + queue + `", "MessageBody": "a"}`, "/"}},
		"other operation": {"it is in a header", "queues", "sqs", "403", []string{"-H", "Content-Type: application/x-amz-json-1.0", "-H", "X-Amz-Target: AmazonSQS.PurgeQueue", "-d", `{"QueueUrl": "` + queue + `"}`, "/"}},
		"other queue":     {"it is in the body", "queues", "sqs", "403", []string{"-H", "Content-Type: application/x-amz-json-1.0", "-H", "X-Amz-Target: AmazonSQS.SendMessage", "-d", `{"QueueUrl": "x", "MessageBody": "a"}`, "/"}},
		"other service":   {"signed for another", "files", "sts", "403", []string{"/reports/public/a%20b"}},
		"hidden":          {"another object", "files", "s3", "400", []string{"/reports/public/..%2fprivate/a"}},
		"twice encoded":   {"S3 decodes once, a proxy before it perhaps too", "files", "s3", "400", []string{"/reports/public/a%2520b"}},
		"presigned":       {"it could be passed on", "files", "s3", "400", []string{"/reports/public/a%20b?X-Amz-Signature=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := w.curl(t, test.endpoint, test.service, test.args...)
			files, bad := w.files.news()
			queues, worse := w.queues.news()
			if !strings.HasSuffix(out, " "+test.status) || len(bad)+len(worse) > 0 || (len(files)+len(queues) == 1) != (test.status == "200") {
				t.Errorf("%s: %s: %v, %v, %v, %v", test.why, out, files, queues, bad, worse)
			}
		})
	}
	w.keepsKeys(t)
}

// keepsKeys looks for the keys where an agent or a reader of records could.
func (w *world) keepsKeys(t *testing.T) {
	t.Helper()
	records, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{accessKeyID, secretKey, session, w.variable(t, "AWS_ACCESS_KEY_ID")} {
		if strings.Contains(string(records), key) {
			t.Error("the records hold a key")
		}
	}
	if slices.ContainsFunc(w.env, func(v string) bool { return strings.Contains(v, "CANARY") }) {
		t.Errorf("the agent has a key: %v", w.env)
	}
}

// TestHowTo runs the lines of the guide, with its manifest.
func TestHowTo(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		_, rest, _ := strings.Cut(string(text), "```"+kind+"\n")
		inside, _, _ := strings.Cut(rest, "```")
		return inside
	}
	manifest := strings.NewReplacer("YOUR-ACCESS-KEY-ID", accessKeyID, "YOUR-SECRET-ACCESS-KEY", secretKey).Replace(block("yaml"))
	w := newWorldOf(t, manifest, "")
	lines := regexp.MustCompile("(?m)^\\| `((?:s3|sqs) [^`]+)` \\| (passes|refused) \\|$").FindAllStringSubmatch(string(text), -1)
	if len(lines) < 10 {
		t.Fatalf("the guide has %d lines", len(lines))
	}
	for _, line := range lines {
		out := w.run(t, nil, "bash", "-c", block("sh")+line[1])
		files, bad := w.files.news()
		queues, worse := w.queues.news()
		passed := len(files)+len(queues) == 1
		if passed != (line[2] == "passes") || len(bad)+len(worse) > 0 || passed == strings.Contains(out, "https://sallyport.dev/reasons/") {
			t.Errorf("%s: want it %s: %s, %v, %v", line[1], line[2], out, bad, worse)
		}
	}
}
