package tunnel

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestElsewhere(t *testing.T) {
	for target, want := range map[string][2]string{
		"example.org:443":          {"example.org", "443"},
		"a-b.x_y.example:1":        {"a-b.x_y.example", "1"},
		"1.2.3.example:65535":      {"1.2.3.example", "65535"},
		"xn--bcher-kva.example:80": {"xn--bcher-kva.example", "80"},
		"192.0.2.7:443":            {"192.0.2.7", "443"},
		"[2001:db8::7]:443":        {"2001:db8::7", "443"},
	} {
		host, port, ok := Elsewhere(target)
		if !ok || host != want[0] || port != want[1] {
			t.Errorf("%s: got %s, %s, %t", target, host, port, ok)
		}
	}
	for target, why := range map[string]string{
		"": "nothing", ":443": "no host", "example.org": "no port", "example.org:": "no port", "example.org:0": "no port", "example.org:00443": "one spelling",
		"example.org:443 ": "one spelling", "example.org:65979": "no port", "example.org:-1": "no port", "example.org:0x1bb": "one spelling", "Example.org:443": "one spelling",
		"example.org.:443": "one spelling", ".example.org:443": "no name", "a..b:443": "no name", "example:443": "search domains", "-a.example:443": "no name", "a-.example:443": "no name",
		"b\u00fccher.example:443": "one spelling", "a b.example:443": "no name", "a/b.example:443": "no name", "a@b.example:443": "no name", "a%62.example:443": "no name", "*.example:443": "no name",
		"[example.org]:443": "no address", "[192.0.2.7]:443": "one spelling", "192.0.2.7.:443": "an address, to some", "127.1:443": "an address, to some", "0x7f.1:443": "an address, to some",
		"192.0.2.0x7:443": "an address, to some", "192.0.2.007:443": "an address, to some", "192.0.2.256:443": "an address, to some", "1.2.3.4.5:443": "an address, to some",
		"[::ffff:192.0.2.7]:443": "one spelling", "[2001:db8:0::7]:443": "one spelling", "[2001:DB8::7]:443": "one spelling", "[fe80::1%25eth0]:443": "a zone", "[fe80::1%eth0]:443": "a zone",
		"2001:db8::7:443": "which part is the port?", strings.Repeat("a", 64) + ".example:443": "no name", strings.Repeat("a.", 124) + "example:443": "no name",
	} {
		if host, port, ok := Elsewhere(target); ok {
			t.Errorf("%q: got %s, %s: %s", target, host, port, why)
		}
	}
}

// FuzzElsewhere: what is read is written in one way, and is a name or an address
// to every reader.
func FuzzElsewhere(f *testing.F) {
	for _, seed := range []string{"example.org:443", "[2001:db8::7]:443", "192.0.2.7:80", "127.1:1", "EXAMPLE.org.:0443", "[::ffff:1.2.3.4]:1", "a_b.c:9"} {
		f.Add(seed)
	}
	name := regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.[a-z][a-z0-9_-]*:[1-9][0-9]{0,4}$`)
	f.Fuzz(func(t *testing.T, target string) {
		host, port, ok := Elsewhere(target)
		if !ok {
			return
		}
		if net.JoinHostPort(host, port) != target {
			t.Fatalf("%q is read as %q, %q", target, host, port)
		}
		if a, err := netip.ParseAddrPort(target); err == nil {
			if a.String() != target || a.Addr().Is4In6() || a.Addr().Zone() != "" {
				t.Fatalf("%q is another spelling of %s", target, a)
			}
		} else if !name.MatchString(target) || net.ParseIP(host) != nil {
			t.Fatalf("%q is read as a name", target)
		}
		if Plain(host) != host {
			t.Fatalf("an endpoint at %q would be looked for as %q", host, Plain(host))
		}
	})
}

func TestPlain(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "example.com", "Example.com.": "example.com", "192.0.2.7": "192.0.2.7",
		"::ffff:192.0.2.7": "192.0.2.7", "2001:db8:0:0::7": "2001:db8::7",
	} {
		if got := Plain(host); got != want {
			t.Errorf("%s: got %s", host, got)
		}
	}
}

// sockets are two ends of a connection.
func sockets(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{one, other} {
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

// TestRelay carries bytes both ways, and each end when it comes.
func TestRelay(t *testing.T) {
	agent, in := sockets(t)
	out, up := sockets(t)
	counted := make(chan [2]int64, 1)
	go func() {
		sent, received := Relay(in, out, func() bool { return true })
		counted <- [2]int64{sent, received}
	}()
	asked, answered := strings.Repeat("question", 10_000), strings.Repeat("answer", 20_000)
	go func() { _, _ = io.WriteString(agent, asked); _ = agent.CloseWrite() }()
	if got, err := io.ReadAll(up); err != nil || string(got) != asked {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	go func() { _, _ = io.WriteString(up, answered); _ = up.CloseWrite() }()
	if got, err := io.ReadAll(agent); err != nil || string(got) != answered {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if got := <-counted; got != [2]int64{int64(len(asked)), int64(len(answered))} {
		t.Errorf("counted %d", got)
	}
}

// TestRelayEnds does so in both directions where one fails, where it is told to,
// and where somebody else has.
func TestRelayEnds(t *testing.T) {
	for name, do := range map[string]func(agent, in, up *net.TCPConn){
		"a reset":         func(_, _, up *net.TCPConn) { _ = up.SetLinger(0); _ = up.Close() },
		"it is told to":   func(agent, _, _ *net.TCPConn) { _, _ = io.WriteString(agent, "x") },
		"a deadline":      func(_, in, _ *net.TCPConn) { _ = in.SetDeadline(longAgo) },
		"its agent going": func(agent, _, up *net.TCPConn) { _ = agent.Close(); _ = up.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			agent, in := sockets(t)
			out, up := sockets(t)
			over := make(chan struct{})
			go func() { Relay(in, out, func() bool { return false }); close(over) }()
			do(agent, in, up)
			select {
			case <-over:
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
			if name == "it is told to" {
				if _, err := in.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the agent's side is not broken: %v", err)
				}
			}
		})
	}
}
