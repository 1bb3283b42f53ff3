// Package proxyenv has the environment variables that lead an unmodified program
// through a proxy-mode listener, and have it trust the certificates there.
//
// Programs read different ones, and some only one letter case. Those that hold
// one file of authorities and no other get the public ones in it as well.
package proxyenv

import (
	"net"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

// Where the files of trust are, below the agent's directory. The sidecar writes
// them.
const (
	Directory = "_trust"
	File      = "ca.crt"     // the pod's own authorities
	Bundle    = "bundle.crt" // these, and the public ones
	Store     = "trust.p12"  // the same for Java
)

// Direct are the destinations that programs reach without the proxy: what is on
// this machine, and what is in the cluster.
const Direct = "localhost,127.0.0.1,::1,.svc,.cluster.local"

// IsDirect tells whether programs reach a host without the proxy.
func IsDirect(host string) bool {
	for d := range strings.SplitSeq(Direct, ",") {
		if host == d || strings.HasPrefix(d, ".") && strings.HasSuffix(host, d) {
			return true
		}
	}
	return false
}

var (
	proxies = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}
	direct  = []string{"NO_PROXY", "no_proxy"}
	// adding name what is trusted besides, replacing all that is.
	adding    = []string{"NODE_EXTRA_CA_CERTS", "DENO_CERT"}
	replacing = []string{
		"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "PIP_CERT", "CARGO_HTTP_CAINFO",
	}
)

// Variables are those for the proxy at this URL, with the agent's directory.
func Variables(proxy, directory string) (all []bundle.EnvVar) {
	set := func(names []string, value string) {
		for _, name := range names {
			all = append(all, bundle.EnvVar{Name: name, Value: value})
		}
	}
	set(proxies, proxy)
	set(direct, Direct)
	set([]string{"NODE_USE_ENV_PROXY"}, "1")
	set(adding, directory+"/"+Directory+"/"+File)
	set(replacing, directory+"/"+Directory+"/"+Bundle)
	set([]string{"JAVA_TOOL_OPTIONS"}, javaOptions(proxy, directory+"/"+Directory+"/"+Store))
	return all
}

// javaOptions are for every virtual machine, which reads none of the variables
// above. A store of PKCS #12 has no password unless one is named, and an address
// of IPv6 has brackets among the direct ones.
func javaOptions(proxy, store string) string {
	direct := strings.NewReplacer(",.", "|*.", ",::1", "|[::1]", ",", "|").Replace(Direct)
	options := []string{"-Djavax.net.ssl.trustStore=" + store, "-Djavax.net.ssl.trustStoreType=PKCS12"}
	if u, err := url.Parse(proxy); err == nil {
		host, port, _ := net.SplitHostPort(u.Host) // its port is written out
		for _, scheme := range []string{"http", "https"} {
			options = append(options, "-D"+scheme+".proxyHost="+host, "-D"+scheme+".proxyPort="+port)
		}
	}
	return strings.Join(append(options, "-Dhttp.nonProxyHosts="+direct), " ") // of https as well
}
