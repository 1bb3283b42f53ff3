package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/test/story"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

// options are the command line.
type options struct {
	listen, admin    string
	key, root        string
	cert, certKey    string
	names, authority string
	plain            bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("upstream", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8443", "`address` that is served to those who have the key")
	f.StringVar(&o.admin, "admin", "127.0.0.1:8081", "`address` that tells of branches and log, to anybody")
	f.StringVar(&o.key, "key", "", "`FILE` with the key; required")
	f.StringVar(&o.cert, "tls-cert", "", "`FILE` with the certificate, PEM")
	f.StringVar(&o.certKey, "tls-key", "", "`FILE` with its private key, PEM")
	f.StringVar(&o.names, "names", "", "instead of -tls-cert and -tls-key: make a certificate for these DNS `names`, separated by commas")
	f.StringVar(&o.authority, "authority", "", "with -names: write the authority's certificate to `FILE`, PEM")
	f.StringVar(&o.root, "root", "", "`directory` of the repository (default: a temporary one)")
	f.BoolVar(&o.plain, "plain", false, "serve the issue without its hidden text")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	return o, o.validate()
}

// validate refuses options that make no sense together.
func (o *options) validate() error {
	given := o.cert != "" && o.certKey != ""
	switch {
	case o.key == "":
		return errors.New("name the file with the key with -key")
	case (o.names == "") != (o.authority == ""):
		return errors.New("give -names and -authority together")
	case o.names != "" && (o.cert != "" || o.certKey != ""):
		return errors.New("give -names, or -tls-cert and -tls-key, not both")
	case o.names == "" && !given:
		return errors.New("give -tls-cert and -tls-key, or -names and -authority")
	}
	return nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	certificate, err := o.certificate()
	if err != nil {
		return err
	}
	w, err := newWatched(ctx, o, stdout)
	if err != nil {
		return err
	}
	defer w.close()
	served, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	told, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.admin)
	if err != nil {
		return errors.Join(fmt.Errorf("listening: %w", err), served.Close())
	}
	fmt.Fprintf(stderr, "serving %s, telling on %s\n", served.Addr(), told.Addr())
	secured := tls.NewListener(served, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}})
	return serve(ctx, stderr, map[net.Listener]http.Handler{secured: w.server.Handler(), told: w.handler()})
}

func (o *options) certificate() (tls.Certificate, error) {
	if o.names == "" {
		made, err := tls.LoadX509KeyPair(o.cert, o.certKey)
		if err != nil {
			return made, fmt.Errorf("reading the certificate: %w", err)
		}
		return made, nil
	}
	made, authority, err := upstream.Certificate(strings.Split(o.names, ",")...)
	if err != nil {
		return made, err
	}
	if err := os.WriteFile(o.authority, authority, 0o644); err != nil {
		return made, fmt.Errorf("writing the authority: %w", err)
	}
	return made, nil
}

// watched is the server with what there is to tell of it.
type watched struct {
	server     *upstream.Server
	log        upstream.Log
	repository string
	temporary  string // directory to be removed in the end; empty: none
}

func (w *watched) close() {
	if w.temporary != "" {
		_ = os.RemoveAll(w.temporary)
	}
}

func newWatched(ctx context.Context, o options, stdout io.Writer) (*watched, error) {
	key, err := os.ReadFile(o.key)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	w := &watched{server: &upstream.Server{Root: o.root, Key: strings.TrimRight(string(key), "\r\n"), Issue: story.Issue}}
	if w.server.Key == "" {
		return nil, fmt.Errorf("reading the key: %s is empty", o.key)
	}
	if o.plain {
		w.server.Issue = story.PlainIssue()
	}
	if o.root == "" {
		if w.temporary, err = os.MkdirTemp("", "upstream-"); err != nil {
			return nil, fmt.Errorf("making a directory: %w", err)
		}
		w.server.Root = w.temporary
	}
	var mu sync.Mutex
	lines := json.NewEncoder(stdout)
	w.server.Record = func(e upstream.Entry) {
		w.log.Record(e)
		mu.Lock()
		defer mu.Unlock()
		_ = lines.Encode(e) // who reads the output is not the server's business
	}
	if err := w.reset(ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// reset makes the repository anew. Requests under way may see it half made.
func (w *watched) reset(ctx context.Context) error {
	var err error
	w.repository, err = upstream.MakeRepository(ctx, w.server.Root, story.Repository, story.Branches()...)
	w.log.Clear()
	return err
}

// handler is what the second listener serves.
func (w *watched) handler() http.Handler {
	mux := http.NewServeMux()
	var mu sync.Mutex // a reset is whole before the branches are read
	mux.HandleFunc("GET /-/branches", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		branches, err := upstream.Branches(r.Context(), w.repository)
		tell(rw, branches, err)
	})
	mux.HandleFunc("GET /-/log", func(rw http.ResponseWriter, _ *http.Request) {
		tell(rw, w.log.Entries(), nil)
	})
	mux.HandleFunc("POST /-/reset", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		err := w.reset(r.Context())
		tell(rw, story.Branches(), err)
	})
	return mux
}

// tell answers with a list. One that is empty is [], not null.
func tell[T any](w http.ResponseWriter, list []T, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(append([]T{}, list...)) // the caller has gone
}

// stopLimit is how long requests under way have to end.
const stopLimit = 5 * time.Second

// serve serves all listeners until ctx or one of them ends.
func serve(ctx context.Context, stderr io.Writer, handlers map[net.Listener]http.Handler) error {
	ended := make(chan error, len(handlers))
	var servers []*http.Server
	for l, h := range handlers {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(stderr, "", 0)}
		servers = append(servers, s)
		go func() { ended <- s.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(limit))
	}
	return err
}
