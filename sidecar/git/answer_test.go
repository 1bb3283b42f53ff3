package git

import (
	"fmt"
	"strings"
	"testing"
)

const (
	oid  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	none = "0000000000000000000000000000000000000000"
)

func list(capabilities string, refs ...string) []byte {
	var out []byte
	for _, ref := range refs {
		out = packet(out, none, " ", oid, " ", ref, capabilities)
		capabilities = ""
	}
	return append(out, flush...)
}

const (
	both     = "\x00 report-status side-band-64k"
	accepts  = "application/x-git-receive-pack-result"
	pushPath = "/acme/docs.git/git-receive-pack"
)

// TestTell answers each request as its client shows it best.
func TestTell(t *testing.T) {
	why := Refusal{403, "Out of scope", "no grant", "OutOfScope", "id-1"}
	const sentence = "sallyport: Out of scope: no grant (OutOfScope, request id-1)"
	for name, test := range map[string]struct {
		why     string
		request Request
		status  int // of the refusal, if it is another
		want    Answer
	}{
		"refs":          {"git prints text", Request{Method: "GET", Path: "/acme/docs/info/refs"}, 0, Answer{403, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"fetch":         {"git prints an ERR packet", Request{Method: "POST", Path: "/acme/docs/git-upload-pack", Accept: "application/x-git-upload-pack-result"}, 0, Answer{200, "application/x-git-upload-pack-result", packet(nil, "ERR ", sentence)}},
		"plain fetch":   {"nobody reads a result", Request{Method: "POST", Path: "/acme/docs/git-upload-pack", Accept: "*/*"}, 0, Answer{403, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"push":          {"git prints what became of each ref", Request{"POST", pushPath, "text/plain, " + accepts + ";q=1", list(both, "refs/heads/a", "refs/heads/b")}, 0, Answer{200, accepts, report(sentence, "refs/heads/a", "refs/heads/b")}},
		"no band":       {"the report alone", Request{"POST", pushPath, accepts, list("\x00 report-status-v2", "refs/heads/a")}, 0, Answer{200, accepts, bare("refs/heads/a")}},
		"no report":     {"nobody asked for one", Request{"POST", pushPath, accepts, list("\x00 side-band-64k", "refs/heads/a")}, 0, Answer{403, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"no list":       {"what did it ask for?", Request{"POST", pushPath, accepts, nil}, 0, Answer{403, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"no token":      {"git is to be asked", Request{"POST", pushPath, accepts, list(both, "refs/heads/a")}, 401, Answer{401, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"malformed":     {"it has no result", Request{"POST", pushPath, accepts, list(both, "refs/heads/a")}, 400, Answer{400, "text/plain; charset=utf-8", []byte(sentence + "\n")}},
		"limit":         {"the same as any", Request{"POST", pushPath, accepts, list(both, "refs/heads/a")}, 429, Answer{200, accepts, report(sentence, "refs/heads/a")}},
		"of no git":     {"other clients want a problem", Request{Method: "GET", Path: "/repos/acme/docs"}, 0, Answer{}},
		"no repository": {"it is a path like any", Request{Method: "GET", Path: "/info/refs"}, 0, Answer{}},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := why
			if test.status != 0 {
				refusal.Status = test.status
			}
			got := Tell(&test.request, &refusal)
			if fmt.Sprintf("%d %s %q", got.Status, got.MediaType, got.Body) != fmt.Sprintf("%d %s %q", test.want.Status, test.want.MediaType, test.want.Body) {
				t.Errorf("%s: got %d %s %q\nwant %q", test.why, got.Status, got.MediaType, got.Body, test.want.Body)
			}
		})
	}
}

// bare and report write what the sidecar is to write, in the words of
// gitprotocol-pack.
func bare(refs ...string) []byte {
	out := "000eunpack ok\n"
	for _, ref := range refs {
		line := "ng " + ref + " sallyport: no grant\n"
		out += fmt.Sprintf("%04x%s", len(line)+4, line)
	}
	return []byte(out + "0000")
}

func report(sentence string, refs ...string) []byte {
	out := fmt.Sprintf("%04x\x02%s\n", len(sentence)+6, sentence)
	status := bare(refs...)
	return fmt.Appendf(nil, "%s%04x\x01%s0000", out, len(status)+5, status)
}

// TestLongReport: no packet is longer than git takes, and none is left out.
func TestLongReport(t *testing.T) {
	var refs []string
	for i := range 2000 {
		refs = append(refs, fmt.Sprintf("refs/heads/%d/%s", i, strings.Repeat("x", 100)))
	}
	got := Tell(&Request{"POST", pushPath, accepts, list(both, refs...)}, &Refusal{Status: 403, Title: "t", Detail: "line\nend", Reason: "r", ID: "i"})
	var status strings.Builder
	for rest := string(got.Body); rest != flush; {
		var n int
		if _, err := fmt.Sscanf(rest[:4], "%04x", &n); err != nil || n < 5 || n > 65520 || n > len(rest) {
			t.Fatalf("a packet of length %q", rest[:4])
		}
		if rest[4:5] == result {
			status.WriteString(rest[5:n])
		}
		rest = rest[n:]
	}
	if n := strings.Count(status.String(), " sallyport: line?end\n"); n != len(refs) {
		t.Errorf("%d refs are reported", n)
	}
}
