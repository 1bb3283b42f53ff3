package answer

import (
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Base makes references to an upstream lead to the listener that stands for it,
// so that a client that follows them is judged there again. A reference that
// leads elsewhere stays as it is, and so does what is no reference. It is an
// immutable value. The zero Base rewrites nothing.
type Base struct {
	scheme, host, port string // of the upstream
	path               string // under which the listener's paths are: empty, or without a slash at its end
	root               string // of the listener, such as http://127.0.0.1:8080
}

// NewBase returns the Base of an endpoint's URL and the root that a listener
// has for its agent.
func NewBase(upstream, root string) (Base, error) {
	u, err := url.Parse(upstream)
	if err != nil {
		return Base{}, err
	}
	return Base{
		scheme: u.Scheme, host: u.Hostname(), port: portOf(u.Scheme, u.Port()),
		path: strings.TrimSuffix(u.EscapedPath(), "/"), root: root,
	}, nil
}

func portOf(scheme, port string) string {
	switch {
	case port != "":
		return port
	case text.EqualFold(scheme, "https"):
		return "443"
	case text.EqualFold(scheme, "http"):
		return "80"
	}
	return ""
}

// Value returns the value of a field with its references rewritten: those of
// Location and its kin, Link (RFC 8288) and Refresh.
func (b *Base) Value(name, value string) string {
	if b.root == "" {
		return value
	}
	// Nearly all names are told by their length.
	switch len(name) {
	case len("Link"):
		if text.EqualFold(name, "Link") {
			return b.links(value)
		}
	case len("Refresh"):
		if text.EqualFold(name, "Refresh") {
			return b.refresh(value)
		}
	case len("Location"), len("Content-Location"), len("Operation-Location"), len("Azure-AsyncOperation"):
		for _, one := range [...]string{"Location", "Content-Location", "Operation-Location", "Azure-AsyncOperation"} {
			if text.EqualFold(name, one) {
				return b.Reference(value)
			}
		}
	}
	return value
}

// Reference rewrites one reference (RFC 3986, 4.1).
func (b *Base) Reference(ref string) string {
	if strings.HasPrefix(ref, "/") && !strings.HasPrefix(ref, "//") {
		return b.pathReference(ref)
	}
	rest, ok := b.cutAuthority(ref)
	if !ok {
		return ref
	}
	if path, ok := b.under(rest); ok {
		return b.root + path
	}
	return ref
}

// pathReference rewrites a path: the listener's begin below the base path.
func (b *Base) pathReference(ref string) string {
	if b.path == "" {
		return ref
	}
	path, ok := b.under(ref)
	switch {
	case !ok: // nothing at the listener: it has to be named in full
		return b.scheme + "://" + b.authority() + ref
	case strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//"):
		return path
	}
	return b.root + path
}

func (b *Base) authority() string {
	host := b.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if b.port == portOf(b.scheme, "") {
		return host
	}
	return host + ":" + b.port
}

// under returns what a path, with query and fragment, is below the base path.
func (b *Base) under(path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, b.path)
	return rest, ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0)
}

// cutAuthority returns what follows the upstream's authority in a reference
// that begins with it. One with user information does not name the upstream
// alone, and one with a backslash is read differently by different clients.
func (b *Base) cutAuthority(ref string) (rest string, ok bool) {
	if scheme, after, found := strings.Cut(ref, "//"); found && (scheme == "" || text.EqualFold(scheme, b.scheme+":")) {
		rest = after
	} else {
		return "", false
	}
	end := strings.IndexAny(rest, `/?#\`)
	if end < 0 {
		end = len(rest)
	}
	host, port := rest[:end], ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return rest[end:], text.EqualFold(host, b.host) && portOf(b.scheme, port) == b.port
}

// links rewrites the targets of a Link field. What is between quotes is none.
func (b *Base) links(value string) string {
	var out strings.Builder
	rest, quoted := value, false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			end := strings.IndexByte(rest[i:], '>')
			if end < 0 {
				return out.String() + rest
			}
			out.WriteString(rest[:i+1])
			out.WriteString(b.Reference(rest[i+1 : i+end]))
			rest, i = rest[i+end:], 0
		}
	}
	return out.String() + rest
}

// refresh rewrites the address of a Refresh field: seconds, and perhaps url=.
func (b *Base) refresh(value string) string {
	i := strings.IndexAny(value, ";,")
	if i < 0 {
		return value
	}
	start := i + 1
	skip := func(set string) {
		for start < len(value) && strings.IndexByte(set, value[start]) >= 0 {
			start++
		}
	}
	skip(" \t")
	if len(value)-start > len("url") && text.EqualFold(value[start:start+len("url")], "url") {
		start += len("url")
		skip(" \t")
		skip("=")
		skip(" \t")
	}
	skip(`"'`)
	end := len(value)
	if quote := value[start-1]; quote == '"' || quote == '\'' {
		if n := strings.IndexByte(value[start:], quote); n >= 0 {
			end = start + n
		}
	}
	return value[:start] + b.Reference(value[start:end]) + value[end:]
}
