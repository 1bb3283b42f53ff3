// Package dial opens connections to upstreams, and to nothing else.
//
// A [Target] is one place that a credential may be sent to. Its name is looked
// up in the DNS alone, every address of the answer is vetted, and one that is
// refused spoils the whole answer: a name that leads to the metadata service
// half of the time is not half trusted. The vetted address is the one that is
// dialled, so nothing can change in between. TLS is verified by name, always,
// and no environment variable names a proxy.
//
// A [Conn] carries one exchange at a time and is used again while both sides
// keep it; a Target holds the idle ones.
package dial
