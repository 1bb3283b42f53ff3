package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/proxyenv"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
)

// proxyMode is what `--client proxy` needs. A nil proxyMode is base-URL mode.
type proxyMode struct {
	directory string // of the COMMAND
	root      *os.Root
	set       *authority.Set
	url       string // of the listener; empty: it is not open yet
}

// openProxy readies what the COMMAND is to trust, below directory. The keys stay
// in memory.
func (o *runOptions) openProxy(directory string) (*proxyMode, error) {
	if o.client != clientProxy {
		return nil, nil
	}
	public, err := authority.Public()
	if err != nil { // what is served needs none of them
		_, _ = fmt.Fprintln(o.stderr, "sallyport: the COMMAND trusts no public authority:", err)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of token files: %w", err)
	}
	return &proxyMode{directory: directory, root: root, set: authority.Open(authority.Options{Agent: root, Public: public})}, nil
}

func (p *proxyMode) close() {
	if p != nil {
		_ = p.root.Close() // every write was checked
	}
}

func (p *proxyMode) authorities() *authority.Set {
	if p == nil {
		return nil
	}
	return p.set
}

// variables lead the COMMAND through the proxy.
func (p *proxyMode) variables() []bundle.EnvVar {
	if p == nil {
		return nil
	}
	return proxyenv.Variables(p.url, p.directory)
}

func (p *proxyMode) ready() *readyProxy {
	if p == nil {
		return nil
	}
	trust := filepath.Join(p.directory, authority.Directory)
	return &readyProxy{URL: p.url, CA: filepath.Join(trust, authority.File), Bundle: filepath.Join(trust, authority.Bundle)}
}

// listenProxy opens the one listener, and has it lead to every credential. Where
// endpoints are, their clients know already.
func (s *session) listenProxy(ctx context.Context) error {
	if s.proxy.url == "" {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening as a proxy: %w", err)
		}
		s.proxy.url = "http://" + l.Addr().String()
		s.server.ListenProxy(l)
	}
	for _, key := range s.ledger.order {
		if s.urls[key] == nil {
			s.server.Carry(key)
		}
		s.urls[key] = map[string]string{}
		for _, e := range s.ledger.held[key].accepted.Endpoints {
			s.urls[key][e.Name] = e.URL
		}
	}
	return nil
}
