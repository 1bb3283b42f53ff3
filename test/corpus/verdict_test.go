package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/test/canary"
	"github.com/sallyport-dev/sallyport/test/parsers"
)

// evidence is all that was observed of one request. Nothing else decides.
type evidence struct {
	sent     []byte
	received []byte // by the client
	closed   bool   // by the proxy
	answers  []answer

	upstream []byte
	requests []upstreamRequest
	mark     string // stands in the upstream's answers

	records []record // of the audit file, since the request was sent
	blind   bool     // there is no audit file: the answer says why
	logs    string   // the same of standard output and standard error
	audit   string
	values  map[string]string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// reasons is the closed set of the API reference.
var reasons = []string{
	"Malformed", "Unauthenticated", "OutOfScope", "ParameterRefused", "BeyondCeiling", "TooLarge", "TooSlow", "RateLimited",
	"NotReady", "LeaseExpired", "Revoked", "Suspended", "Expired", "VersionWentBack", "ClockSkew", "Unrecorded",
	"DestinationRefused", "UpstreamUnreachable", "UpstreamTimeout", "AnswerRefused",
}

// verdict says why the case failed, or nil.
func verdict(c *testCase, e *evidence) error {
	expectations := map[string]func(*testCase, *evidence) error{
		"allow": allowed, "block": blocked, "split": split, "transform": transformed,
		"block-or-clean": func(c *testCase, e *evidence) error {
			if len(e.upstream) == 0 {
				return blocked(c, e)
			}
			return clean(c, e)
		},
	}
	expected, known := expectations[c.Expect]
	if !known {
		return fmt.Errorf("the expectation %q is not known", c.Expect)
	}
	return errors.Join(leaks(e), expected(c, e), details(c, e), readAlike(c, e))
}

// readAlike holds for every request: what reached the upstream other parsers
// read as the same requests, as many as the upstream did. Behind a request for a
// tunnel there are messages.
func readAlike(c *testCase, e *evidence) error {
	raw := e.upstream
	if c.isSocket() && len(e.requests) > 0 {
		raw = raw[:min(e.requests[0].length, len(raw))]
	}
	read, err := parsers.Read(raw)
	if err != nil {
		return fmt.Errorf("the bytes that reached the upstream are ambiguous: %w", err)
	}
	if len(read) != len(e.requests) {
		return fmt.Errorf("%d requests reached the upstream, and other parsers read %d", len(e.requests), len(read))
	}
	for i, r := range e.requests {
		if method, _, _ := strings.Cut(r.line, " "); method != read[i].Method || string(r.body) != read[i].Body {
			return fmt.Errorf("%q is read as another request by other parsers", r.line)
		}
	}
	return nil
}

// leaks holds for every request: the key stays inside, the token does not go out.
func leaks(e *evidence) error {
	for place, text := range map[string]string{"the answer": e.seen(), "the logs": e.logs, "the audit file": e.audit} {
		if form := canary.Find(e.values["REAL"], text); form != "" {
			return fmt.Errorf("the key (%s) is in %s", form, place)
		}
	}
	if form := canary.Find(e.values["TOKEN"], string(e.upstream)); form != "" {
		return fmt.Errorf("the token (%s) reached the upstream", form)
	}
	return nil
}

// allowed: one clean request upstream, and its answer at the client.
func allowed(c *testCase, e *evidence) error {
	if err := clean(c, e); err != nil {
		return err
	}
	passed := func(status int) bool {
		return status == http.StatusOK || c.isSocket() && status == http.StatusSwitchingProtocols
	}
	if len(e.answers) != 1 || !passed(e.answers[0].status) || !bytes.Contains(e.answers[0].body, []byte(e.mark)) {
		return fmt.Errorf("forwarded, but the upstream's answer did not come back: %s", e)
	}
	return nil
}

// clean: one request upstream that nobody can misread, with the key, and no
// byte beside it.
func clean(c *testCase, e *evidence) error {
	if len(e.requests) != 1 {
		return fmt.Errorf("%d requests reached the upstream, want one: %s", len(e.requests), e)
	}
	r := e.requests[0]
	if r.defect != "" {
		return fmt.Errorf("the upstream got a request with a defect: %s", r.defect)
	}
	if r.length != len(e.upstream) {
		return fmt.Errorf("the upstream got %d bytes besides the request", len(e.upstream)-r.length)
	}
	if line := strings.TrimSuffix(r.line, " HTTP/1.1"); c.Forward != "" && line != c.Forward {
		return fmt.Errorf("forwarded %q, want %q", line, c.Forward)
	}
	got, keys := r.values("Authorization"), []string{"Bearer " + e.values["REAL"], "Basic " + e.values["REAL_BASIC"]}
	if len(got) != 1 || !slices.Contains(keys, got[0]) {
		return fmt.Errorf("the upstream got %d Authorization headers, want the key in one", len(got))
	}
	return nil
}

// blocked: no byte upstream, a refusal or a close at the client, a record.
func blocked(c *testCase, e *evidence) error {
	if len(e.upstream) > 0 {
		return fmt.Errorf("it reached the upstream: %s", e)
	}
	if len(e.answers) == 0 && !e.closed {
		return errors.New("neither answered nor closed")
	}
	for i, a := range e.answers {
		if i == 0 && len(c.Status) > 0 && !slices.Contains(c.Status, a.status) {
			return fmt.Errorf("refused with %d, want one of %v: %s", a.status, c.Status, e)
		}
		if !a.refuses() && !slices.Contains(c.Status, a.status) {
			return fmt.Errorf("answered %d, want a refusal", a.status)
		}
		if err := errors.Join(problem(c, &a, e), printable(c, &a), answersID(c, &a, e), statusOfCall(c, &a)); err != nil {
			return err
		}
	}
	return recorded(c, e)
}

// refuses tells a refusal: by its status, or by the error of its protocol.
func (a *answer) refuses() bool {
	_, rpc := a.rpcError()
	called := a.grpcStatus() != "" && a.grpcStatus() != "0"
	return a.status/100 == 4 || rpc || called
}

// problem checks the document of a refusal (RFC 9457). An answer to HEAD has
// none.
func problem(c *testCase, a *answer, e *evidence) error {
	if c.Refusal != "problem" || a.status != http.StatusForbidden || bytes.HasPrefix(e.sent, []byte("HEAD ")) {
		return nil
	}
	if media := a.header.Get("Content-Type"); media != "application/problem+json; charset=utf-8" {
		return fmt.Errorf("the refusal has Content-Type %q", media)
	}
	var document struct {
		Type, Title, Detail, Credential, Reason, RequestID string
		Status                                             int
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		return fmt.Errorf("the refusal is not JSON: %w", err)
	}
	if document.Type == "" || document.Title == "" || document.Detail == "" || document.Credential == "" || document.Reason == "" ||
		document.RequestID == "" || document.Status != a.status {
		return fmt.Errorf("the refusal lacks a member: %s", a.body)
	}
	return nil
}

// printable: git prints the text of a refusal, or an ERR packet.
func printable(c *testCase, a *answer) error {
	text := strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") && len(a.body) > 0
	packet := len(a.body) > 4 && bytes.HasPrefix(a.body[4:], []byte("ERR "))
	if c.Refusal == "git" && a.status == http.StatusForbidden && !text && !packet {
		return fmt.Errorf("git does not print the refusal: %s", a.body)
	}
	return nil
}

// recorded: a record of the closed set, the one that the answer names.
func recorded(c *testCase, e *evidence) error {
	r, found := e.refusalRecord()
	if e.blind && len(e.answers) > 0 {
		found = json.Unmarshal(e.answers[0].body, &r) == nil
	}
	switch {
	case e.unspoken(c):
		return nil
	case !found:
		return fmt.Errorf("no audit record gives a reason: %s", e)
	case !slices.Contains(reasons, r.Reason):
		return fmt.Errorf("the recorded reason %q is not one of the closed set", r.Reason)
	case c.Reason != "" && r.Reason != c.Reason:
		return fmt.Errorf("refused as %s, want %s", r.Reason, c.Reason)
	}
	return nil
}

// refusalRecord finds the record that belongs to the refusal.
func (e *evidence) refusalRecord() (record, bool) {
	var named struct{ RequestID string }
	if len(e.answers) > 0 {
		_ = json.Unmarshal(e.answers[0].body, &named)
		if rpc, ok := e.answers[0].rpcError(); ok {
			named.RequestID = rpc.Error.Data.RequestID
		}
		if id := e.answers[0].header.Get("Sallyport-Request-Id"); id != "" {
			named.RequestID = id
		}
	}
	for _, r := range e.records {
		if r.Reason != "" && (named.RequestID == "" || r.ID == named.RequestID) {
			return r, true
		}
	}
	return record{}, false
}

// split: several requests on one connection, each with its own outcome. After
// a refusal the proxy may close.
func split(c *testCase, e *evidence) error {
	forwarded := 0
	for i, expect := range c.ExpectEach {
		answered := i < len(e.answers)
		switch {
		case expect == "allow":
			forwarded++
			if !answered || e.answers[i].status != http.StatusOK {
				return fmt.Errorf("request %d was not answered with 200: %s", i+1, e)
			}
		case answered && !e.answers[i].refuses() && !slices.Contains(c.Status, e.answers[i].status):
			return fmt.Errorf("request %d was answered %d, want a refusal", i+1, e.answers[i].status)
		case !answered && !e.closed:
			return fmt.Errorf("request %d was neither answered nor closed", i+1)
		}
	}
	if len(e.requests) != forwarded {
		return fmt.Errorf("%d requests reached the upstream, want %d: %s", len(e.requests), forwarded, e)
	}
	return nil
}

// transformed: what reached the upstream is well-formed; the rest is details.
// Where the case does not say what the upstream answers, the proxy may.
func transformed(c *testCase, e *evidence) error {
	for _, r := range e.requests {
		if r.defect != "" {
			return fmt.Errorf("the upstream got a request with a defect: %s", r.defect)
		}
	}
	own := c.Response == "" && len(e.answers) > 0 && slices.Contains(c.ClientStatus, e.answers[0].status)
	if len(e.requests) == 0 && !own {
		return fmt.Errorf("nothing reached the upstream: %s", e)
	}
	return nil
}

// details checks what a case says beyond its expectation.
func details(c *testCase, e *evidence) error {
	if len(c.ClientStatus) > 0 && (len(e.answers) == 0 || !slices.Contains(c.ClientStatus, e.answers[0].status)) {
		return fmt.Errorf("the client was not answered with one of %v: %s", c.ClientStatus, e)
	}
	var problems []error
	look := func(place, text string, has, lacks []string) {
		for _, part := range has {
			if !contains(text, fill(part, e.values)) {
				problems = append(problems, fmt.Errorf("%s lacks %q", place, part))
			}
		}
		for _, part := range lacks {
			if contains(text, fill(part, e.values)) {
				problems = append(problems, fmt.Errorf("%s has %q", place, part))
			}
		}
	}
	look("what the upstream got", string(e.upstream), c.UpstreamHas, c.UpstreamLacks)
	look("what the client got", e.seen(), c.ClientHas, c.ClientLacks)
	look("the audit file", e.audit, nil, c.AuditLacks)
	for line := range strings.Lines(e.logs + "\n" + e.audit) {
		for _, start := range c.LogsLackLine {
			if strings.HasPrefix(line, start) {
				problems = append(problems, fmt.Errorf("a line of the logs begins with %q", start))
			}
		}
	}
	for name, want := range c.UpstreamCount {
		got := 0
		for _, r := range e.requests {
			got += len(r.values(name))
		}
		if got != want {
			problems = append(problems, fmt.Errorf("the upstream got %d headers %s, want %d", got, name, want))
		}
	}
	return errors.Join(problems...)
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// String tells what happened, for a report.
func (e *evidence) String() string {
	var at, got []string
	for _, r := range e.requests {
		at = append(at, fmt.Sprintf("%q", r.line))
	}
	for _, a := range e.answers {
		got = append(got, fmt.Sprintf("%d %.200s", a.status, a.body))
	}
	return fmt.Sprintf("upstream %d bytes %v; client %v, closed %v; records %v", len(e.upstream), at, got, e.closed, e.records)
}

// TestVerdict tries the oracle: a proxy with a fault must fail.
func TestVerdict(t *testing.T) {
	const real, token = "the-real-key-0123456789", "the-scoped-token-0123456789"
	forwarded := func(line string) evidence {
		raw := line + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + real + "\r\n\r\n"
		return evidence{
			upstream: []byte(raw), mark: "m",
			requests: []upstreamRequest{{line: line + " HTTP/1.1", headers: [][2]string{{"Authorization", "Bearer " + real}}, length: len(raw)}},
			answers:  []answer{{status: 200, body: []byte(`{"mark":"m"}`)}},
		}
	}
	refused := func(status int, reason string) evidence {
		body := fmt.Sprintf(`{"type":"t","title":"t","status":%d,"detail":"d","credential":"c","reason":%q,"requestId":"1"}`, status, reason)
		return evidence{
			answers: []answer{{status: status, header: http.Header{"Content-Type": {"application/problem+json; charset=utf-8"}}, body: []byte(body)}},
			records: []record{{"0", ""}, {"1", reason}},
		}
	}
	tests := map[string]struct {
		why    string
		c      testCase
		e      evidence
		change func(*evidence)
		passes bool
	}{
		"allowed":           {"the plain case", testCase{Expect: "allow", Forward: "GET /a"}, forwarded("GET /a"), nil, true},
		"refused":           {"the plain case", testCase{Expect: "block", Refusal: "problem"}, refused(403, "OutOfScope"), nil, true},
		"closed":            {"a close is a refusal", testCase{Expect: "block"}, evidence{closed: true, records: []record{{"1", "Malformed"}}}, nil, true},
		"allows all":        {"a proxy without rules", testCase{Expect: "block"}, forwarded("GET /a"), nil, false},
		"refuses all":       {"a proxy that is down", testCase{Expect: "allow"}, refused(403, "OutOfScope"), nil, false},
		"other spelling":    {"judged one, forwarded another", testCase{Expect: "allow", Forward: "GET /a"}, forwarded("GET /A"), nil, false},
		"another reason":    {"right answer, wrong cause", testCase{Expect: "block", Reason: "Expired"}, refused(403, "OutOfScope"), nil, false},
		"no such reason":    {"the set is closed", testCase{Expect: "block"}, refused(403, "Because"), nil, false},
		"another status":    {"a listed status is asked for", testCase{Expect: "block", Status: []int{400}}, refused(403, "Malformed"), nil, false},
		"server error":      {"a crash is no refusal", testCase{Expect: "block"}, refused(500, "Malformed"), nil, false},
		"unrecorded":        {"without a record there is no call", testCase{Expect: "block"}, refused(403, "OutOfScope"), func(e *evidence) { e.records = nil }, false},
		"another's record":  {"ids must agree", testCase{Expect: "block"}, refused(403, "OutOfScope"), func(e *evidence) { e.records[1].ID = "2" }, false},
		"hangs":             {"neither answer nor close", testCase{Expect: "block"}, evidence{}, nil, false},
		"smuggles":          {"bytes beside the request", testCase{Expect: "allow"}, forwarded("GET /a"), func(e *evidence) { e.upstream = append(e.upstream, 'G') }, false},
		"key twice":         {"one would be the agent's", testCase{Expect: "allow"}, forwarded("GET /a"), func(e *evidence) { e.requests[0].headers = append(e.requests[0].headers, e.requests[0].headers[0]) }, false},
		"no key":            {"the swap did not happen", testCase{Expect: "allow"}, forwarded("GET /a"), func(e *evidence) { e.requests[0].headers = nil }, false},
		"key in the answer": {"an echo", testCase{Expect: "block"}, refused(403, "OutOfScope"), func(e *evidence) { e.received = []byte(real) }, false},
		"key in the logs":   {"a careless error", testCase{Expect: "block"}, refused(403, "OutOfScope"), func(e *evidence) { e.logs = real }, false},
		"coded key": {"a coding hides nothing", testCase{Expect: "transform"}, forwarded("GET /a"), func(e *evidence) {
			e.answers[0] = answer{200, http.Header{"Content-Encoding": {"gzip"}}, []byte(zipped(real))}
		}, false},
		"own answer":         {"the proxy may answer itself", testCase{Expect: "transform", ClientStatus: []int{403}}, refused(403, "OutOfScope"), nil, true},
		"own, unasked":       {"where the upstream was to", testCase{Expect: "transform", ClientStatus: []int{403}, Response: "HTTP/1.1 403 X\r\n\r\n"}, refused(403, "OutOfScope"), nil, false},
		"token upstream":     {"it was not stripped", testCase{Expect: "transform"}, forwarded("GET /a"), func(e *evidence) { e.upstream = append(e.upstream, token...) }, false},
		"another's answer":   {"the mark is missing", testCase{Expect: "allow"}, forwarded("GET /a"), func(e *evidence) { e.answers[0].body = nil }, false},
		"ambiguous":          {"another parser reads another path", testCase{Expect: "allow"}, forwarded("GET //a"), nil, false},
		"unknown expecation": {"a typo must not pass", testCase{Expect: "alow"}, forwarded("GET /a"), nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.e.values = map[string]string{"REAL": real, "TOKEN": token}
			if test.change != nil {
				test.change(&test.e)
			}
			if err := verdict(&test.c, &test.e); (err == nil) != test.passes {
				t.Errorf("%s: verdict %v", test.why, err)
			}
		})
	}
}
