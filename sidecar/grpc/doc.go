// Package grpc carries calls of gRPC: it takes them from an agent over HTTP/2,
// asks the upstream over HTTP/2, and passes messages on in both directions as they
// come.
//
// The frames of HTTP/2 are read and written by net/http. What it hands over is
// read once more into the head that requests of HTTP/1.1 end in, and refused
// where it could be read in two ways. Who judges it gets to see nothing else, and
// what goes upstream is made of what was judged.
//
// Messages are delimited and bounded here, and not looked at: but for the
// secret, which is masked in those of the upstream.
package grpc
