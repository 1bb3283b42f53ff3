package images

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Binary makes an image that holds one static executable, as its entry point,
// and what a Go program looks for on a host: users, how to look up names, and
// the certificate authorities that browsers trust.
func Binary(executable, arch string) (v1.Image, error) {
	content, err := os.ReadFile(executable)
	if err != nil {
		return nil, fmt.Errorf("reading executable: %w", err)
	}
	name := filepath.Base(executable)
	files := []File{
		{Path: "etc", Mode: 0o755, Dir: true},
		{Path: "etc/group", Mode: 0o644, Content: []byte(group)},
		// Names come from DNS alone: a pod's hosts file is not consulted.
		{Path: "etc/nsswitch.conf", Mode: 0o644, Content: []byte("hosts: dns\n")},
		{Path: "etc/passwd", Mode: 0o644, Content: []byte(passwd)},
		{Path: "etc/ssl", Mode: 0o755, Dir: true},
		{Path: "etc/ssl/certs", Mode: 0o755, Dir: true},
		{Path: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Content: roots()},
		{Path: name, Mode: 0o755, Content: content},
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := WriteFiles(w, files); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("closing layer: %w", err)
	}
	return New(fromBytes(layer.Bytes()), arch, v1.Config{
		User:       strconv.Itoa(User) + ":" + strconv.Itoa(User),
		Entrypoint: []string{"/" + name},
		WorkingDir: "/",
	})
}

const (
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// roots is Mozilla's list as PEM. A root that is trusted under a condition is
// left out, since the file has no place for the condition.
func roots() []byte {
	var b bytes.Buffer
	for r := range bundle.Roots() {
		if r.Constraint != nil {
			continue
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate}))
	}
	return b.Bytes()
}

// AddBinary puts one more executable below /usr/local/bin of an image, in a
// layer of its own.
func AddBinary(image v1.Image, executable string) (v1.Image, error) {
	content, err := os.ReadFile(executable)
	if err != nil {
		return nil, fmt.Errorf("reading executable: %w", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	path := "usr/local/bin/" + filepath.Base(executable)
	if err := WriteFiles(w, []File{{Path: path, Mode: 0o755, Content: content}}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("closing layer: %w", err)
	}
	return appendLayer(image, fromBytes(layer.Bytes()))
}
