package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestTunnelsAreVetted leads to public addresses alone, however they are named,
// and to none of this machine or of those that are never led to.
func TestTunnelsAreVetted(t *testing.T) {
	own := func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7%eth0")}, nil
	}
	for name, test := range map[string]struct {
		host      string
		addresses []string // of every name
		never     []string
		own       func() ([]netip.Addr, error)
		reason    scope.Reason
	}{
		"public":                {host: "203.0.113.5", own: own, reason: scope.UpstreamUnreachable},
		"a public name":         {host: "x.example", addresses: []string{"203.0.113.5"}, own: own, reason: scope.UpstreamUnreachable},
		"loopback":              {host: "127.0.0.1", own: own, reason: scope.DestinationRefused},
		"a name of loopback":    {host: "x.example", addresses: []string{"127.0.0.1"}, own: own, reason: scope.DestinationRefused},
		"a name of metadata":    {host: "x.example", addresses: []string{"169.254.169.254"}, own: own, reason: scope.DestinationRefused},
		"a name of the cluster": {host: "x.example", addresses: []string{"10.96.0.1"}, own: own, reason: scope.DestinationRefused},
		"one of two":            {host: "x.example", addresses: []string{"203.0.113.5", "10.96.0.1"}, own: own, reason: scope.DestinationRefused},
		"this machine":          {host: "192.0.2.7", own: own, reason: scope.DestinationRefused},
		"a name of it":          {host: "x.example", addresses: []string{"203.0.113.5", "192.0.2.7"}, own: own, reason: scope.DestinationRefused},
		"this machine, IPv6":    {host: "2001:db8::7", own: own, reason: scope.DestinationRefused},
		"the broker":            {host: "203.0.113.5", addresses: []string{"203.0.113.5"}, never: []string{"broker.example"}, own: own, reason: scope.DestinationRefused},
		"the broker, by name":   {host: "x.example", addresses: []string{"203.0.113.5"}, never: []string{"broker.example"}, own: own, reason: scope.DestinationRefused},
		"beside the broker":     {host: "203.0.113.6", addresses: []string{"203.0.113.5"}, never: []string{"broker.example"}, own: own, reason: scope.UpstreamUnreachable},
		"a broker's address":    {host: "203.0.113.5", never: []string{"203.0.113.5"}, own: own, reason: scope.DestinationRefused},
		"this machine, NAT64":   {host: "64:ff9b::c000:207", own: own, reason: scope.DestinationRefused},
		"this machine, 6to4":    {host: "2002:c000:207::1", own: own, reason: scope.DestinationRefused},
		"a translated name":     {host: "x.example", addresses: []string{"64:ff9b::c000:207"}, own: own, reason: scope.DestinationRefused},
		"beside it, NAT64":      {host: "64:ff9b::c000:208", own: own, reason: scope.UpstreamUnreachable},
		"the broker, NAT64":     {host: "64:ff9b::cb00:7105", addresses: []string{"203.0.113.5"}, never: []string{"broker.example"}, own: own, reason: scope.DestinationRefused},
		"a translated broker":   {host: "203.0.113.5", addresses: []string{"64:ff9b::cb00:7105"}, never: []string{"broker.example"}, own: own, reason: scope.DestinationRefused},
		"who are we?": {
			host: "203.0.113.5", own: func() ([]netip.Addr, error) { return nil, errors.New("no netlink") }, reason: scope.UpstreamUnreachable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(Options{Resolver: nameServer(t, test.addresses...), Never: test.never})
			if err != nil {
				t.Fatal(err)
			}
			d.own = test.own
			dialled := 0
			d.net.Control = func(network, _ string, _ syscall.RawConn) error {
				if strings.HasPrefix(network, "udp") {
					return nil // the name server
				}
				dialled++ // nothing leaves this machine
				return errors.New("not in a test")
			}
			_, err = d.Tunnel(t.Context(), test.host, "443")
			var e *Error
			if !errors.As(err, &e) || e.Reason != test.reason {
				t.Errorf("got %v", err)
			}
			passes := test.reason == scope.UpstreamUnreachable && name != "who are we?"
			if (dialled > 0) != passes {
				t.Errorf("%d addresses were dialled", dialled)
			}
		})
	}
}

// TestOwnAddresses has those of this machine.
func TestOwnAddresses(t *testing.T) {
	all, err := ownAddresses()
	if err != nil || len(all) == 0 {
		t.Fatalf("got %v, %v", all, err)
	}
	for _, a := range all {
		if a == netip.MustParseAddr("127.0.0.1") {
			return
		}
	}
	t.Errorf("got %v", all)
}

// TestTunnelToThere leads where a rehearsal says, and to no other port of it.
func TestTunnelToThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := New(Options{ConnectTo: map[string]string{"192.0.2.9:443": l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Tunnel(t.Context(), "192.0.2.9", "443")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Tunnel(cancelled, "192.0.2.9", "80"); err == nil {
		t.Error("another port leads there as well")
	}
}
