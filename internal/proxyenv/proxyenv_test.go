package proxyenv

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariables(t *testing.T) {
	got := map[string]string{}
	for _, v := range Variables("http://127.0.0.1:14400", "/var/run/sallyport") {
		if _, twice := got[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		got[v.Name] = v.Value
	}
	const proxy, direct = "http://127.0.0.1:14400", "localhost,127.0.0.1,::1,.svc,.cluster.local"
	const ca, bundle = "/var/run/sallyport/_trust/ca.crt", "/var/run/sallyport/_trust/bundle.crt"
	want := map[string]string{
		"HTTP_PROXY": proxy, "http_proxy": proxy, "HTTPS_PROXY": proxy, "https_proxy": proxy,
		"NO_PROXY": direct, "no_proxy": direct, "NODE_USE_ENV_PROXY": "1",
		"NODE_EXTRA_CA_CERTS": ca, "DENO_CERT": ca,
		"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": bundle, "GIT_SSL_CAINFO": bundle,
		"AWS_CA_BUNDLE": bundle, "PIP_CERT": bundle, "CARGO_HTTP_CAINFO": bundle,
		"JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStore=/var/run/sallyport/_trust/trust.p12 -Djavax.net.ssl.trustStoreType=PKCS12" +
			" -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=14400 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=14400" +
			" -Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]|*.svc|*.cluster.local",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIsDirect(t *testing.T) {
	for host, want := range map[string]bool{
		"notes.agents.svc": true, "notes.agents.svc.cluster.local": true, "localhost": true, "127.0.0.1": true, "::1": true,
		"api.example.com": false, "svc": false, "cluster.local": false, "notsvc": false, "127.0.0.2": false, "x.localhost": false, "": false,
	} {
		if got := IsDirect(host); got != want {
			t.Errorf("%s: got %t", host, got)
		}
	}
}
