package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func executable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sidecar")
	if err := os.WriteFile(path, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBinary pushes and saves, and finds what was pushed under the reference
// that was printed.
func TestBinary(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	archive := filepath.Join(t.TempDir(), "sidecar.tar")
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"binary", "-name", strings.TrimPrefix(server.URL, "http://") + "/acme/sidecar:v1", "-o", archive, "-push", executable(t),
	}, &out, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(archive); err != nil || info.Size() == 0 {
		t.Errorf("no archive: %v", err)
	}
	ref, err := name.NewDigest(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(ref); err != nil {
		t.Errorf("the registry does not have what was printed: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	const ref = "sallyport.local/x:dev"
	for name, tt := range map[string]struct {
		why  string
		args []string
		want string
	}{
		"nothing":       {why: "no verb", want: "binary or debian"},
		"unknown verb":  {why: "it names the verbs", args: []string{"docker", "-name", ref, "-o", "x"}, want: "binary or debian"},
		"no place":      {why: "an image that goes nowhere is a mistake", args: []string{"binary", "-name", ref, "x"}, want: "-push"},
		"no tag":        {why: "no default decides", args: []string{"binary", "-name", "x", "-o", "x", "x"}, want: "registry/name:tag"},
		"two programs":  {why: "one entry point", args: []string{"binary", "-name", ref, "-o", "x", "a", "b"}, want: "one executable"},
		"no program":    {why: "the file is missing", args: []string{"binary", "-name", ref, "-o", "x", "/nonexistent"}, want: "/nonexistent"},
		"foreign debs":  {why: "the host's packages fit the host", args: []string{"debian", "-name", ref, "-arch", "vax", "-o", "x", "git"}, want: "-arch"},
		"unknown flags": {why: "flags are closed", args: []string{"binary", "-pull"}, want: "-pull"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tt.args, &bytes.Buffer{}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: run = %v, want an error that says %q", tt.why, err, tt.want)
			}
		})
	}
}
