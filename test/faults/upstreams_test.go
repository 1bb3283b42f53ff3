package faults

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// An upstream that fails before it has answered is told as such.
func TestFailingUpstreams(t *testing.T) {
	tests := map[string]struct {
		why    string
		status int
		reason string
	}{
		"silence":     {"it does not answer", 504, "UpstreamTimeout"},
		"half-head":   {"it stalls", 504, "UpstreamTimeout"},
		"close":       {"it goes away", 502, "UpstreamUnreachable"},
		"reset":       {"it breaks off", 502, "UpstreamUnreachable"},
		"reset-head":  {"it breaks off", 502, "UpstreamUnreachable"},
		"header-bomb": {"a header without an end", 502, "AnswerRefused"},
		"hints-bomb":  {"interim answers without an end", 502, "AnswerRefused"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{limits: func(l *bundle.Limits) {
				if test.status == 504 {
					l.AnswerTimeout = soon
				}
			}})
			stop := f.bystander()
			f.each(few, func(a *agent) {
				a.send(get(what))
				if status, body, err := a.read(); err != nil || status != test.status || !strings.Contains(body, `"`+test.reason+`"`) {
					t.Errorf("%s: got %d %q, %v", test.why, status, body, err)
				}
			})
			stop()
		})
	}
}

// An answer that breaks off never looks whole, whatever its framing.
func TestUpstreamsThatBreakOff(t *testing.T) {
	for _, what := range []string{"half-body", "half-close", "reset-sized", "reset-chunked", "reset-gzip"} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t, options{limits: func(l *bundle.Limits) { l.StreamTimeout = soon }})
			stop := f.bystander()
			f.each(few, func(a *agent) {
				a.send(get(what))
				status, body, err := a.read()
				if err == nil && status == 200 {
					t.Errorf("%d bytes were read as whole", len(body))
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("it is not broken off: %v", err)
				}
			})
			stop()
		})
	}
}

// An upstream that does not read an upload ends it, in time.
func TestUpstreamThatDoesNotRead(t *testing.T) {
	f := newFixture(t, options{limits: func(l *bundle.Limits) {
		l.RequestTimeout = 2 * soon
		l.AnswerTimeout = soon
		l.StreamTimeout = 2 * soon
	}})
	stop := f.bystander()
	f.each(few/10, func(a *agent) {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			pour(a, "POST /unread HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+handle+"\r\nContent-Length: 67108864\r\n\r\n", plenty)
		}()
		switch status, body, err := a.read(); {
		case err == nil && status < 400:
			t.Errorf("got %d %q", status, body)
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("it is not ended: %v", err)
		}
		_ = a.Close()
		<-sent
	})
	stop()
}

// A name that cannot be looked up is told as an upstream that cannot be
// reached, and nothing is sent anywhere.
func TestNames(t *testing.T) {
	tests := map[string]struct {
		why    string
		answer func(m *dnsmessage.Message) bool // false: none
		status int
		reason string
	}{
		"no such name":   {"NXDOMAIN", code(dnsmessage.RCodeNameError), 502, "UpstreamUnreachable"},
		"failure":        {"SERVFAIL", code(dnsmessage.RCodeServerFailure), 502, "UpstreamUnreachable"},
		"refused":        {"REFUSED", code(dnsmessage.RCodeRefused), 502, "UpstreamUnreachable"},
		"no address":     {"an empty answer", code(dnsmessage.RCodeSuccess), 502, "UpstreamUnreachable"},
		"silence":        {"no answer at all", func(*dnsmessage.Message) bool { return false }, 504, "UpstreamTimeout"},
		"an address off": {"loopback is nobody's", loopback, 502, "DestinationRefused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{resolver: nameServer(t, test.answer)})
			f.each(few/10, func(a *agent) {
				a.send(get("notes"))
				if status, body, err := a.read(); err != nil || status != test.status || !strings.Contains(body, `"`+test.reason+`"`) {
					t.Errorf("%s: got %d %q, %v", test.why, status, body, err)
				}
			})
		})
	}
}

func code(c dnsmessage.RCode) func(*dnsmessage.Message) bool {
	return func(m *dnsmessage.Message) bool {
		m.RCode = c
		return true
	}
}

func loopback(m *dnsmessage.Message) bool {
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		})
	}
	return true
}

// nameServer answers questions by answer, until the test ends.
func nameServer(t *testing.T, answer func(*dnsmessage.Message) bool) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	go func() {
		defer close(done)
		for buf := make([]byte, 1500); ; {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if !answer(&m) {
				continue
			}
			if reply, err := m.Pack(); err == nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String()
}
