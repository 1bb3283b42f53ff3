// Package kind compiles what is special to each kind of grant besides http.
// Whether it can be enforced is for the judge to say.
package kind

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/matcher"
	"github.com/sallyport-dev/sallyport/internal/compile/piece"
	"github.com/sallyport-dev/sallyport/internal/compile/problem"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/websocket"
)

// WebSocket compiles in, of which a message may have bodyBytes.
func WebSocket(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.WebSocketGrant, bodyBytes int64) *scope.WebSocket {
	out := &scope.WebSocket{Path: in.Path}
	if m := in.Messages; m != nil {
		out.Messages = &websocket.Messages{
			Media:    scope.Media(m.Media),
			MaxBytes: bodyBytes,
			Fields:   sets.Map(p, path.Child("messages", "fields"), m.Fields),
		}
		if m.Media == "" {
			out.Messages.Media = scope.JSON
		}
	}
	return out
}

// NeverWebSocket returns what in names, as pieces.
func NeverWebSocket(p *problem.List, path *field.Path, sets matcher.Sets, in *v1alpha1.NeverWebSocket, out region.Never) []region.Never {
	if in.Path != "" {
		out.Paths = []string{in.Path}
	}
	if m := in.Messages; m != nil {
		out.Methods = []string{piece.Message}
		out.Body = &region.NeverBody{Media: scope.Media(m.Media), Fields: sets.Map(p, path.Child("messages", "fields"), m.Fields)}
	}
	return []region.Never{out}
}
