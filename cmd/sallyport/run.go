package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/sidecar/dial"
)

// runOptions are the flags of `sallyport run`.
type runOptions struct {
	files      []string
	readyFile  string
	auditFile  string
	watch      bool
	client     string
	tunnel     bool
	connectTo  []string
	upstreamCA string
	resolver   string

	command []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// The ways in which clients are led, as the annotation of a pod has them.
const (
	clientBaseURL = inject.ClientBaseURL
	clientProxy   = inject.ClientProxy
)

const runHelp = `Run the data plane on this machine, for the ScopedCredentials of the FILEs.

Each endpoint gets a listener on 127.0.0.1 that takes the credential's token,
judges every request against the scope, and forwards what is granted with the
real key. Manifests mean what they mean in a cluster: the same code compiles
them, and the same code judges. What a cluster would add is not there: holders
cannot be checked, and nothing proves that the caller is an agent's pod.

FILEs are YAML with UpstreamSecret, ScopedCredential and v1 Secret objects, many
documents each; "-f -" reads standard input to its end. A manifest that does not compile
ends the command with status 2, and a line for each error: file:line: field:
what is wrong and what to do about it.

With --client proxy, there is one listener for all: a proxy that leads to the
endpoints' own addresses and nowhere else. The COMMAND trusts an authority that
this process makes, which can vouch for these hosts alone. With --tunnel, it
leads to other public hosts as well, unread and without any key.

With a COMMAND, it runs with the client variables of the credentials in place
of inherited ones, and its exit status is passed on. Without one, the listeners
serve until the process is told to end.

This is for development and CI. It is no wall against a COMMAND of the same
user, which can read the FILEs with the key in them, and this process's
environment. In a cluster, the key is in another container.`

func newRunCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run -f FILE... [flags] [-- COMMAND ...]",
		Short: "Run the data plane for manifests, and a command behind it",
		Long:  runHelp,
		RunE: func(c *cobra.Command, args []string) error {
			o.command, o.stdin, o.stdout, o.stderr = args, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			return o.run(c.Context(), os.Environ())
		},
	}
	f := c.Flags()
	f.StringArrayVarP(&o.files, "filename", "f", nil, "`FILE` with manifests, or - for standard input; may be given many times")
	f.StringVar(&o.readyFile, "ready-file", "", "write addresses and tokens to `PATH` when every listener accepts")
	f.StringVar(&o.auditFile, "audit-file", "", "append audit records to `PATH` (default: standard error)")
	f.BoolVar(&o.watch, "watch", false, "apply changed FILEs at once; a change that does not compile is reported and leaves the last scope in force")
	f.StringVar(&o.client, "client", clientBaseURL, "how the COMMAND is led: base-url, or proxy: by proxy variables, and a certificate authority of this process")
	f.BoolVar(&o.tunnel, "tunnel", false, "with --client proxy: lead connections to other public hosts through, unread and without any key")
	f.StringArrayVar(&o.connectTo, "connect-to", nil, "for tests and rehearsals: connect to `HOST:PORT=ADDR:PORT` instead, private or not")
	f.StringVar(&o.upstreamCA, "upstream-ca", "", "for tests and rehearsals: trust the authorities in `FILE` (PEM) as well")
	f.StringVar(&o.resolver, "resolver", "", "for tests and rehearsals: ask the DNS server at `ADDR:PORT`")
	return c
}

// validate refuses options that make no sense together.
func (o *runOptions) validate() error {
	stdin := 0
	for _, file := range o.files {
		if file == "-" {
			stdin++
		}
	}
	switch {
	case len(o.files) == 0:
		return errors.New("name at least one file with -f")
	case stdin > 1:
		return errors.New("give -f - once: standard input can be read only once")
	case stdin == len(o.files) && o.watch:
		return errors.New("use a file instead of -f - with --watch: standard input does not change")
	}
	return o.validateClient()
}

func (o *runOptions) validateClient() error {
	switch {
	case o.client != clientBaseURL && o.client != clientProxy:
		return errors.New("set --client to base-url or proxy")
	case o.tunnel && o.client != clientProxy:
		return errors.New("set --client proxy where --tunnel is set")
	}
	return nil
}

// dial returns the options of connections to upstreams.
func (o *runOptions) dial() (dial.Options, error) {
	out := dial.Options{Resolver: o.resolver, ConnectTo: map[string]string{}}
	if _, err := netip.ParseAddrPort(o.resolver); o.resolver != "" && err != nil {
		return out, fmt.Errorf("reading --resolver: write it as ADDR:PORT, such as 192.0.2.1:53")
	}
	for _, rule := range o.connectTo {
		from, to, found := strings.Cut(rule, "=")
		if _, err := netip.ParseAddrPort(to); !found || err != nil || !strings.Contains(from, ":") {
			return out, fmt.Errorf("reading --connect-to %q: write it as HOST:PORT=ADDR:PORT", rule)
		}
		out.ConnectTo[from] = to
	}
	if o.upstreamCA == "" {
		return out, nil
	}
	roots, err := readCertificates(o.upstreamCA)
	if err != nil {
		return out, fmt.Errorf("reading --upstream-ca: %w", err)
	}
	out.Roots = roots
	return out, nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return roots, nil
}
