package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/health"
	"github.com/sallyport-dev/sallyport/sidecar/process"
	"github.com/sallyport-dev/sallyport/sidecar/proxy"
	"github.com/sallyport-dev/sallyport/sidecar/stream"
)

// drainLimit is how long requests under way have to end. The agent has ended
// by then: Kubernetes stops native sidecars last.
const drainLimit = 10 * time.Second

// rebindEvery is how often a port that is taken is tried again.
const rebindEvery = 200 * time.Millisecond

// serve binds everything, then connects, and serves until ctx ends.
func (o *options) serve(ctx context.Context, stdout, stderr io.Writer) error {
	logger := slog.New(slog.NewJSONHandler(stderr, nil))
	broker, _, err := net.SplitHostPort(o.broker)
	if err != nil {
		return fmt.Errorf("reading the broker's address: %w", err)
	}
	dialer, err := dial.New(dial.Options{Never: []string{broker}})
	if err != nil {
		return fmt.Errorf("preparing connections: %w", err)
	}
	with := proxy.Options{
		Dialer: dialer, Audit: audit.NewLog(stdout), Handles: o.handles, Pod: o.pod, PodUID: o.podUID, Log: logger,
		Tunnel: o.tunnel,
	}
	if with.Authorities, err = o.authorities(logger); err != nil {
		return err
	}
	listeners, err := o.bind(ctx)
	if err != nil {
		logger.Error("a port is taken, and nothing is served until it is free", "error", err)
		if listeners, err = o.await(ctx, with); err != nil {
			return err
		}
	}
	server := proxy.New(with)
	o.listenOn(server, listeners)
	return o.runUntilDrained(ctx, server, server.Ready, logger)
}

func (o *options) runUntilDrained(ctx context.Context, server *proxy.Server, ready func() bool, logger *slog.Logger) error {
	err := o.run(ctx, server, ready, logger)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	return errors.Join(err, server.Shutdown(within))
}

// await waits for ports that somebody else has, who can only be in this pod and
// was there first when the sidecar was restarted. Meanwhile nothing is served:
// a server without listeners has every credential refused by name, so that the
// broker, and whoever looks at the pod, hears of it.
func (o *options) await(ctx context.Context, with proxy.Options) (all []bound, err error) {
	telling, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan error, 1)
	go func() {
		told <- o.runUntilDrained(telling, proxy.New(with), func() bool { return false }, with.Log)
	}()
	tick := time.NewTicker(rebindEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-told:
			return nil, err
		case <-tick.C:
		}
		if all, err = o.bind(ctx); err == nil {
			stop()
			return all, <-told
		}
	}
}

// authorities are those of the pod in proxy mode, else none. They outlive the
// process, since clients read them once.
func (o *options) authorities(logger *slog.Logger) (*authority.Set, error) {
	if o.proxy == 0 {
		return nil, nil
	}
	private, err := os.OpenRoot(o.privateDirectory)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	agent, err := os.OpenRoot(o.agentDirectory)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening store: %w", err), private.Close())
	}
	public, err := authority.Public()
	if err != nil { // what is served needs none of them
		logger.Warn("agents trust no public authority", "error", err)
	}
	return authority.Open(authority.Options{Private: private, Agent: agent, Public: public}), nil
}

// listenOn serves what was bound.
func (o *options) listenOn(server *proxy.Server, all []bound) {
	if o.proxy != 0 {
		for name := range o.handles {
			server.Carry(name)
		}
	}
	for _, l := range all {
		if o.proxy != 0 {
			server.ListenProxy(l.net)
			continue
		}
		server.Listen(o.namespace+"/"+l.credential, l.endpoint, l.net)
	}
}

// run answers probes and follows the broker until ctx ends, or one of them
// cannot go on.
func (o *options) run(ctx context.Context, server *proxy.Server, ready func() bool, logger *slog.Logger) error {
	store, err := stream.OpenStore(o.privateDirectory, o.agentDirectory)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // every write was checked
	probes, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.health)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	failed := make(chan error, 2)
	start := func(serve func() error) {
		running.Go(func() {
			if err := serve(); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	start(func() error {
		return health.New(health.Options{Ready: ready, Metrics: server.Metrics}).Serve(ctx, probes)
	})
	start(func() error {
		return stream.Run(ctx, stream.Options{
			Broker: o.broker, TokenFile: o.identityToken, Roots: o.roots, Version: version(),
			Apply: newTrimmer(process.Trim, process.Used).apply(server.Apply), CheckTokens: server.CheckTokens, Revoke: server.Revoke, Extend: server.Extend, Seen: server.Seen, Store: store, Log: logger,
		})
	})
	<-ctx.Done()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// bound is a listener that is open.
type bound struct {
	listener
	net net.Listener
}

// bind opens every loopback port, before anything can be asked for on it and
// before the broker is: a port that is taken is found out at once.
func (o *options) bind(ctx context.Context) (all []bound, err error) {
	wanted := o.listen
	if o.proxy != 0 {
		wanted = []listener{{"proxy", "all", o.proxy}}
	}
	for _, l := range wanted {
		for _, network := range []struct{ name, host string }{{"tcp4", "127.0.0.1"}, {"tcp6", "::1"}} {
			address := net.JoinHostPort(network.host, strconv.Itoa(l.port))
			listening, err := (&net.ListenConfig{}).Listen(ctx, network.name, address)
			if network.name == "tcp6" && absent(err) {
				continue
			}
			if err != nil {
				for _, open := range all {
					_ = open.net.Close() // nothing was served
				}
				return nil, fmt.Errorf("listening for %s/%s: %w", l.credential, l.endpoint, err)
			}
			all = append(all, bound{l, listening})
		}
	}
	return all, nil
}

// absent tells whether a pod has no address of that family.
func absent(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// version is that of the module, for the broker's log.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
