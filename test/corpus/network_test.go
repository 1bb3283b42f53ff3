package corpus

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// network is a place of its own, in which addresses of the Internet are this
// machine's and files of the system can be covered by others: the network and
// mount namespaces of one thread. What is made there stays there, wherever it is
// used; a process that is started there lives there. A nil network is the
// machine's own.
type network struct{ work chan func() }

// newNetwork makes one with these addresses of IPv4, besides loopback. It needs
// the rights to do so, as root has them.
func newNetwork(t *testing.T, addresses ...string) *network {
	t.Helper()
	n := &network{work: make(chan func())}
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		entered <- enter(addresses)
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() { close(n.work) })
	if err := <-entered; err != nil {
		t.Fatalf("making a network: %v: run the test as root", err)
	}
	return n
}

func enter(addresses []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leaving the namespaces of the machine: %w", err)
	}
	// Or others would see what is mounted here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts private: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("setting loopback up: %w", err)
	}
	for i, text := range addresses {
		if err := assign(s, fmt.Sprintf("lo:%d", i), netip.MustParseAddr(text).AsSlice()); err != nil {
			return fmt.Errorf("assigning %s: %w", text, err)
		}
	}
	return nil
}

// assign gives the machine an address, and none around it.
func assign(socket int, label string, address []byte) error {
	for _, step := range []struct {
		request uint
		value   []byte
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, []byte{255, 255, 255, 255}}} {
		r, err := unix.NewIfreq(label)
		if err != nil {
			return err
		}
		if err := errors.Join(r.SetInet4Addr(step.value), unix.IoctlIfreq(socket, step.request, r)); err != nil {
			return err
		}
	}
	return nil
}

// do runs f there, to its end. f must not fail the test.
func (n *network) do(f func()) {
	if n == nil {
		f()
		return
	}
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (n *network) listen(t *testing.T, address string) (l net.Listener) {
	t.Helper()
	var err error
	if n.do(func() { l, err = net.Listen("tcp", address) }); err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects to an address, which is no name: names would be looked up by
// another thread.
func (n *network) dial(address string) (c net.Conn, err error) {
	n.do(func() { c, err = net.DialTimeout("tcp", address, answerLimit) })
	return c, err
}

// nameServer answers questions about any name, for no time to come.
type nameServer struct {
	address string
	answer  func(asked int) []string // the addresses, when they are asked for the n-th time

	mu    sync.Mutex
	asked int // questions for addresses of IPv4
}

// always gives the same addresses each time.
func always(addresses ...string) func(int) []string {
	return func(int) []string { return addresses }
}

func (n *network) nameServer(t *testing.T, address string, answer func(int) []string) *nameServer {
	t.Helper()
	var conn net.PacketConn
	var err error
	if n.do(func() { conn, err = net.ListenPacket("udp", address) }); err != nil {
		t.Fatal(err)
	}
	s := &nameServer{address: conn.LocalAddr().String(), answer: answer}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(conn) })
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return s
}

func (s *nameServer) serve(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply, err := s.reply(buffer[:n]); err == nil {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func (s *nameServer) reply(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	head, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := parser.Question()
	if err != nil {
		return nil, err
	}
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	for _, a := range s.addresses(q.Type) {
		about := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		if a.Is4() {
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: about, Body: &dnsmessage.AResource{A: a.As4()}})
		} else {
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: about, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return out.Pack()
}

// addresses are those of the family that is asked for.
func (s *nameServer) addresses(of dnsmessage.Type) (all []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of == dnsmessage.TypeA {
		s.asked++
	}
	for _, text := range s.answer(max(1, s.asked)) {
		all = append(all, netip.MustParseAddr(text))
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool {
		return of != map[bool]dnsmessage.Type{true: dnsmessage.TypeA, false: dnsmessage.TypeAAAA}[a.Is4()]
	})
}

// times is how often addresses of IPv4 were asked for.
func (s *nameServer) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}
