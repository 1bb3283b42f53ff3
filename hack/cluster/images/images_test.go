package images

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// program makes an image of a small file named manager.
func program(t *testing.T) v1.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manager")
	if err := os.WriteFile(path, []byte("\x7fELF program"), 0o700); err != nil {
		t.Fatal(err)
	}
	image, err := Binary(path, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	h, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// entries reads a tar archive whole.
func entries(t *testing.T, r io.Reader) (map[string]*tar.Header, map[string][]byte) {
	t.Helper()
	headers, contents := map[string]*tar.Header{}, map[string][]byte{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if headers[h.Name] != nil {
			t.Errorf("%s is there twice", h.Name)
		}
		headers[h.Name] = h
		if contents[h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBinary(t *testing.T) {
	image := program(t)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{User: "65532:65532", Entrypoint: []string{"/manager"}, WorkingDir: "/"}
	if diff := cmp.Diff(want, file.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if file.OS != "linux" || file.Architecture != "arm64" {
		t.Errorf("platform = %s/%s", file.OS, file.Architecture)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers = %d, %v, want one", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	headers, contents := entries(t, r)
	if got := string(contents["etc/nsswitch.conf"]); got != "hosts: dns\n" {
		t.Errorf("nsswitch.conf = %q", got)
	}
	if h := headers["manager"]; h == nil || h.Mode != 0o755 || h.Uid != 0 {
		t.Errorf("the program's entry is %+v: it must be root's, and not for its user to write", h)
	}
	if !strings.Contains(string(contents["etc/passwd"]), ":65532:65532:") {
		t.Error("the image's user has no line in passwd")
	}
	if !x509.NewCertPool().AppendCertsFromPEM(contents["etc/ssl/certs/ca-certificates.crt"]) {
		t.Error("no certificate authorities")
	}
}

func TestBinaryIsReproducible(t *testing.T) {
	if a, b := digest(t, program(t)), digest(t, program(t)); a != b {
		t.Errorf("equal programs give %s and %s", a, b)
	}
}

func TestRoots(t *testing.T) {
	const fewest = 80
	if n := bytes.Count(roots(), []byte("BEGIN CERTIFICATE")); n < fewest {
		t.Errorf("%d certificate authorities, want at least %d", n, fewest)
	}
}

func TestParseRef(t *testing.T) {
	for in, tt := range map[string]struct {
		why  string
		want string // empty: refused
	}{
		"sallyport.local/manager:dev":       {why: "all three parts", want: "sallyport.local/manager:dev"},
		"127.0.0.1:5000/a/b:v1":             {why: "a port is no tag", want: "127.0.0.1:5000/a/b:v1"},
		"docker.io/acme/manager:v1":         {why: "as containerd writes it", want: "docker.io/acme/manager:v1"},
		"manager:dev":                       {why: "no registry: where would it go?"},
		"sallyport.local/manager":           {why: "no tag: latest is nobody's wish"},
		"sallyport.local/Manager:dev":       {why: "capital letters are not allowed"},
		"sallyport.local/a@sha256:00":       {why: "a digest is an outcome"},
		"":                                  {why: "empty"},
		"sallyport.local/manager:dev extra": {why: "blanks"},
	} {
		got, err := ParseRef(in)
		if tt.want == "" {
			if err == nil {
				t.Errorf("ParseRef(%q) accepts: %s", in, tt.why)
			}
			continue
		}
		if err != nil || got.String() != tt.want {
			t.Errorf("ParseRef(%q) = %v, %v, want %s: %s", in, got, err, tt.want, tt.why)
		}
	}
}

func TestSaveIsALayoutWithTheSameDigest(t *testing.T) {
	ref, err := ParseRef("sallyport.local/manager:dev")
	if err != nil {
		t.Fatal(err)
	}
	image := program(t)
	path := filepath.Join(t.TempDir(), "manager.tar")
	if err := Save(path, ref, image); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	_, contents := entries(t, f)
	var index v1.IndexManifest
	if err := json.Unmarshal(contents["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	d := index.Manifests[0]
	if d.Digest != digest(t, image) {
		t.Errorf("the index names %s, want %s", d.Digest, digest(t, image))
	}
	if got := d.Annotations["io.containerd.image.name"]; got != ref.String() {
		t.Errorf("containerd would name it %q", got)
	}
	for name, content := range contents {
		hex, ok := strings.CutPrefix(name, "blobs/sha256/")
		if !ok {
			continue
		}
		if h, _, err := v1.SHA256(bytes.NewReader(content)); err != nil || h.Hex != hex {
			t.Errorf("blob %s holds something else: %v, %v", name, h, err)
		}
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref, err := ParseRef(strings.TrimPrefix(server.URL, "http://") + "/acme/manager:v1")
	if err != nil {
		t.Fatal(err)
	}
	image := program(t)
	if err := Push(t.Context(), ref, image); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref.tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Error(err)
	}
	if got, want := digest(t, pulled), digest(t, image); got != want {
		t.Errorf("the registry reports %s, want %s as printed", got, want)
	}
}

func TestPushToNowhere(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.Close()
	ref, err := ParseRef(strings.TrimPrefix(server.URL, "http://") + "/acme/manager:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := Push(t.Context(), ref, program(t)); err == nil || !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("Push = %v, want an error that names %s", err, ref)
	}
}

// TestAddBinary finds the executable in the last layer, and all else as it was.
func TestAddBinary(t *testing.T) {
	base := program(t)
	path := filepath.Join(t.TempDir(), "upstream")
	if err := os.WriteFile(path, []byte("\x7fELF server"), 0o700); err != nil {
		t.Fatal(err)
	}
	image, err := AddBinary(base, path)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	headers, contents := entries(t, r)
	const want = "usr/local/bin/upstream"
	if string(contents[want]) != "\x7fELF server" || headers[want].Mode != 0o755 {
		t.Errorf("entries: %v", headers)
	}
	before, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	after, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Config, after.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
