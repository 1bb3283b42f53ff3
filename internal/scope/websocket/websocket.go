// Package websocket is the kind of grant that allows one WebSocket (RFC 6455),
// and the messages that an agent may send on it. What the upstream sends
// passes.
package websocket

import (
	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/shape"
)

// Protocol is what such a grant speaks.
const Protocol shape.Protocol = "websocket"

// Spec is what a grant allows. The zero Spec is refused when it is compiled.
type Spec struct {
	Path string `json:"path"`
	// Messages are those that the agent may send; nil: none.
	Messages *Messages `json:"messages,omitempty"`
}

// Messages bounds every message. JSON ones are text, and hold what is listed
// alone; Opaque ones are bounded in size and not looked at.
type Messages struct {
	Media    body.Media               `json:"media"` // JSON or Opaque
	MaxBytes int64                    `json:"maxBytes"`
	Fields   map[string]match.Matcher `json:"fields,omitempty"`
}

// Shapes returns the requests that s allows. It reports what cannot be
// enforced, with fields relative to the grant.
func (s *Spec) Shapes(report match.Report) []shape.Shape {
	if s.Path == "" {
		report("websocket.path", "", "name the path of the WebSocket")
	}
	one := shape.Shape{
		Methods: []string{"GET"},
		Path:    s.Path,
		Upgrade: true,
		Headers: map[string]match.Matcher{
			"Sec-WebSocket-Key":      {Type: match.String, Required: true},
			"Sec-WebSocket-Version":  {Type: match.String, Required: true},
			"Sec-WebSocket-Protocol": {Type: match.String},
		},
	}
	if m := s.Messages; m != nil {
		if m.Media != body.JSON && m.Media != body.Opaque {
			report("websocket.messages.media", string(m.Media), "set media to JSON or Opaque")
		}
		at := func(field, value, msg string) { report("websocket.messages"+field[len("body"):], value, msg) }
		one.Message = body.Compile(&body.Spec{Media: m.Media, MaxBytes: m.MaxBytes, Fields: m.Fields}, false, nil, at)
	}
	return []shape.Shape{one}
}
