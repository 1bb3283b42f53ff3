package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/hack/load/caller"
)

// workers is how many well-behaved agents there are, each with a connection.
const workers = 64

// tally is what came of a phase.
type tally struct {
	asked atomic.Int64
	wrong atomic.Int64

	mu   sync.Mutex
	took []time.Duration // from the instant at which a request was due
	said string          // the first wrong answer
}

func (t *tally) note(all []time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, all...)
}

func (t *tally) complain(format string, args ...any) {
	t.wrong.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said == "" {
		t.said = fmt.Sprintf(format, args...)
	}
}

// at returns a quantile of the times. It is called when the phase is over.
func (t *tally) at(quantile float64) time.Duration {
	slices.Sort(t.took)
	if len(t.took) == 0 {
		return 0
	}
	return t.took[int(quantile*float64(len(t.took)-1))]
}

// agents ask well-formed questions and know the answers.
type agents struct {
	access
	direct bool // of an upstream that knows no scope
}

// newAgents returns agents with access to the data plane, evenly to each of its
// addresses, or without a token, to the upstream itself.
func newAgents(a access) *agents { return &agents{a, a.token == ""} }

// run asks for a time, rate times a second, or as fast as it goes where rate is
// zero. A request that is late is asked at once, and its time runs from when it
// was due, so that waiting counts.
func (a *agents) run(ctx context.Context, length time.Duration, rate float64) *tally {
	t := &tally{}
	start := time.Now()
	var all sync.WaitGroup
	var next atomic.Int64 // whoever is free asks it: nobody waits behind a slow one
	for w := range workers {
		all.Go(func() {
			var took []time.Duration
			c := &caller.Caller{Address: a.addresses[w%len(a.addresses)]}
			defer func() {
				c.Close()
				t.note(took)
			}()
			for ctx.Err() == nil {
				i, due := next.Add(1)-1, time.Now()
				if rate > 0 {
					due = start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
					if !until(ctx, due) {
						return
					}
				}
				if due.Sub(start) > length {
					return
				}
				a.ask(ctx, t, c, int(i))
				took = append(took, time.Since(due))
			}
		})
	}
	all.Wait()
	return t
}

// until waits for an instant, and reports whether it came.
func until(ctx context.Context, due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks the i-th question: most are granted, some are not, and some the
// upstream does not answer to their end.
func (a *agents) ask(ctx context.Context, t *tally, c *caller.Caller, i int) {
	t.asked.Add(1)
	method, path, body, check := http.MethodGet, "/items/"+strconv.Itoa(i), []byte(nil), a.whole(i)
	switch i % 10 {
	case 5, 6, 7:
		method, path, body = http.MethodPost, "/items", itemOf(i)
	case 8:
		if a.direct {
			break
		}
		path, check = "/resets/"+strconv.Itoa(i), broken
	case 9:
		if a.direct {
			break
		}
		method, check = http.MethodDelete, refused
	}
	status, text, err := c.Call(ctx, method, a.request(method, path, body))
	if why := check(status, text, err); why != "" && ctx.Err() == nil {
		t.complain("%s %s: %s: %d, %d bytes, %v", method, path, why, status, len(text), err)
	}
}

func (a *agents) request(method, path string, body []byte) []byte {
	request := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, host, a.token)
	if body != nil {
		request = fmt.Appendf(request, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(request, "\r\n"...), body...)
}

// whole wants the answer that belongs to i.
func (a *agents) whole(i int) func(int, []byte, error) string {
	return func(status int, text []byte, err error) string {
		if err != nil || status != http.StatusOK || !bytes.Equal(text, answerOf(i)) {
			return "not the answer to it"
		}
		return ""
	}
}

// refused wants a refusal, told as one.
func refused(status int, text []byte, err error) string {
	if err != nil || status != http.StatusForbidden || !bytes.Contains(text, []byte(`"OutOfScope"`)) {
		return "not refused"
	}
	return ""
}

// broken wants an answer that cannot be taken for whole, and wants one.
func broken(status int, _ []byte, err error) string {
	if status == 0 {
		return "no answer"
	}
	if err == nil && status != http.StatusBadGateway {
		return "a broken answer looks whole"
	}
	return ""
}
