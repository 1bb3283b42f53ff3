// Package destination says which addresses a credential may be sent to. The
// sidecar asks it about upstreams, the operator about token endpoints.
package destination

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrRefused is why an address is never or not here connected to.
var ErrRefused = errors.New("address is not one that credentials are sent to")

// MaxAddresses bounds the answer of a name.
const MaxAddresses = 16

// Resolver looks names up. A [net.Resolver] does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Addresses returns the addresses of host, a name or an address, each of which
// passed [Vet]: one that is refused spoils the whole answer. Whoever dials
// another address than these has vetted nothing.
func Addresses(ctx context.Context, r Resolver, host string, allowPrivate bool) ([]netip.Addr, error) {
	addresses, err := lookUp(ctx, r, host, allowPrivate)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 || len(addresses) > MaxAddresses {
		return nil, fmt.Errorf("looking up %s: %d addresses: %w", host, len(addresses), ErrRefused)
	}
	for _, a := range addresses {
		if err := Vet(a, allowPrivate); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// LookUp returns the addresses of host, a name or an address, as programs of this
// machine look it up. None is vetted.
func LookUp(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	return lookUp(ctx, r, host, true)
}

func lookUp(ctx context.Context, r Resolver, host string, allowPrivate bool) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if !allowPrivate && strings.Contains(host, ".") && !strings.HasSuffix(host, ".") {
		// Not below the search domains, where others may make names. Upstreams
		// within the cluster are private, and may be named as pods name them.
		host += "."
	}
	return r.LookupNetIP(ctx, "ip", host)
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// The address blocks, by the IANA registries of special-purpose addresses
// (RFC 6890) and what clouds document.
var (
	// never are refused whatever an UpstreamSecret says.
	never = prefixes(
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", // this host, loopback, link-local
		"192.0.0.0/24",           // protocol assignments; metadata of Oracle's cloud among them
		"192.88.99.0/24",         // 6to4 relays
		"224.0.0.0/4",            // multicast
		"240.0.0.0/4",            // reserved, broadcast
		"100.100.100.200/32",     // metadata of Alibaba's cloud
		"168.63.129.16/32",       // the host of Azure's machines
		"fd00:ec2::/32",          // metadata, time and DNS of AWS
		"fd20:ce::254/128",       // metadata of Google's cloud
		"fe80::/10", "fec0::/10", // link-local, site-local
		"ff00::/8",       // multicast
		"64:ff9b:1::/48", // local NAT64: where the IPv4 address stands is not known
		"2001::/32",      // Teredo: carries two IPv4 addresses, one of them hidden
		"2001:2::/48",    // benchmarks
		"2001:10::/28",   // ORCHID
	)
	// private need permission.
	private = prefixes(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
		"100.64.0.0/10", // shared by carriers, and by clusters (RFC 6598)
		"198.18.0.0/15", // benchmarks (RFC 2544)
		"fc00::/7",      // unique local (RFC 4193)
	)
	global    = netip.MustParsePrefix("2000::/3")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// Vet returns an error unless a credential may be sent to a. Addresses of
// private networks pass where allowPrivate says so. Loopback, link-local,
// metadata and all other special addresses never pass, nor do IPv6 addresses
// that carry one of them (RFC 4291, 6052, 3056, 5214). The zero Addr does not
// pass.
func Vet(a netip.Addr, allowPrivate bool) error {
	if !allowed(a, allowPrivate) {
		return fmt.Errorf("vetting %s: %w", a, ErrRefused)
	}
	return nil
}

func allowed(a netip.Addr, allowPrivate bool) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if within(a, never) {
		return false
	}
	if within(a, private) {
		return allowPrivate
	}
	if a.Is4() {
		return true
	}
	inner, carries := embedded(a)
	if carries && !allowed(inner, allowPrivate) {
		return false
	}
	// Of IPv6 all that is not assigned as global unicast is refused: what it
	// will once be is not known.
	return global.Contains(a) || nat64.Contains(a)
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// End returns where what is sent to a arrives: the IPv4 address that a carries,
// if it carries one, else a itself, without a zone.
func End(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if inner, carries := embedded(a); carries {
			return inner
		}
	}
	return a
}

// embedded returns the IPv4 address that a translator or tunnel would send to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	isatap := b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
	switch {
	case nat64.Contains(a), isatap:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
