// Package authority makes the certificates by which the TLS of agents ends in
// their own pod.
//
// A [Set] has certificate authorities of its own making. Each may vouch for the
// hosts that it was made for and for nothing else: its name constraints are
// critical, so whoever trusts it for one upstream trusts it for no other name,
// whatever becomes of its key. It consists of two certificates: one that is
// trusted, whose key is forgotten at once, and one that issues. Both have the
// constraints, since some programs ask only the one and some only the other for
// them. The keys are ECDSA P-256, made here, and never where an agent can read.
//
// Hosts that come later get an authority of their own beside the ones before. A
// client that has read the file once goes on to know the hosts that it knew.
package authority

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/files"
)

// Where agents find what they are to trust, below their directory. No
// credential can have the name of the directory.
const (
	Directory = "_trust"
	File      = "ca.crt"     // the authorities of a Set
	Bundle    = "bundle.crt" // these, and the public ones
	Store     = "trust.p12"  // the same for Java
)

// privateFile holds the authorities with their keys.
const privateFile = "authorities.pem"

// maxAuthorities bounds those of a Set. With one more, all are made anew as one.
const maxAuthorities = 8

// ErrServerName is a client that asks for another host than the one it opened a
// tunnel to, or for none.
var ErrServerName = errors.New("the server name is not the host of the tunnel")

// Options say where a Set keeps what it makes.
type Options struct {
	// Private is where keys outlive the process, and no agent reads; nil: they
	// end with it.
	Private *os.Root
	// Agent is where agents read, below [Directory].
	Agent *os.Root
	// Public are the authorities in PEM that agents trust besides.
	Public string
	// Now is the clock of certificates; nil: time.Now.
	Now func() time.Time
}

// Set issues certificates. It is safe for concurrent use.
type Set struct {
	options Options

	mu        sync.Mutex
	list      []*issuer // oldest first
	leaves    map[string]*leaf
	published bool
}

// Open returns a Set with the authorities that an earlier process left, if they
// are whole.
func Open(o Options) *Set {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Set{options: o, leaves: map[string]*leaf{}}
	if o.Private != nil {
		s.list = load(o.Private, o.Now())
	}
	return s
}

// Cover sees to it that certificates can be issued for these hosts, and that
// agents can read whom to trust for it. Hosts are names in lower case, or
// addresses without brackets.
func (s *Set) Cover(hosts []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, missing := s.list, s.missing(hosts)
	if len(missing) == 0 && s.published {
		return nil
	}
	if len(missing) > 0 && len(list) == maxAuthorities {
		list, missing = nil, sorted(hosts)
	}
	if len(missing) > 0 {
		one, err := newIssuer(missing, s.options.Now())
		if err != nil {
			return fmt.Errorf("making an authority: %w", err)
		}
		list = append(slices.Clone(list), one)
	}
	if err := s.keep(list); err != nil {
		return err
	}
	s.list, s.published = list, true
	clear(s.leaves)
	return nil
}

func (s *Set) missing(hosts []string) (missing []string) {
	for _, h := range sorted(hosts) {
		if s.issuer(h) == nil {
			missing = append(missing, h)
		}
	}
	return missing
}

func sorted(hosts []string) []string { return slices.Compact(slices.Sorted(slices.Values(hosts))) }

// issuer is the oldest authority for host: the one that most clients have read.
func (s *Set) issuer(host string) *issuer {
	for _, one := range s.list {
		if one.permits(host) {
			return one
		}
	}
	return nil
}

// keep writes list, first what a later process needs, then what agents read.
func (s *Set) keep(list []*issuer) error {
	if s.options.Private != nil {
		text, err := encode(list)
		if err != nil {
			return err
		}
		if err := files.Replace(s.options.Private, privateFile, text, 0o600); err != nil {
			return fmt.Errorf("keeping authorities: %w", err)
		}
	}
	directory, err := files.Directory(s.options.Agent, Directory)
	if err != nil {
		return fmt.Errorf("publishing authorities: %w", err)
	}
	defer func() { _ = directory.Close() }() // every write was checked
	var ours strings.Builder
	for _, one := range list {
		_ = pem.Encode(&ours, &pem.Block{Type: "CERTIFICATE", Bytes: one.root.Raw}) // a Builder takes all
	}
	all := ours.String() + s.options.Public
	store, err := trustStore(all)
	if err != nil {
		return err
	}
	// Agents run as any user: it is for all containers of the pod.
	return errors.Join(
		files.Replace(directory, Bundle, all, 0o644),
		files.Replace(directory, Store, store, 0o644),
		files.Replace(directory, File, ours.String(), 0o644),
	)
}

// Config is for the TLS of a tunnel to host, which was covered. It speaks
// HTTP/1.1 alone, and to nobody who asks for another name.
func (s *Set) Config(host string) *tls.Config {
	name := serverName(host)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// What was agreed on for one host must not be gone on with for another.
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName != name {
				return nil, ErrServerName
			}
			return s.certificate(host)
		},
	}
}

// certificate returns the one for host, which is made anew long before it
// expires.
func (s *Set) certificate(host string) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	if l := s.leaves[host]; l != nil && now.Before(l.renew) {
		return &l.certificate, nil
	}
	one := s.issuer(host)
	if one == nil {
		return nil, fmt.Errorf("there is no authority for %s", host)
	}
	l, err := one.issue(host, now)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	s.leaves[host] = l
	return &l.certificate, nil
}
