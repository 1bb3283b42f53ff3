// Package mint says when tokens of upstreams are minted, makes the requests for
// them and reads the answers. It is pure: it sends nothing and stores nothing.
//
// A [Job] is what one UpstreamSecret mints from, a [Held] what was minted and
// is stored. Held.Due compares the two with the time. One token is served while
// it fits the job and has not expired, and the next one is asked for when half
// of its life is over. A refresh token that an answer brings takes the place of
// the one before, whatever else is wrong with that answer: whoever loses it
// loses the access that somebody once gave.
//
// It refuses answers that say less than is needed to use the token safely: no
// end, another type than Bearer, more than was asked for.
package mint
