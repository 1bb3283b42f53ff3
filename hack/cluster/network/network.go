// Package network makes the part of the host's network that the cluster uses
// and removes it again: one bridge, one route, four kernel settings and one
// chain of iptables. Nothing listens on, or is routed to, any other address.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
)

// The addresses lie in a private range that few networks use. Nothing outside
// the host sees them.
const (
	// Bridge connects the pods; its address is the node's and the API server's.
	Bridge = "sallyport0"
	// Node is the address of the bridge.
	Node = "10.213.64.1"
	// Pods is the range that pods get addresses from.
	Pods = "10.213.64.0/24"
	// Services is the range of Service addresses.
	Services = "10.213.80.0/20"
	// API is the Service address of the API server, by rule the first one.
	API = "10.213.80.1"
	// DNS is the Service address of the cluster's name server.
	DNS = "10.213.80.10"
)

// reserved covers all of the ranges above.
const reserved = "10.213.64.0/18"

// Up makes or repairs the bridge, its address, the route to Services and the
// firewall chain. It refuses a host that uses the same range for something else.
func Up(ctx context.Context) error {
	if err := rangeIsFree(); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(Bridge); err != nil {
		if err := run(ctx, "", "ip", "link", "add", Bridge, "type", "bridge"); err != nil {
			return fmt.Errorf("making bridge: %w", err)
		}
	}
	prefix := netip.MustParsePrefix(Pods).Bits()
	// Without the route, Services are out of reach on a host that has no
	// default route; with it, the host speaks to them from the node's address.
	for _, args := range [][]string{
		{"addr", "replace", fmt.Sprintf("%s/%d", Node, prefix), "dev", Bridge},
		{"link", "set", Bridge, "up"},
		{"route", "replace", Services, "dev", Bridge, "src", Node},
	} {
		if err := run(ctx, "", "ip", args...); err != nil {
			return fmt.Errorf("setting up bridge: %w", err)
		}
	}
	return forwardRules(ctx)
}

// Down removes the bridge and every chain that we, kube-proxy or the kubelet
// made. It is no error that they are missing.
func Down(ctx context.Context) error {
	var errs []error
	if _, err := net.InterfaceByName(Bridge); err == nil {
		errs = append(errs, run(ctx, "", "ip", "link", "delete", Bridge))
	}
	for _, family := range families {
		errs = append(errs, removeChains(ctx, family))
	}
	return errors.Join(errs...)
}

func rangeIsFree() error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("listing network interfaces: %w", err)
	}
	for _, i := range interfaces {
		if i.Name == Bridge {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return fmt.Errorf("listing addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			if overlaps(a.String()) {
				return fmt.Errorf("interface %s uses %s, which overlaps the cluster's %s: take the interface down, or run the cluster on another host", i.Name, a, reserved)
			}
		}
	}
	return nil
}

// overlaps reports whether an interface address, written with its prefix
// length, shares addresses with the cluster. Half of a default route does not
// count, nor does anything wider than a /9: it is a route, not a link.
func overlaps(address string) bool {
	p, err := netip.ParsePrefix(address)
	const widest = 9
	return err == nil && p.Bits() >= widest && p.Masked().Overlaps(netip.MustParsePrefix(reserved))
}

// run executes a command; its output becomes part of the error.
func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
