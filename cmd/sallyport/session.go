package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/load"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/proxyenv"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/authority"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
	"github.com/sallyport-dev/sallyport/sidecar/process"
	"github.com/sallyport-dev/sallyport/sidecar/proxy"
)

// session is one `sallyport run`.
type session struct {
	o         *runOptions
	ledger    *ledger
	server    *proxy.Server
	stdin     []byte                       // what -f - reads
	directory string                       // of token files
	urls      map[string]map[string]string // of listeners, by credential and endpoint
	proxy     *proxyMode                   // nil: each endpoint has a listener
	notes     io.Writer                    // the standard error, without waiting for who reads it
}

// run serves until ctx ends or the COMMAND does.
func (o *runOptions) run(ctx context.Context, environ []string) error {
	if err := o.validate(); err != nil {
		return err
	}
	all, stdin, err := o.load(ctx)
	if err != nil {
		return err
	}
	s := &session{o: o, ledger: newLedger(), stdin: stdin, urls: map[string]map[string]string{}}
	s.ledger.take(all)
	if !o.watch {
		manifest.Forget()
	}
	stop, err := s.start(ctx)
	defer stop()
	if err != nil {
		return err
	}
	return s.serve(ctx, environ)
}

// load reads the manifests for the first time, when all must be fine.
func (o *runOptions) load(ctx context.Context) (all []loaded, stdin []byte, err error) {
	if stdin, err = load.Stdin(o.files, o.stdin); err != nil {
		return nil, nil, err
	}
	objects, err := load.Objects(ctx, o.files, stdin)
	if err != nil {
		return nil, nil, err
	}
	if all, err = compileAll(objects); err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		return nil, nil, manifest.Errors{{File: o.files[0], Msg: "the files hold no ScopedCredential: there is nothing to serve"}}
	}
	return all, stdin, nil
}

// start opens everything. What is returned closes it, whatever the error.
func (s *session) start(ctx context.Context) (stop func(), err error) {
	var closers []func()
	stop = func() {
		for i := range closers {
			closers[len(closers)-1-i]()
		}
	}
	log, closeNotes := s.openNotes()
	closers = append(closers, closeNotes)
	if s.o.auditFile != "" {
		file, err := os.OpenFile(s.o.auditFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return stop, fmt.Errorf("opening audit file: %w", err)
		}
		log = file
		closers = append(closers, func() { _ = file.Close() })
	}
	connections, err := s.o.dial()
	if err != nil {
		return stop, err
	}
	if s.directory, err = os.MkdirTemp("", "sallyport-"); err != nil { // 0700
		return stop, fmt.Errorf("making the folder of token files: %w", err)
	}
	closers = append(closers, func() { _ = os.RemoveAll(s.directory) })
	if s.proxy, err = s.o.openProxy(s.directory); err != nil {
		return stop, err
	}
	closers = append(closers, s.proxy.close)
	if s.server, err = s.newServer(log, connections); err != nil {
		return stop, err
	}
	closers = append(closers, func() { s.shutdown(context.WithoutCancel(ctx)) })
	if s.o.readyFile != "" {
		closers = append(closers, func() { _ = os.Remove(s.o.readyFile) })
	}
	return stop, s.apply(ctx)
}

// openNotes opens the standard error for notes, and returns it for audit records.
// The COMMAND gets it as it is.
func (s *session) openNotes() (log io.Writer, closeNotes func()) {
	f, ok := s.o.stderr.(*os.File)
	if !ok {
		s.notes = s.o.stderr
		return s.notes, func() {}
	}
	own, closeOwn := process.Apart(f)
	s.notes = process.Lossy(own)
	return own, closeOwn
}

// apply mints tokens and hands the state to the data plane, then tells of it.
func (s *session) apply(ctx context.Context) error {
	state, err := s.ledger.state(time.Now())
	if err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	var errs []error
	for _, refused := range append(s.server.Apply(state), s.server.CheckTokens(state)...) {
		errs = append(errs, fmt.Errorf("serving %w", refused))
	}
	return errors.Join(append(errs, s.announce())...)
}

// listen opens the listeners that are missing. One stays until the end: where
// its credential goes away, it refuses.
func (s *session) listen(ctx context.Context) error {
	if s.proxy != nil {
		return s.listenProxy(ctx)
	}
	for _, key := range s.ledger.order {
		if s.urls[key] == nil {
			s.urls[key] = map[string]string{}
		}
		for _, e := range s.ledger.held[key].accepted.Endpoints {
			if s.urls[key][e.Name] != "" {
				continue
			}
			l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return fmt.Errorf("listening for %s: %w", key, err)
			}
			s.urls[key][e.Name] = "http://" + l.Addr().String()
			s.server.Listen(key, e.Name, l)
		}
	}
	return nil
}

// announce writes the token files, then the ready file.
func (s *session) announce() error {
	ready := readyFile{Proxy: s.proxy.ready()}
	for _, key := range s.ledger.order {
		h := s.ledger.held[key]
		r := readyCredential{
			Namespace: h.accepted.Namespace, Name: h.accepted.Name, Token: h.token,
			TokenFile: filepath.Join(s.directory, filepath.FromSlash(key), "token"),
		}
		for _, e := range h.accepted.Endpoints {
			r.Endpoints = append(r.Endpoints, readyEndpoint{Name: e.Name, URL: s.urls[key][e.Name]})
		}
		if err := os.MkdirAll(filepath.Dir(r.TokenFile), 0o700); err != nil {
			return fmt.Errorf("writing token file: %w", err)
		}
		if err := replaceFile(r.TokenFile, []byte(h.token)); err != nil {
			return fmt.Errorf("writing token file: %w", err)
		}
		ready.Credentials = append(ready.Credentials, r)
	}
	if s.o.readyFile == "" {
		return nil
	}
	return ready.write(s.o.readyFile)
}

// serve keeps tokens fresh and manifests current until ctx or the COMMAND ends.
func (s *session) serve(ctx context.Context, environ []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := s.command(ctx, environ)
	watch := newWatcher(s.o.files)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	renew := time.NewTimer(s.ledger.renewIn())
	defer renew.Stop()
	for {
		var err error
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			if len(s.o.command) > 0 {
				return <-ended
			}
			return nil
		case <-renew.C:
			err = s.apply(ctx)
			renew.Reset(s.ledger.renewIn())
		case <-tick.C:
			if s.o.watch && watch.changed() {
				err = s.reload(ctx)
				renew.Reset(s.ledger.renewIn())
			}
		}
		if err != nil {
			_, _ = fmt.Fprintln(s.notes, err)
		}
	}
}

// reload reads the manifests again. Whatever is wrong with them is returned,
// and what is not is in force.
func (s *session) reload(ctx context.Context) error {
	objects, err := load.Objects(ctx, s.o.files, s.stdin)
	if err != nil {
		return fmt.Errorf("%w\nthe last scope stays in force", err)
	}
	all, refused := compileAll(objects)
	s.ledger.take(all)
	if err := s.apply(ctx); err != nil {
		return errors.Join(refused, err)
	}
	if refused != nil {
		return fmt.Errorf("%w\nwhat is refused leaves the last accepted scope in force", refused)
	}
	return nil
}

// command starts the COMMAND, if there is one, and tells how it ended.
func (s *session) command(ctx context.Context, environ []string) <-chan error {
	ended := make(chan error, 1)
	if len(s.o.command) == 0 {
		return ended
	}
	client := s.proxy.variables()
	for _, key := range s.ledger.order {
		h := s.ledger.held[key]
		client = append(client, fillEnv(h.accepted.Env, s.urls[key], h.handle)...)
	}
	go func() {
		ended <- runCommand(ctx, s.o.command, clientEnviron(environ, client), s.o.stdin, s.o.stdout, s.o.stderr)
	}()
	return ended
}

// shutdownLimit is how long requests in flight have to end.
const shutdownLimit = 5 * time.Second

func (s *session) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		_, _ = fmt.Fprintln(s.notes, "sallyport: shutting down:", err)
	}
}

// newServer makes the data plane that a pod's sidecar is, without a broker.
func (s *session) newServer(log io.Writer, connections dial.Options) (*proxy.Server, error) {
	dialer, err := dial.New(connections)
	if err != nil {
		return nil, fmt.Errorf("preparing connections: %w", err)
	}
	handles := map[string]credential.Handle{}
	for key, h := range s.ledger.held {
		handles[key] = credential.HandleOf(h.handle)
	}
	return proxy.New(proxy.Options{
		Dialer:        dialer,
		Audit:         audit.NewLog(log),
		Handles:       handles,
		Pod:           s.ledger.pod.Name,
		PodUID:        s.ledger.pod.UID,
		WithoutLeases: true,
		Authorities:   s.proxy.authorities(),
		Tunnel:        s.o.tunnel,
		Log:           slog.New(slog.NewTextHandler(s.notes, nil)),
	}), nil
}

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
