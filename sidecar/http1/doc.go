// Package http1 reads HTTP/1.1 strictly and writes it canonically. It is what
// stands between an agent's bytes and an upstream, in both directions.
//
// # Model
//
// A connection has a [Reader] for the one direction and a [Writer] for the
// other. A relay reads a header, decides, writes a header of its own making,
// and copies the body:
//
//	agent ──► Reader.ReadRequest ──► decide ──► Writer.Request … CopyBody, End ──► upstream
//	agent ◄── Writer.Response … CopyBody, End ◄── Reader.ReadResponse ◄── upstream
//
// No byte is passed through as it came. Header fields travel as names and
// values, bodies are taken out of the framing they arrived in and framed anew,
// and the fields that concern one hop are not handed on at all: what they say
// is in members of [RequestHead] and [ResponseHead], and the writer sets its
// own. So two readers behind one another can never disagree about where a
// message ends, which is what request smuggling is made of.
//
// A header is bounded in bytes and fields, copied once into a string that all
// its parts share, and costs no other allocation. Buffers are held while there
// are bytes in them, not while a connection is idle.
//
// # What is refused
//
// What two readers could read differently is refused with an [*Error], never
// repaired. Sections are of RFC 9112, unless RFC 9110 is named.
//
//   - Lines that end in LF alone, CR within a line, folded lines, empty lines
//     before a message (2.2, 5.2: a reader may accept them, so some do).
//   - Control characters other than HTAB anywhere in a header (RFC 9110, 5.5).
//   - A request line with other than single spaces, without a version, with a
//     method that is no token, or with a target beyond visible ASCII (3).
//   - Requests of any version but HTTP/1.1 (2.3), with 505. HTTP/1.0 has other
//     rules for Host, framing and persistence, and no client needs it, but for
//     CONNECT, to which none of them matters: Python's http.client sends it so
//     before 3.12. Answers of HTTP/1.0 are read; their connection is not used again.
//   - Field names that are no token, white space before the colon (5.1).
//   - Other than one Host, or one with userinfo, escapes or lists (3.2).
//   - Content-Length beside Transfer-Encoding, twice, equal or not, as a list,
//     with a sign or a leading zero (6.3; RFC 9110, 8.6).
//   - Transfer codings: an unknown one with 501; chunked twice, or not last, or
//     from HTTP/1.0, as malformed (6.1). Names of codings have no letter case.
//   - Chunk sizes beyond 16 digits or 63 bits, with anything but CR LF behind
//     them (7.1). Extensions are refused, although 7.1.1 asks to ignore them:
//     no client of ours sends any, and readers disagree where they end.
//     Leading zeros are read, since hexadecimal knows no other reading.
//   - Connection naming anything but close, keep-alive or upgrade in a request
//     (9.6): it would have other fields removed on the way. Upgrade without
//     Connection, or the reverse, or with a body (RFC 9110, 7.8).
//   - Expect other than 100-continue (RFC 9110, 10.1.1); CONNECT with a body.
//   - Answers: more than one reading of the length, codings other than chunked,
//     unknown informational ones, 101 unless asked for (RFC 9110, 15.2), and
//     whatever is refused in any header. Informational answers count towards
//     the limit of the header.
//   - Bodies that break off. They are never made to look complete.
//
// Trailers are read, bounded, checked and dropped (7.1.2): nothing is judged by
// them, so nothing may be changed by them.
//
// The package does not judge targets, nor which fields go upstream, nor whether
// Host is one of ours: that is for its caller.
package http1
