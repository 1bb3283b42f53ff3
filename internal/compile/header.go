package compile

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
)

// ownHeaders cannot be fixed: framing and connection headers are the sidecar's
// own (RFC 9112), credentials come from the key alone, and the rest would
// change what was judged.
var ownHeaders = []string{
	"Host", "Connection", "Keep-Alive", "Proxy-Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer",
	"Upgrade", "Expect", "Accept-Encoding", "Http2-Settings",
	"Authorization", "Proxy-Authorization", "Cookie",
	"Content-Type", "Content-Encoding",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "Forwarded",
}

// headerName returns the canonical spelling of a header that a manifest names.
// injected are the canonical names of headers that show the key, if any.
func headerName(p *problem.List, path *field.Path, name string, injected ...string) string {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !isToken(name):
		p.Invalid(path, name, "write a header name: letters, digits and hyphens")
	case strings.Contains(name, "_"):
		p.Invalid(path, name, "write - for _: many servers take the two for one")
	case slices.Contains(injected, canonical):
		p.Invalid(path, name, "this header holds the key: remove it")
	}
	return canonical
}

// isToken tells whether name is a token without the characters that no header
// in use has.
func isToken(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// injectedHeaders are the canonical names of the headers by which an endpoint
// shows the key, besides those that are nobody's to list.
func injectedHeaders(in *v1alpha1.Inject) []string {
	switch {
	case in.Header != nil:
		return []string{textproto.CanonicalMIMEHeaderKey(in.Header.Name)}
	case in.AWSSigV4 != nil:
		return []string{"X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"}
	}
	return nil
}

func fixedHeaders(p *problem.List, path *field.Path, e *v1alpha1.Endpoint) map[string]string {
	if len(e.Headers) == 0 {
		return nil
	}
	fixed := map[string]string{}
	for _, name := range sortedKeys(e.Headers) {
		at := path.Key(name)
		canonical := headerName(p, at, name, injectedHeaders(&e.Inject)...)
		if slices.Contains(ownHeaders, canonical) {
			p.Invalid(at, name, "this header belongs to the message or would change what was judged: remove it")
		}
		if _, again := fixed[canonical]; again {
			p.Invalid(at, name, "this header is listed twice, in two spellings: remove one")
		}
		fixed[canonical] = string(e.Headers[name])
	}
	return fixed
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
