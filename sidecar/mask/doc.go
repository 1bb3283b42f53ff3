// Package mask hides a secret in text that goes to whoever must not learn it.
//
// An upstream may echo the credential that it was sent: in a field, in an error
// page, in a dump of the request. What is looked for is every rendering of the
// secret:
//
//   - its bytes as they are, and with any of them percent-encoded (RFC 3986,
//     2.1) or escaped as in JSON (RFC 8259, 7), in any letter case;
//   - hexadecimal digits of either case;
//   - Base64 of both alphabets (RFC 4648, 4 and 5), wherever the secret stands in
//     what was encoded, and with line ends in it. Its characters may be escaped
//     in turn, as a solidus often is in JSON.
//
// Each of its bytes becomes an asterisk, so that the text keeps its length and
// its framing. Encodings of encodings, besides those named, are not undone.
//
// The search is cheap where there is nothing to find: a rendering begins with
// some pairs of bytes and no others, so that one pair out of every thirty or so
// is looked at (as in the algorithm of Wu and Manber). Only behind a pair that
// fits is the text walked.
//
// A secret of fewer than [Least] bytes is refused: text is full of it, and where
// it is masked would tell what it is.
package mask
