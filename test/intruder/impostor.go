//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// impostor has every name lead to this pod, in its hosts file and by a name
// server of its own, and serves there in the place of the upstream. It prints
// what it got, and puts the files back in the end.
func impostor(args []string) error {
	f := flag.NewFlagSet("impostor", flag.ContinueOnError)
	name := f.String("name", "", "")
	duration := f.Duration("for", 10*time.Second, "")
	hosts := f.Bool("hosts", false, "")
	resolv := f.Bool("resolv", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	ip, err := ownAddress()
	if err != nil {
		return err
	}
	certificate, err := selfSigned(*name)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", ":443")
	if err != nil {
		return fmt.Errorf("listening as the upstream: %w", err)
	}
	go func() {
		_ = http.Serve(tls.NewListener(counted{l}, &tls.Config{Certificates: []tls.Certificate{certificate}}), http.HandlerFunc(told))
	}()
	if *hosts {
		put, err := rewrite("/etc/hosts", ip.String()+" "+*name+"\n")
		if err != nil {
			return err
		}
		defer put()
	}
	if *resolv {
		if err := nameServer(ip); err != nil {
			return err
		}
		put, err := rewrite("/etc/resolv.conf", "nameserver 127.0.0.1\n")
		if err != nil {
			return err
		}
		defer put()
	}
	fmt.Fprintln(os.Stdout, "ready")
	<-time.After(*duration)
	return nil
}

// ownAddress is the pod's. Nothing is sent.
func ownAddress() (net.IP, error) {
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return nil, fmt.Errorf("finding the pod's address: %w", err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).IP, nil
}

// rewrite puts text in the place of a file, which is mounted and so cannot be
// replaced, and returns what puts it back.
func rewrite(path, text string) (back func(), err error) {
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("rewriting %s: %w", path, err)
	}
	return func() {
		if err := os.WriteFile(path, before, 0o644); err != nil {
			fmt.Fprintln(os.Stdout, "lost", path, err)
		}
	}, nil
}

// counted tells of each connection.
type counted struct{ net.Listener }

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		fmt.Fprintln(os.Stdout, "connected", c.RemoteAddr())
	}
	return c, err
}

func told(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(os.Stdout, "request", r.Method, r.URL, r.Host, r.Header)
	_, _ = fmt.Fprintln(w, "impostor") // the caller may have gone
}

func selfSigned(name string) (tls.Certificate, error) {
	log.SetOutput(os.Stdout) // failed handshakes are told of, too
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// nameServer answers every question for an address with ip (RFC 1035, section 4).
func nameServer(ip net.IP) error {
	c, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return fmt.Errorf("listening as a name server: %w", err)
	}
	go func() {
		for message := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(message)
			if err != nil {
				return
			}
			if answer := resolve(message[:n], ip.To4()); answer != nil {
				_, _ = c.WriteTo(answer, from) // who asks asks again
			}
		}
	}()
	return nil
}

func resolve(question []byte, ip net.IP) []byte {
	const header, address = 12, 1
	end := header
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	if end+5 > len(question) {
		return nil
	}
	answer := append([]byte(nil), question[:end+5]...)
	answer[2], answer[3] = 0x84, 0 // an answer, by authority
	binary.BigEndian.PutUint64(answer[4:], 1<<48)
	fmt.Fprintf(os.Stdout, "asked for %q\n", question[header:end])
	if binary.BigEndian.Uint16(question[end+1:]) != address {
		return answer // there is none
	}
	answer[7] = 1
	return append(append(answer, 0xc0, header, 0, address, 0, 1, 0, 0, 0, 0, 0, 4), ip...)
}
