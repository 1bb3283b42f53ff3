//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// reusePort is SO_REUSEPORT, which package syscall lacks.
const reusePort = 0xf

// socketOptions are what a socket may be told before it is bound.
var socketOptions = map[string][]int{
	"plain": nil, "SO_REUSEADDR": {syscall.SO_REUSEADDR}, "SO_REUSEPORT": {reusePort}, "both": {syscall.SO_REUSEADDR, reusePort},
}

// ports tries to listen on each port, at every address that clients of this pod
// use. It prints what it took; "own" stands for a port that it serves itself as
// a careless server would, so that it can be taken.
func ports(args []string) error {
	for _, arg := range args {
		port, err := strconv.ParseUint(arg, 10, 16)
		if arg == "own" {
			port, err = 15999, listenAt(netip.MustParseAddrPort("127.0.0.1:15999"), []int{reusePort})
		}
		if err != nil {
			return fmt.Errorf("port %s: %w", arg, err)
		}
		for _, a := range addresses() {
			for name, options := range socketOptions {
				at := netip.AddrPortFrom(a, uint16(port))
				if err := listenAt(at, options); err != nil {
					fmt.Fprintln(os.Stdout, "refused", at, name, err)
					continue
				}
				fmt.Fprintln(os.Stdout, "took", at, name)
			}
		}
	}
	return nil
}

// addresses are those of the loopback interface and "all of them".
func addresses() []netip.Addr {
	all := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv4Unspecified()}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close() // nothing was served
		all = append(all, netip.IPv6Loopback(), netip.IPv6Unspecified())
	}
	return all
}

// listenAt listens until the process ends.
func listenAt(at netip.AddrPort, options []int) error {
	family, address := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, address = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for _, option := range options {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, option, 1); err != nil {
			return err
		}
	}
	if err := syscall.Bind(fd, address); err != nil {
		_ = syscall.Close(fd) // nothing came of it
		return err
	}
	if err := syscall.Listen(fd, 16); err != nil {
		_ = syscall.Close(fd) // the same
		return err
	}
	return nil
}

// capture waits until it can listen on a port of the loopback interface, as
// while a sidecar restarts. Then it answers whoever asks there, prints what it
// is asked, and lets go after a while.
func capture(args []string) error {
	f := flag.NewFlagSet("capture", flag.ContinueOnError)
	duration := f.Duration("for", 20*time.Second, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", f.Arg(0))
	fmt.Fprintln(os.Stdout, "waits for", address)
	l, err := net.Listen("tcp", address)
	for ; err != nil; l, err = net.Listen("tcp", address) {
		<-time.After(time.Millisecond)
	}
	fmt.Fprintln(os.Stdout, "took", address)
	time.AfterFunc(*duration, func() { _ = l.Close() }) // Serve says so
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := httputil.DumpRequest(r, true) // as far as it came
		fmt.Fprintf(os.Stdout, "asked %q\n", asked)
		_, _ = w.Write([]byte("captured"))
	}))
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
