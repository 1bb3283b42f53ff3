package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/sidecar/credential"
)

var environment = map[string]string{
	"POD_NAME": "pod-1", "POD_NAMESPACE": "agents", "POD_UID": "p1", "SALLYPORT_ROOTS": "-----BEGIN CERTIFICATE-----",
}

func without(name string) func(string) string {
	env := maps.Clone(environment)
	delete(env, name)
	return func(name string) string { return env[name] }
}

func TestParse(t *testing.T) {
	handle := token.NewHandle()
	var out bytes.Buffer
	o, err := parse([]string{"--broker=b.example:9443", "--listen=notes/rest=14400", "--listen=notes/git=14401", "--handle=notes=" + handle}, without(""), &out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.listen, []listener{{"notes", "rest", 14400}, {"notes", "git", 14401}}) || o.pod != "agents/pod-1" || o.health != ":14399" {
		t.Errorf("%+v", o)
	}
	if len(o.handles) != 1 || o.handles["agents/notes"] != credential.HandleOf(handle) {
		t.Errorf("handles %v", o.handles)
	}
}

func TestParseRefuses(t *testing.T) {
	handle := token.NewHandle()
	good := []string{"--broker=b.example:9443", "--listen=notes/rest=14400"}
	for name, test := range map[string]struct {
		why  string
		args []string
		lack string
	}{
		"no listener":     {"it would serve nobody", good[:1], ""},
		"no broker":       {"it would never be given anything", good[1:], ""},
		"broker's port":   {"no address", []string{"--broker=b.example", good[1]}, ""},
		"broker's host":   {"no name to hold its certificate to", []string{"--broker=:9443", good[1]}, ""},
		"no port":         {"agents are told of one", append(good, "--listen=notes/rest"), ""},
		"port 0":          {"agents are told of one", append(good, "--listen=notes/rest=0"), ""},
		"port too high":   {"there is none", append(good, "--listen=notes/rest=65536"), ""},
		"no endpoint":     {"whose upstream?", append(good, "--listen=notes=1"), ""},
		"empty endpoint":  {"whose upstream?", append(good, "--listen=notes/=1"), ""},
		"namespace":       {"credentials are of the pod's own", append(good, "--listen=other/notes/rest=1"), ""},
		"weak handle":     {"it could be guessed", append(good, "--handle=notes=spt_secret"), ""},
		"handle of none":  {"whose?", append(good, "--handle=="+handle), ""},
		"two handles":     {"which one?", append(good, "--handle=notes="+handle, "--handle=notes="+handle), ""},
		"proxy and port":  {"which of them?", append(good, "--proxy=14400", "--handle=notes="+handle), ""},
		"proxy of nobody": {"it would lead nowhere", []string{good[0], "--proxy=14400"}, ""},
		"proxy, port 0":   {"agents are told of one", []string{good[0], "--handle=notes=" + handle, "--proxy=0"}, ""},
		"two proxies":     {"which of them?", []string{good[0], "--handle=notes=" + handle, "--proxy=1", "--proxy=2"}, ""},
		"tunnel, ports":   {"there is no proxy", append(good, "--tunnel"), ""},
		"argument":        {"a typo", append(good, handle), ""},
		"unknown flag":    {"a typo", append(good, "--upstream=x"), ""},
		"no name":         {"records name the pod", good, "POD_NAME"},
		"no namespace":    {"records name the pod", good, "POD_NAMESPACE"},
		"no UID":          {"tokens are bound to it", good, "POD_UID"},
		"no authorities":  {"anybody could be the broker", good, "SALLYPORT_ROOTS"},
		"unknown, quoted": {"a handle in the wrong place", append(good, "--handle="+handle), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o, err := parse(test.args, without(test.lack), &out)
			if err == nil {
				t.Fatalf("got %+v: %s", o, test.why)
			}
			if text := err.Error() + out.String(); strings.Contains(text, handle) || strings.Contains(text, "spt_secret") {
				t.Errorf("a handle is in %q", text)
			}
		})
	}
}
