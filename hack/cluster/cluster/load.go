package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/hack/cluster/images"
)

// Load imports image archives and returns their references by digest, which
// pods can name without pulling.
func (c *Cluster) Load(ctx context.Context, archives ...string) ([]string, error) {
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !c.table.Running(containerd) {
		return nil, errors.New("loading images: the cluster is not up: run up first")
	}
	var refs []string
	for _, a := range archives {
		loaded, err := c.importArchive(ctx, a)
		if err != nil {
			return refs, err
		}
		refs = append(refs, loaded...)
	}
	return refs, nil
}

// importArchive imports one archive. The kubelet asks for an image by the very
// words of the pod, so that each image also gets its name by digest.
func (c *Cluster) importArchive(ctx context.Context, archive string) ([]string, error) {
	path, err := filepath.Abs(archive)
	if err != nil {
		return nil, fmt.Errorf("importing %s: %w", archive, err)
	}
	out, err := c.ctr(ctx, "images", "import", path)
	if err != nil {
		return nil, fmt.Errorf("importing %s: %w", archive, err)
	}
	names := parseImport(out)
	if len(names) == 0 {
		return nil, fmt.Errorf("importing %s: it names no image", archive)
	}
	var refs []string
	for name, digest := range names {
		ref := byDigest(name, digest)
		if _, err := c.ctr(ctx, "images", "tag", "--force", name, ref); err != nil {
			return nil, fmt.Errorf("naming %s by digest: %w", name, err)
		}
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	return refs, nil
}

// imported is the line that `ctr images import` prints of each image.
var imported = regexp.MustCompile(`(?m)^unpacking (\S+) \((sha256:[0-9a-f]{64})\)`)

// parseImport maps the names of imported images to their digests.
func parseImport(out string) map[string]string {
	names := map[string]string{}
	for _, m := range imported.FindAllStringSubmatch(out, -1) {
		names[m[1]] = m[2]
	}
	return names
}

// byDigest replaces the tag of a name by a digest. A colon before the last
// slash belongs to a port.
func byDigest(name, digest string) string {
	slash := strings.LastIndexByte(name, '/')
	if colon := strings.LastIndexByte(name, ':'); colon > slash {
		name = name[:colon]
	}
	return name + "@" + digest
}

// imageList maps the names of images to their digests.
func (c *Cluster) imageList(ctx context.Context) (map[string]string, error) {
	out, err := c.ctr(ctx, "images", "list")
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	return parseImages(out), nil
}

// parseImages reads the table of `ctr images list`: name, type, digest, ...
func parseImages(out string) map[string]string {
	list := map[string]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		const digest, least = 2, 3
		if len(f) >= least && strings.HasPrefix(f[digest], "sha256:") {
			list[f[0]] = f[digest]
		}
	}
	return list
}

// ownImage makes an image of one of our programs, imports it where containerd
// does not have that very one, and returns its name by digest.
func (c *Cluster) ownImage(ctx context.Context, program, name string) (string, error) {
	ref, err := images.ParseRef(name)
	if err != nil {
		return "", err
	}
	image, err := images.Binary(c.program(program), runtime.GOARCH)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("reading digest of %s: %w", name, err)
	}
	list, err := c.imageList(ctx)
	if err != nil {
		return "", err
	}
	if list[ref.String()] == digest.String() && list[ref.At(digest)] != "" {
		return ref.At(digest), nil
	}
	archive := filepath.Join(c.state.Images(), program+".tar")
	if err := images.Save(archive, ref, image); err != nil {
		return "", err
	}
	if _, err := c.importArchive(ctx, archive); err != nil {
		return "", err
	}
	c.say("%s: loaded", ref)
	return ref.At(digest), nil
}

// ctr runs containerd's client on our containerd, in the kubelet's namespace.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--address", c.state.ContainerdSocket(), "--namespace", "k8s.io"}, args...)
	cmd := exec.CommandContext(ctx, "ctr", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("running ctr %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
