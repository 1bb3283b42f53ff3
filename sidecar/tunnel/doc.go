// Package tunnel says what a request to the proxy-mode listener is for.
//
// A client that was given a proxy names the upstream itself: by CONNECT to a
// host and port, or by a URL in place of a path. Both are looked up in what the
// documents say, in one spelling: a [Place] is an endpoint's scheme, host, port
// and base path. What is no endpoint's is connected to where the operator lets
// it be alone: [Elsewhere] says what that may be, and [Relay] carries it unread.
//
// [Merge] makes one endpoint of those that share a place: a client that asks
// for https://api.example.com/x cannot say whether it means the one or the
// other, so they are judged as one.
package tunnel
