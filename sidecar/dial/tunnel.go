package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/sallyport-dev/sallyport/internal/destination"
)

// Tunnel opens a connection to where no credential is for: a name or an address,
// and a port. It leads to public addresses alone, and of these to none of this
// machine and none of [Options.Never]. The error is an [*Error].
func (d *Dialer) Tunnel(ctx context.Context, host, port string) (*Conn, error) {
	p := &place{host: host, port: port, override: d.elsewhere[net.JoinHostPort(host, port)], vet: d.vetTunnel}
	c, err := d.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// vetTunnel refuses what a tunnel must not lead to besides.
func (d *Dialer) vetTunnel(ctx context.Context, addresses []netip.Addr) error {
	forbidden, err := d.own()
	if err != nil {
		return fmt.Errorf("reading the addresses of this machine: %w", err)
	}
	for _, host := range d.never {
		theirs, err := destination.LookUp(ctx, d.resolver, host)
		if err != nil {
			return fmt.Errorf("looking up what no tunnel leads to: %w", err)
		}
		forbidden = append(forbidden, theirs...)
	}
	for _, a := range addresses {
		for _, f := range forbidden {
			if destination.End(a) == destination.End(f) {
				return fmt.Errorf("vetting %s: %w", a, destination.ErrRefused)
			}
		}
	}
	return nil
}

// ownAddresses are those of this machine, which in a pod are the pod's.
func ownAddresses() (all []netip.Addr, err error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		prefix, err := netip.ParsePrefix(one.String())
		if err != nil {
			return nil, errors.New("an interface has an address that is none")
		}
		all = append(all, prefix.Addr())
	}
	return all, nil
}
