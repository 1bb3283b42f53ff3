// Package grpc is the kind of grant that allows methods of gRPC services. A call
// is a request of HTTP/2 and of nothing else; its messages are bounded in size
// and not looked at.
package grpc

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// Protocol is what such a grant speaks.
const Protocol shape.Protocol = "grpc"

// maxStream bounds the messages of one call, all told: as much as can be carried
// while it lasts. Each of them has a bound of its own.
const maxStream = 1 << 40

// Spec is what a grant allows. The zero Spec is refused when it is compiled.
type Spec struct {
	// Methods are written as package.Service/Method.
	Methods []string `json:"methods"`
}

// media are the types that a call may have: gRPC on its own, and with the name
// of how messages are written. What servers take for other protocols on the same
// path, such as application/grpc-web, is none of them.
var media = []string{"application/grpc", "application/grpc+proto", "application/grpc+json"}

// Headers are those that go upstream with a call besides the ordinary ones, and
// what they are held to.
func Headers() map[string]match.Matcher {
	timeout, coding, attempts := `[0-9]{1,8}[HMSmun]`, `[0-9a-z-]{1,32}`, "[0-9]{1,3}"
	return map[string]match.Matcher{
		"Content-Type":               {In: media, Required: true},
		"Grpc-Timeout":               {Pattern: &timeout},
		"Grpc-Encoding":              {Pattern: &coding},
		"Grpc-Message-Type":          {Type: match.String},
		"Grpc-Previous-Rpc-Attempts": {Pattern: &attempts},
		"Grpc-Tags-Bin":              {Type: match.String},
		"Grpc-Trace-Bin":             {Type: match.String},
	}
}

// Owns reports whether a header of this name is one of the protocol's, or is
// taken for one by some readers.
func Owns(name string) bool {
	const begins = "Grpc-"
	return text.EqualName(name, "Content-Type") || len(name) >= len(begins) && text.EqualName(name[:len(begins)], begins)
}

// IsCall reports whether a request with this Content-Type is a call, or means to
// be one.
func IsCall(contentType string) bool {
	begins := media[0]
	if len(contentType) < len(begins) || !text.EqualFold(contentType[:len(begins)], begins) {
		return false
	}
	return len(contentType) == len(begins) || strings.IndexByte("+; \t", contentType[len(begins)]) >= 0
}

// Body bounds what the agent sends in one call.
func Body() *body.Spec { return &body.Spec{Media: body.Opaque, MaxBytes: maxStream} }

// Paths are those of the methods.
func (s *Spec) Paths() []string {
	paths := make([]string, len(s.Methods))
	for i, method := range s.Methods {
		paths[i] = "/" + method
	}
	return paths
}

// Shapes returns the requests that s allows. It reports what cannot be enforced,
// with fields relative to the grant.
func (s *Spec) Shapes(report match.Report) []shape.Shape {
	if len(s.Methods) == 0 {
		report("grpc.methods", "", "list a method")
	}
	bound := body.Compile(Body(), true, nil, report)
	var out []shape.Shape
	for i, path := range s.Paths() {
		if !isMethod(s.Methods[i]) {
			report("grpc.methods", s.Methods[i], "write it as package.Service/Method")
			continue
		}
		out = append(out, shape.Shape{Methods: []string{"POST"}, Path: path, HTTP2: true, Headers: Headers(), Body: bound})
	}
	return out
}

// isMethod reports whether s is the full name of a service, a slash and a name.
func isMethod(s string) bool {
	service, method, found := strings.Cut(s, "/")
	if !found || !isName(method) {
		return false
	}
	for part := range strings.SplitSeq(service, ".") {
		if !isName(part) {
			return false
		}
	}
	return true
}

// isName reports whether s is an identifier of protocol buffers.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
