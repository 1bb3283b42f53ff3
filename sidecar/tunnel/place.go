package tunnel

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// Place is where an endpoint is, as clients name it.
type Place struct {
	// Origin is scheme, host and port, such as https://api.example.com:443.
	Origin string
	// Host is the host alone; an address has no brackets.
	Host string
	// Short is what a Host field says: the host, and the port where it is not the
	// scheme's own.
	Short string
	// Base stands before every path: empty, or begins with a slash and does not
	// end in one.
	Base string
}

const secure = "https"

// PlaceOf reads the URL of an endpoint.
func PlaceOf(e *bundle.Endpoint) (Place, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != secure && u.Scheme != "http" {
		return Place{}, errors.New("reading URL: it must have a scheme and a host")
	}
	p := Place{Host: strings.ToLower(u.Hostname()), Base: strings.TrimSuffix(u.EscapedPath(), "/")}
	port := u.Port()
	if port == "" {
		port = standard(u.Scheme)
	}
	p.Origin = u.Scheme + "://" + net.JoinHostPort(p.Host, port)
	p.Short = short(p.Origin)
	return p, nil
}

func standard(scheme string) string {
	if scheme == secure {
		return "443"
	}
	return "80"
}

// short leaves the scheme of an origin out, and its port where it is usual.
func short(origin string) string {
	scheme, authority, _ := strings.Cut(origin, "://")
	return strings.TrimSuffix(authority, ":"+standard(scheme))
}

// Secure tells whether the place is reached by TLS.
func (p Place) Secure() bool { return strings.HasPrefix(p.Origin, secure+"://") }

// Connect returns the origin that a CONNECT asks for. One spelling is known:
// host in lower case, and port.
func Connect(target string) string { return secure + "://" + target }

// Names tells whether a Host field names an origin.
func Names(host, origin string) bool {
	_, authority, _ := strings.Cut(origin, "://")
	return host != "" && (host == authority || host == short(origin))
}

// Refusals of a request that came to the proxy-mode listener itself.
var (
	ErrOrigin = errors.New("this is a proxy: open a tunnel to the upstream with CONNECT, or send its whole http URL")
	ErrScheme = errors.New("the URL is not an http one: open a tunnel to its host with CONNECT")
	ErrPath   = errors.New("the URL has no path: write at least a slash behind its host")
)

// Absolute splits the URL that stands in place of a path into an origin and the
// rest. Nothing of it is repaired: an origin in another spelling is none that
// anybody knows.
func Absolute(target string) (origin, rest string, err error) {
	scheme, behind, ok := strings.Cut(target, "://")
	switch {
	case !ok || strings.ContainsAny(scheme, "/?#"):
		return "", "", ErrOrigin
	case scheme != "http":
		return "", "", ErrScheme
	}
	end := strings.IndexAny(behind, "/?#")
	if end < 0 || behind[end] != '/' {
		return "", "", ErrPath
	}
	origin = "http://" + behind[:end]
	if !strings.Contains(behind[strings.LastIndexByte(behind[:end], ']')+1:end], ":") {
		origin += ":80"
	}
	return origin, behind[end:], nil
}

// Fit is how a request target lies to a place.
type Fit uint8

// The fits. The zero Fit is beside the place.
const (
	Beside  Fit = iota
	Below       // its path begins with the base
	Unclear     // some servers would say so
)

// Fit tells whether target, in origin form, is below the base path. A target
// that is so behind decoding alone is unclear: it would be judged by another
// endpoint than the one that its server takes it for.
func (p Place) Fit(target string) Fit {
	path, _, _ := strings.Cut(target, "?")
	switch {
	case strings.HasPrefix(path, p.Base+"/"):
		return Below
	case strings.HasPrefix(decoded(path)+"/", decoded(p.Base)+"/") && path != p.Base:
		return Unclear
	}
	return Beside
}

// decoded undoes percent-encoding, once: what is encoded twice is refused by
// whoever judges it. What is no triplet stays.
func decoded(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := url.PathUnescape(path[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
