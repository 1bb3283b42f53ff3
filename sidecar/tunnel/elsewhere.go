package tunnel

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Elsewhere reads the target of a CONNECT to where no endpoint is. It has one
// spelling: a full name in lower case or an address in its shortest form, which
// stands in brackets where it is one of IPv6, and a port. A name without a dot
// would be looked up below the cluster's own domains, and what ends in a number
// is an address to some readers (127.1, 0x7f.1): both are none.
func Elsewhere(target string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(target)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || net.JoinHostPort(host, strconv.FormatUint(n, 10)) != target {
		return "", "", false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return host, port, a.Zone() == "" && !a.Is4In6() && a.String() == host
	}
	return host, port, isName(host)
}

// maxName and maxLabel are those of the DNS (RFC 1035, 2.3.4), without the dot of
// the root.
const (
	maxName  = 253
	maxLabel = 63
)

// isName tells a full name, in lower case.
func isName(host string) bool {
	labels := strings.Split(host, ".")
	if len(host) > maxName || len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, nameBytes) != "" {
			return false
		}
	}
	last := labels[len(labels)-1][0]
	return last >= 'a' && last <= 'z'
}

// nameBytes are those of a label. Names with an underscore are looked up as well.
const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// Plain is the spelling of an endpoint's host by which [Elsewhere] would name it.
func Plain(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
