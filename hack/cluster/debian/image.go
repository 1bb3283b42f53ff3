package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sallyport-dev/sallyport/hack/cluster/images"
)

// recipe changes whenever the same packages would give another layer.
const recipe = "2"

// Image makes an image that holds packages, all they depend on and a small
// base, and runs bash as a user without rights. The layer is kept in cache, a
// directory that is made if need be, and used again for equal packages.
func Image(ctx context.Context, cache string, packages []string, arch string) (v1.Image, error) {
	path, err := cachedLayer(ctx, cache, packages, arch)
	if err != nil {
		return nil, err
	}
	user := strconv.Itoa(images.User)
	return images.New(func() (io.ReadCloser, error) { return os.Open(path) }, arch, v1.Config{
		User:       user + ":" + user,
		Cmd:        []string{"/usr/bin/bash"},
		WorkingDir: "/home/agent",
		Env: []string{
			"HOME=/home/agent",
			"LANG=C.UTF-8",
			"PATH=/usr/local/bin:/usr/bin:/bin",
		},
	})
}

func cachedLayer(ctx context.Context, cache string, packages []string, arch string) (string, error) {
	path := filepath.Join(cache, "debian-"+key(packages, arch)+".tar")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making image cache: %w", err)
	}
	// Outside of the user's home, which apt's unprivileged user cannot enter.
	work, err := os.MkdirTemp("", "sallyport-debian-")
	if err != nil {
		return "", fmt.Errorf("making download directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.Chmod(work, 0o755); err != nil {
		return "", fmt.Errorf("making download directory: %w", err)
	}
	debs, err := Download(ctx, work, packages)
	if err != nil {
		return "", err
	}
	return path, writeCached(ctx, path, debs)
}

func writeCached(ctx context.Context, path string, debs []string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".debian-")
	if err != nil {
		return fmt.Errorf("writing layer: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(WriteLayer(ctx, f, debs), f.Close()); err != nil {
		return fmt.Errorf("writing layer: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing layer: %w", err)
	}
	return nil
}

func key(packages []string, arch string) string {
	sorted := slices.Clone(packages)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{recipe, arch}, sorted...), "\n")))
	const length = 8 // bytes: enough to tell a handful of images apart
	return hex.EncodeToString(sum[:length])
}
