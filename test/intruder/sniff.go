//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"
)

// everyProtocol is ETH_P_ALL in network byte order.
const everyProtocol = 0x0300

// sniff prints each packet of every interface, loopback included.
func sniff(args []string) error {
	f := flag.NewFlagSet("sniff", flag.ContinueOnError)
	duration := f.Duration("for", 3*time.Second, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, everyProtocol)
	if err != nil {
		return fmt.Errorf("opening a raw socket: %w", err)
	}
	defer func() { _ = syscall.Close(fd) }()
	tick := syscall.Timeval{Usec: 100_000}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tick); err != nil {
		return fmt.Errorf("setting a timeout: %w", err)
	}
	packet := make([]byte, 1<<17)
	for end := time.Now().Add(*duration); time.Now().Before(end); {
		n, _, err := syscall.Recvfrom(fd, packet, 0)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading packets: %w", err)
		}
		if _, err := os.Stdout.Write(append(packet[:n:n], '\n')); err != nil {
			return err
		}
	}
	return nil
}
