package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/sallyport-dev/sallyport/hack/bench/check"
	"github.com/sallyport-dev/sallyport/hack/bench/isolate"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

// checkAll holds every proxy to the same work, before upstreams that note what
// comes.
func (b *bencher) checkAll(ctx context.Context) error {
	other, err := peers.NewTrust()
	if err != nil {
		return err
	}
	for _, secure := range []bool{false, true} {
		for _, p := range peers.All {
			fmt.Fprintf(b.stderr, "checking the work of %s, HTTPS to the upstream: %t\n", p.Name, secure)
			if err := b.checkOne(ctx, p, secure, b.trust, check.EqualWork); err != nil {
				return fmt.Errorf("checking the work of %s, HTTPS to the upstream: %t: %w", p.Name, secure, err)
			}
		}
	}
	for _, p := range peers.All {
		if err := b.checkOne(ctx, p, true, other, check.Distrusts); err != nil {
			return fmt.Errorf("checking whom %s trusts: %w", p.Name, err)
		}
	}
	return nil
}

// checkOne has a proxy checked before an upstream with that authority's word.
func (b *bencher) checkOne(ctx context.Context, p peers.Peer, secure bool, by peers.Trust,
	hold func(context.Context, check.Proxy, *check.Upstream) error) error {
	u, setup, err := b.recorder(ctx, secure, by)
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	r, err := b.start(ctx, p, setup)
	if err != nil {
		return err
	}
	defer r.Stop()
	return hold(ctx, check.Proxy{Addr: r.Addr, Token: setup.Token, Key: setup.Key, Authority: setup.Authority(), Reads: p.Reads}, u)
}

// recorder is an upstream that serves while the engine does not, and a setup
// that leads to it.
func (b *bencher) recorder(ctx context.Context, secure bool, by peers.Trust) (*check.Upstream, peers.Setup, error) {
	setup := b.setups[secure]
	certificate, err := by.Certificate(isolate.UpstreamName)
	if err != nil {
		return nil, setup, err
	}
	with := &certificate
	if !secure {
		with = nil
	}
	u, err := check.NewUpstream(netip.AddrPortFrom(isolate.Upstream, 0), with)
	if err != nil {
		return nil, setup, err
	}
	setup.Upstream = u.Addr
	setup, err = setup.WithToken(ctx)
	return u, setup, err
}
