package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
)

// Where the pod's volumes are mounted.
const (
	identityToken    = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	privateDirectory = "/var/run/sallyport-private"
	agentDirectory   = "/var/run/sallyport"
)

// options are what admission decided about this pod.
type options struct {
	broker  string // host:port
	health  string // address
	listen  []listener
	proxy   int                          // port of proxy mode; 0: none
	tunnel  bool                         // it leads to where no credential is for, too
	handles map[string]credential.Handle // by namespace/name

	pod, podUID string // namespace/name
	namespace   string
	roots       string // PEM: the authorities of the broker

	identityToken, privateDirectory, agentDirectory string
}

// listener is one loopback port.
type listener struct {
	credential, endpoint string
	port                 int
}

// parse reads flags and environment.
func parse(args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	o := &options{
		handles:       map[string]credential.Handle{},
		namespace:     getenv("POD_NAMESPACE"),
		podUID:        getenv("POD_UID"),
		roots:         getenv("SALLYPORT_ROOTS"),
		identityToken: identityToken, privateDirectory: privateDirectory, agentDirectory: agentDirectory,
	}
	o.pod = o.namespace + "/" + getenv("POD_NAME")
	flags := flag.NewFlagSet("sidecar", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.broker, "broker", "", "`host:port` of the broker")
	flags.StringVar(&o.health, "health", ":14399", "`address` for probes and metrics")
	flags.Func("listen", "serve an endpoint on a loopback port: `credential/endpoint=port`; may be repeated", o.addListener)
	flags.Func("proxy", "serve the credentials that have a handle as a proxy does, on this loopback `port`, instead", o.setProxy)
	flags.BoolVar(&o.tunnel, "tunnel", false, "let a proxy lead to hosts that no credential is for, unread and without any")
	var handles []string
	flags.Func("handle", "constant token of a credential: `credential=handle`; may be repeated", func(text string) error {
		handles = append(handles, text) // read below: package flag quotes what it refuses
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, errors.New("reading flags: there is an argument that is none")
	}
	for _, text := range handles {
		if err := o.addHandle(text); err != nil {
			return nil, fmt.Errorf("reading flags: --handle: %w", err)
		}
	}
	return o, o.validate(getenv("POD_NAME"))
}

func (o *options) validate(podName string) error {
	switch {
	case o.namespace == "" || podName == "" || o.podUID == "":
		return errors.New("reading environment: set POD_NAME, POD_NAMESPACE and POD_UID")
	case o.roots == "":
		return errors.New("reading environment: set SALLYPORT_ROOTS to the authorities of the broker, in PEM")
	}
	if host, port, err := net.SplitHostPort(o.broker); err != nil || host == "" || port == "" {
		return fmt.Errorf("reading flags: --broker is %q, not host:port", o.broker)
	}
	return o.validateListeners()
}

func (o *options) validateListeners() error {
	switch {
	case len(o.listen) == 0 && o.proxy == 0:
		return errors.New("reading flags: give --listen at least once, or --proxy")
	case len(o.listen) > 0 && o.proxy != 0:
		return errors.New("reading flags: give --listen or --proxy, not both")
	case o.tunnel && o.proxy == 0:
		return errors.New("reading flags: --tunnel is for --proxy")
	case len(o.handles) == 0 && o.proxy != 0:
		return errors.New("reading flags: give --handle for each credential that --proxy serves")
	}
	return nil
}

func (o *options) addListener(text string) error {
	name, portText, ok := strings.Cut(text, "=")
	cred, endpoint, ok2 := strings.Cut(name, "/")
	port, err := strconv.ParseUint(portText, 10, 16)
	if !ok || !ok2 || cred == "" || endpoint == "" || strings.Contains(endpoint, "/") || err != nil || port == 0 {
		return errors.New("write credential/endpoint=port")
	}
	o.listen = append(o.listen, listener{cred, endpoint, int(port)})
	return nil
}

func (o *options) setProxy(text string) error {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || o.proxy != 0 {
		return errors.New("write one port, once")
	}
	o.proxy = int(port)
	return nil
}

// addHandle keeps the hash alone. The text of a handle is in no message.
func (o *options) addHandle(text string) error {
	name, handle, _ := strings.Cut(text, "=")
	key := o.namespace + "/" + name
	if _, twice := o.handles[key]; name == "" || !token.ValidHandle(handle) || twice {
		return errors.New("write credential=handle, once for each credential")
	}
	o.handles[key] = credential.HandleOf(handle)
	return nil
}
