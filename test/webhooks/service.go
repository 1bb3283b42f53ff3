package webhooks

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
)

// localhost is where the API server finds the service.
const localhost = "localhost"

// service spreads connections over the replicas that are ready. Like kube-proxy
// it leaves those that are open where they are.
type service struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	replicas []*Replica
	turn     int
	open     map[net.Conn]struct{}
	stopped  bool
}

func newService() (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the service: %w", err)
	}
	s := &service{listener: l, open: map[net.Conn]struct{}{}}
	s.running.Go(s.accept)
	return s, nil
}

// port is what the API server is told.
func (s *service) port() int32 {
	address, _ := netip.ParseAddrPort(s.listener.Addr().String()) // of a listener
	return int32(address.Port())
}

func (s *service) accept() {
	for {
		from, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.running.Go(func() { s.carry(from) })
	}
}

// carry connects from with a replica, until one of them has had enough.
func (s *service) carry(from net.Conn) {
	defer func() { _ = from.Close() }() // of two copies the first one closed both
	r := s.choose()
	if r == nil {
		return
	}
	to, err := net.Dial("tcp", r.address)
	if err != nil {
		return
	}
	if !s.keep(from, to) {
		return
	}
	r.connections.Add(1)
	s.running.Go(func() {
		_, _ = io.Copy(to, from)
		s.drop(from, to)
	})
	_, _ = io.Copy(from, to)
	s.drop(from, to)
}

// choose returns the replica whose turn it is, of those that are ready.
func (s *service) choose() *Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.replicas {
		s.turn++
		if r := s.replicas[s.turn%len(s.replicas)]; r.ready.Load() {
			return r
		}
	}
	return nil
}

func (s *service) add(r *Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = append(s.replicas, r)
}

func (s *service) keep(conns ...net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range conns {
		if s.stopped {
			_ = c.Close() // nobody waits for it any more
			continue
		}
		s.open[c] = struct{}{}
	}
	return !s.stopped
}

func (s *service) drop(conns ...net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // the other end has closed
		delete(s.open, c)
	}
}

// stop ends the service and its replicas.
func (s *service) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.stopped = true
	for c := range s.open {
		_ = c.Close()
	}
	replicas := s.replicas
	s.mu.Unlock()
	for _, r := range replicas {
		r.kill()
	}
	s.running.Wait()
}
