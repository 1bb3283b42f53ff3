// Package websocket reads and writes WebSockets strictly (RFC 6455): the
// messages of an agent, which are judged one by one, and the frames of an
// upstream, which pass.
//
// Nothing of an agent is passed through as it came. Fragments are put together,
// a message that was judged goes upstream as one frame, masked anew, and what
// is beside messages is not handed on: the sidecar answers pings itself, drops
// pongs, and closes with a code and no text. So there is no place in which an
// agent could put bytes that nobody judges.
//
// What two readers could read differently is refused: reserved bits, since no
// extension is ever negotiated; unknown opcodes; frames of an agent without a
// mask and frames of an upstream with one (5.1); lengths that are not written in
// the fewest bytes (5.2); control frames that are fragmented or long (5.5);
// fragments that continue nothing (5.4); text that is not UTF-8 (8.1).
package websocket
