// Package debian assembles the root file system of a container image from
// Debian packages. It unpacks them without running their scripts and does what
// those scripts would do for the few packages that matter here.
package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/hack/cluster/images"
)

// base are packages that Debian takes for granted, so that no other package
// names them.
var base = []string{"base-files", "coreutils", "dash", "findutils", "grep", "libc-bin", "sed"}

// Download fetches packages and all they depend on into dir and returns the
// paths of the archives, sorted. apt resolves them as for an empty system and
// checks their signatures; the host's own packages are left alone.
func Download(ctx context.Context, dir string, packages []string) ([]string, error) {
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return nil, fmt.Errorf("making download directory: %w", err)
	}
	status := filepath.Join(dir, "status") // no package is installed
	if err := os.WriteFile(status, nil, 0o600); err != nil {
		return nil, fmt.Errorf("making download directory: %w", err)
	}
	args := []string{
		"-o", "Dir::State::status=" + status,
		"-o", "Dir::Cache::archives=" + dir,
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
		"--yes", "--no-install-recommends", "--download-only", "install",
	}
	args = append(append(args, base...), packages...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("downloading packages: %w: run 'apt-get update' if a package is not found: %s", err, out)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	slices.Sort(debs)
	return debs, err
}

// A layer merges packages into one tar archive.
type layer struct {
	out  *tar.Writer
	seen map[string]byte // path -> type of the entry
	cas  bytes.Buffer    // the certificate authorities found on the way
}

// WriteLayer merges the archives into one uncompressed layer.
func WriteLayer(ctx context.Context, w io.Writer, debs []string) error {
	l := &layer{out: tar.NewWriter(w), seen: map[string]byte{}}
	if err := l.add(mergedDirs()); err != nil {
		return err
	}
	for _, deb := range debs {
		if err := l.unpack(ctx, deb); err != nil {
			return fmt.Errorf("unpacking %s: %w", filepath.Base(deb), err)
		}
	}
	if err := l.add(l.finish()); err != nil {
		return err
	}
	return l.out.Close()
}

// merged are the directories that Debian 12 keeps below /usr. Packages still
// ship files under the old names.
var merged = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

func mergedDirs() []images.File {
	files := []images.File{{Path: "usr", Mode: 0o755, Dir: true}}
	for _, d := range merged {
		files = append(files,
			images.File{Path: "usr/" + d, Mode: 0o755, Dir: true},
			images.File{Path: d, Mode: 0o777, Link: "usr/" + d})
	}
	return files
}

// finish lists what installation scripts would have made.
func (l *layer) finish() []images.File {
	files := []images.File{
		{Path: "etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/bin/bash\nagent:x:65532:65532:agent:/home/agent:/bin/bash\n")},
		{Path: "etc/group", Mode: 0o644, Content: []byte("root:x:0:\nagent:x:65532:\n")},
		{Path: "etc/nsswitch.conf", Mode: 0o644, Content: []byte("passwd: files\ngroup: files\nhosts: files dns\n")},
		{Path: "home/agent", Mode: 0o755, Dir: true, Owner: images.User},
	}
	if l.cas.Len() > 0 {
		files = append(files,
			images.File{Path: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Content: l.cas.Bytes()})
	}
	if _, ok := l.seen["usr/bin/mawk"]; ok {
		files = append(files, images.File{Path: "usr/bin/awk", Mode: 0o777, Link: "mawk"})
	}
	slices.SortFunc(files, func(a, b images.File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

func (l *layer) add(files []images.File) error {
	for _, f := range files {
		l.seen[f.Path] = tar.TypeReg
		if f.Dir {
			l.seen[f.Path] = tar.TypeDir
		}
	}
	return images.WriteFiles(l.out, files)
}

func (l *layer) unpack(ctx context.Context, deb string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting dpkg-deb: %w", err)
	}
	err = l.merge(tar.NewReader(out))
	if err != nil {
		_ = cmd.Process.Kill() // it may wait for us to read on
	}
	_, _ = io.Copy(io.Discard, out) // the padding after the last entry
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("running dpkg-deb: %w: %s", werr, stderr.Bytes())
	}
	return err
}

func (l *layer) merge(in *tar.Reader) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.entry(h, in); err != nil {
			return err
		}
	}
}

func (l *layer) entry(h *tar.Header, content io.Reader) error {
	path := place(h.Name)
	if path == "" || dropped(path) {
		return nil
	}
	if t, ok := l.seen[path]; ok {
		return conflict(path, t, h.Typeflag)
	}
	l.seen[path] = h.Typeflag
	if strings.HasPrefix(path, "usr/share/ca-certificates/") && h.Typeflag == tar.TypeReg {
		content = io.TeeReader(content, &l.cas)
	}
	if err := l.out.WriteHeader(header(h, path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if _, err := io.Copy(l.out, content); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// conflict judges an entry whose path is taken. Packages share directories,
// and those below /usr which have a link at their old place; nothing else.
func conflict(path string, first, second byte) error {
	if second == tar.TypeDir && (first == tar.TypeDir || slices.Contains(merged, path)) {
		return nil
	}
	return fmt.Errorf("%s is in two packages", path)
}
