package proxy

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

// mixed is one request of many, which all of what is said of it has to name.
type mixed struct {
	method, target, trace, body string
	token                       string
	grants                      []string // none: it is refused
	reason                      string
}

// mixedRequest is request i of agent w: of another length than the one before it
// on the connection, and than those beside it.
func mixedRequest(w, i int) mixed {
	id := fmt.Sprintf("%02d-%03d-%s", w, i, strings.Repeat(string(rune('a'+w)), (7*w+31*i)%300))
	r := mixed{method: "GET", target: "/notes/" + id, trace: fmt.Sprintf("%016x%016x", w+1, i+1), token: theHandle}
	switch i % 6 {
	case 1:
		r.method, r.target, r.body = "POST", "/notes", strings.Repeat(id+"\n", 1+w*i%90)
	case 2:
		r.method = "DELETE"
	case 3:
		r.token = "spt_" + id // as long as an agent likes
	case 4:
		r.token = theHandle[:len(theHandle)-1] + "N" // all but the last letter
	}
	switch i % 6 {
	case 0, 5:
		r.grants = []string{"all", "read"}
	case 1:
		r.grants = []string{"post", "write"}
	case 2:
		r.reason = "OutOfScope"
	default:
		r.reason = "Unauthenticated"
	}
	return r
}

// check sends r, and holds the answer to it.
func (r *mixed) check(a *agent) error {
	text := r.method + " " + r.target + " HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer " + r.token + "\r\n" +
		"Traceparent: 00-" + r.trace + "-00000000000000ff-01\r\n"
	if r.body != "" {
		text += fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(r.body))
	}
	if _, err := io.WriteString(a, text+"\r\n"+r.body); err != nil {
		return err
	}
	got := a.read(r.method)
	switch {
	case r.reason != "" && (got.reason() != r.reason || got.Header.Get("X-Seen") != ""):
		return fmt.Errorf("got %d %s, want %s", got.StatusCode, got.body, r.reason)
	case r.reason == "" && (got.StatusCode != 200 || got.Header.Get("X-Seen") != r.method+" "+r.target || got.body != r.body):
		return fmt.Errorf("got %d %s %.80q", got.StatusCode, got.Header.Get("X-Seen"), got.body)
	}
	return nil
}

// TestRequestsAreNotMixed has many agents ask on connections that are used again,
// while documents come that change what judges them and nothing of what they may
// do: what is answered, forwarded and recorded of each request is its own.
func TestRequestsAreNotMixed(t *testing.T) {
	for name, first := range map[string]int64{"later documents": 1, "earlier documents": 1 << 40} {
		t.Run(name, func(t *testing.T) { notMixed(t, first) })
	}
}

// notMixed begins with a document of this generation.
func notMixed(t *testing.T, first int64) {
	const agents, each = 10, 90
	f := newFixture(t, echo, ceiling("/notes", "/notes/{id}"), func(c *bundle.Credential) { c.Generation = first })
	f.apply(ceiling("/notes", "/notes/{id}"), func(c *bundle.Credential) { c.Generation = 2 })
	over, changed := make(chan struct{}), sync.WaitGroup{}
	changed.Go(func() { f.keepChanging(over) })
	var all sync.WaitGroup
	for w := range agents {
		a := f.agent()
		all.Go(func() {
			for i := range each {
				r := mixedRequest(w, i)
				if err := r.check(a); err != nil {
					t.Errorf("%s %s: %v", r.method, r.target, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(over)
	changed.Wait()
	seen := map[string]bool{}
	for _, got := range f.records.records(t) {
		var w, i int
		if _, err := fmt.Sscanf(got.TraceID, "%16x%16x", &w, &i); err != nil {
			t.Fatalf("%+v: %v", got, err)
		}
		want := mixedRequest(w-1, i-1)
		seen[got.TraceID] = true
		verdict := "Allow"
		if want.reason != "" {
			verdict = "Deny"
		}
		if got.Method != want.method || got.Path != want.target || got.Reason != want.reason || got.Verdict != verdict ||
			want.grants != nil && (len(got.Grants) != 1 || !slices.Contains(want.grants, got.Grants[0])) {
			t.Errorf("recorded %+v, want %+v", got, want)
		}
	}
	if len(seen) != agents*each {
		t.Errorf("%d requests are recorded, want %d", len(seen), agents*each)
	}
}

// keepChanging has another document come again and again, with other names of
// grants and another key.
func (f *fixture) keepChanging(over chan struct{}) {
	for n := int64(0); ; n++ {
		select {
		case <-over:
			return
		default:
		}
		f.apply(ceiling("/notes", "/notes/{id}"), func(c *bundle.Credential) {
			if c.Generation = 4 + n/2; n%2 == 1 {
				c.Grants[0].Name, c.Grants[1].Name = "all", "post"
			}
			c.Secret, c.LeaseEnds = secret.New(fmt.Sprintf("%s%d\n", theSecret, n%3)), time.Now().Add(time.Hour)
		})
		f.server.Extend(time.Now().Add(time.Hour))
		f.server.Revoke("another", scope.Revoked)
		f.server.Metrics(&metrics.Text{})
		_ = f.server.Seen()
	}
}
