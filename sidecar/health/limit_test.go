package health

import (
	"net"
	"net/netip"
	"testing"
)

// TestOneAddressLeavesRoom has this pod open all that it may: the kubelet is let
// in all the same, and everybody together is bounded.
func TestOneAddressLeavesRoom(t *testing.T) {
	s := New(Options{})
	pod, kubelet := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.1")
	for range perAddress {
		if !s.enter(pod) {
			t.Fatal("refused below the limit")
		}
	}
	if s.enter(pod) {
		t.Error("one address may open more than its share")
	}
	if !s.enter(kubelet) {
		t.Error("another one is kept out")
	}
	s.leave(pod)
	if !s.enter(pod) {
		t.Error("what was closed counts")
	}
	for a := netip.MustParseAddr("10.1.0.1"); s.enter(a); a = a.Next() {
	}
	if s.all != maxConnections {
		t.Errorf("%d are open", s.all)
	}
}

type remote struct {
	net.Conn
	addr string
}

func (r remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(r.addr))
}

// TestLoopbackIsOneAddress: a process can have any address of it.
func TestLoopbackIsOneAddress(t *testing.T) {
	for addr, want := range map[string]netip.Addr{
		"127.0.0.1:1": {}, "127.9.9.9:2": {}, "[::1]:3": {}, "[::ffff:127.0.0.1]:4": {},
		"10.0.0.7:5": netip.MustParseAddr("10.0.0.7"), "[::ffff:10.0.0.7]:6": netip.MustParseAddr("10.0.0.7"),
		"[fd00::7]:7": netip.MustParseAddr("fd00::7"), "[fe80::7%eth0]:8": netip.MustParseAddr("fe80::7"),
	} {
		if got := from(remote{addr: addr}); got != want {
			t.Errorf("%s counts as %v, want %v", addr, got, want)
		}
	}
}
