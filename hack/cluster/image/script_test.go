package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestMakeImage builds and pushes both images as the README says, to a registry
// of its own, and finds in it what the overlay names.
func TestMakeImage(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	const overlay = "install-test"
	defer func() { _ = os.RemoveAll(filepath.Join(root, "bin", overlay)) }()
	for _, args := range [][]string{
		{"make", "--no-print-directory", "build"},
		{"hack/image.sh", host + "/team/sallyport:v0.0.1", overlay},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		if args[0] != "make" && !strings.Contains(string(out), "kubectl apply") {
			t.Errorf("it does not say how to go on:\n%s", out)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "bin", overlay, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manager := regexp.MustCompile(`newName: (\S+), digest: (sha256:[0-9a-f]{64})`).FindStringSubmatch(string(text))
	sidecar := regexp.MustCompile(`--sidecar-image=(\S+@sha256:[0-9a-f]{64})\n`).FindStringSubmatch(string(text))
	if manager == nil || sidecar == nil {
		t.Fatalf("the overlay names no images by digest:\n%s", text)
	}
	for _, ref := range []string{manager[1] + "@" + manager[2], sidecar[1]} {
		digest, err := name.NewDigest(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Image(digest); err != nil {
			t.Errorf("the registry does not have %s: %v", ref, err)
		}
	}
}

// TestMakeImageAsks refuses a name that would leave registry or tag to chance.
func TestMakeImageAsks(t *testing.T) {
	for _, img := range []string{"", "sallyport", "registry.example.com/sallyport", "sallyport:v1"} {
		cmd := exec.CommandContext(t.Context(), "./image.sh", img)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "make image IMG=") {
			t.Errorf("image.sh %q: %v\n%s", img, err, out)
		}
	}
}
