//go:build unix && !openbsd && !race

package socket

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// TestInOrder has bytes come for sockets one after the other while nobody runs, on one
// processor: those who wait for them go on in that order, whichever it is. Now and
// then the runtime asks the poller in between, which makes two rounds of one; with the
// race detector it shuffles whoever is ready.
func TestInOrder(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const sockets, rounds = 32, 50
	var servers, clients []*Socket
	for range sockets {
		server, client := pair(t)
		servers, clients = append(servers, Of(server)), append(clients, Of(client))
	}
	ordered := 0
	for range rounds {
		want := rand.Perm(sockets)
		got := read(t, servers, func() {
			for _, i := range want {
				if _, err := clients[i].Write([]byte{1}); err != nil {
					t.Error(err)
				}
			}
		})
		if slices.Equal(got, want) {
			ordered++
		}
	}
	if ordered < rounds*9/10 {
		t.Errorf("in order in %d of %d rounds", ordered, rounds)
	}
}

// read reads a byte from each, which send sends when all wait, and returns in which
// order they were read.
func read(t *testing.T, from []*Socket, send func()) (order []int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, s := range from {
		all.Go(func() {
			_, err := s.Read(make([]byte, 1))
			mu.Lock()
			defer mu.Unlock()
			if order = append(order, i); err != nil {
				t.Error(err)
			}
		})
	}
	for slices.ContainsFunc(from, func(s *Socket) bool { return !s.Waits() }) {
		runtime.Gosched()
	}
	send()
	all.Wait()
	return order
}
