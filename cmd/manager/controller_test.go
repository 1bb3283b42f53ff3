package main

import (
	"io"
	"strings"
	"testing"
)

// TestNothingIsTrustedByDefault holds that a controller which would let in no
// sidecar, or any, does not start.
func TestNothingIsTrustedByDefault(t *testing.T) {
	good := "--sidecar-image=registry.example/sidecar@sha256:" + strings.Repeat("ab", 32)
	for says, args := range map[string][]string{
		"no image of a sidecar is trusted": {},
		"by digest":                        {"--sidecar-image=registry.example/sidecar:v1"},
		"write host:port":                  {good, "--broker=broker"},
		"is never tolerated":               {good, "--tolerate-env=HTTPS_PROXY"},
		"cannot be tolerated":              {good, "--dangerously-tolerate=everything"},
	} {
		c := command(io.Discard)
		c.SetArgs(append([]string{"controller"}, args...))
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", args, err, says)
		}
	}
	o := controllerOptions{images: []string{strings.TrimPrefix(good, "--sidecar-image="), "old/sidecar@sha256:" + strings.Repeat("cd", 32) + ",sha256:" + strings.Repeat("ef", 32)}}
	o.trust.Broker = defaultBroker
	if err := o.complete(); err != nil || len(o.trust.Releases) != 2 || len(o.trust.Releases[1]) != 2 {
		t.Errorf("releases %v, %v", o.trust.Releases, err)
	}
}
