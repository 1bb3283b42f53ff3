package scope

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// forwarded are the request headers that go upstream under every grant.
var forwarded = []string{
	"Accept", "Accept-Language", "Content-Type", "Content-Encoding", "User-Agent",
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
}

// ForwardedHeaders returns the headers that go upstream unlisted.
func (p *Profile) ForwardedHeaders() []string { return slices.Concat(forwarded, p.ForwardHeaders) }

// overriding are headers by which some servers take another method, path or
// host than the request line says.
var overriding = []string{
	"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
}

// unlistable are headers that a grant cannot list: the proxy makes them itself
// or always drops them, so what a matcher says of them would not hold upstream.
var unlistable = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
	"TE", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
	"Authorization", "Proxy-Authorization", "Cookie",
}

// nameSet is a set of header names by their length, which tells most names
// apart without comparing them. Letter case is not compared.
type nameSet [][]string

func newNameSet(lists ...[]string) nameSet {
	var s nameSet
	for _, name := range slices.Concat(lists...) {
		if n := len(name) - len(s) + 1; n > 0 {
			s = append(s, make(nameSet, n)...)
		}
		s[len(name)] = append(s[len(name)], name)
	}
	return s
}

func (s nameSet) has(name string) bool { return s.find(name, text.EqualFold) }

// hasSpelling is has for readers that take `_` for `-`.
func (s nameSet) hasSpelling(name string) bool { return s.find(name, text.EqualName) }

func (s nameSet) find(name string, equal func(s, t string) bool) bool {
	if len(name) >= len(s) {
		return false
	}
	for _, n := range s[len(name)] {
		if equal(name, n) {
			return true
		}
	}
	return false
}

// SecondSpelling reports whether some servers would take the header called
// name for the one called want, though it is another one: it has `_` where
// want has `-`, or the other way round. Such a header is refused beside a
// listed or an injected one.
func SecondSpelling(name, want string) bool {
	return text.EqualName(name, want) && !text.EqualFold(name, want)
}

// header is a header that a grant lists.
type header struct {
	name string
	is   *match.Text
}

// refusesHeaders returns why the headers of r do not pass.
func (g *grant) refusesHeaders(r *Request) (detail string, refused bool) {
	for i := range g.headers {
		if detail, refused = g.headers[i].refuses(r); refused {
			return detail, true
		}
	}
	return "", false
}

// refuses returns why the fields of this name do not pass.
func (h *header) refuses(r *Request) (detail string, refused bool) {
	n := 0
	for _, f := range r.fields {
		switch {
		case !text.EqualName(f.Name, h.name):
			continue
		case SecondSpelling(f.Name, h.name):
			return "the header " + h.name + " is spelled a second way", true
		case h.is.Forbidden || !isPlain(f.Value) || !h.is.Match(f.Value, &r.lower):
			return "the value of the header " + h.name + " is not allowed", true
		}
		n++
	}
	switch {
	case n > 1:
		return "the header " + h.name + " occurs more than once", true
	case n == 0 && h.is.Required:
		return "the header " + h.name + " is required", true
	}
	return "", false
}

// isPlain reports whether s is printable ASCII. A judged header has to be:
// beyond that, readers differ on the character set.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// overrides returns the name of a header of r that is refused always.
func (p *Policy) overrides(r *Request) (name string, found bool) {
	for i := range r.fields {
		if p.override.hasSpelling(r.fields[i].Name) {
			return r.fields[i].Name, true
		}
	}
	return "", false
}

// Forwards reports whether a header of the agent goes upstream: one that every
// grant forwards, one of the profile's, or one that the forwarded grant lists.
// Nothing does where d does not allow.
func Forwards(d *Decision, name string) bool {
	if d == nil || d.Verdict != Allow || d.route == nil {
		return false
	}
	return d.policy.forward.has(name) || d.route.grant.listed.has(name)
}
