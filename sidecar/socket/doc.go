// Package socket reads from connections and writes to them with the least that
// it takes: few system calls, none of which the scheduler has to hear of, and no
// buffer while nothing has come.
package socket
