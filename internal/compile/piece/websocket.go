package piece

import "github.com/sallyport-dev/sallyport/internal/scope"

// The methods of pieces of WebSockets.
const (
	Open    = "OPEN"
	Message = "MESSAGE" // on one that is open
)

// webSocketPieces are what opens a WebSocket and what is sent on it.
func webSocketPieces(g *scope.Grant) []scope.Grant {
	at := At(g.Endpoint, WebSocket)
	out := []scope.Grant{bare(g, at, Open, g.WebSocket.Path)}
	if m := g.WebSocket.Messages; m != nil {
		message := bare(g, at, Message, g.WebSocket.Path)
		message.Body = &scope.Body{Media: m.Media, MaxBytes: m.MaxBytes, Fields: m.Fields}
		out = append(out, message)
	}
	return out
}

// webSocketRequests is the handshake.
func webSocketRequests(g *scope.Grant) []scope.Grant {
	handshake := bare(g, g.Endpoint, "GET", g.WebSocket.Path)
	handshake.Headers = with(g.Headers, "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")
	return []scope.Grant{handshake}
}
