// Package images assembles container images without a daemon, a base image or
// a registry. Equal input gives equal digests: entries have a fixed order,
// owner and time, and the archive keeps the manifest as it is, so that the
// digest printed here is the one that containerd and a registry report.
package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is the user and group that images run as: no user of any host.
const User = 65532

// epoch is the time of every file and image made here.
var epoch = time.Unix(0, 0).UTC()

// A File is an entry of a layer. Exactly one of Content, Link and Dir is used;
// a File with none is an empty file.
type File struct {
	// Path has no leading slash; its parents need not be listed.
	Path    string
	Mode    int64
	Content []byte
	Link    string // target of a symbolic link
	Dir     bool
	Owner   int // user and group
}

// WriteFiles appends files to a layer, in the order given.
func WriteFiles(w *tar.Writer, files []File) error {
	for _, f := range files {
		h := &tar.Header{
			Name: f.Path, Mode: f.Mode, ModTime: epoch, Format: tar.FormatPAX,
			Uid: f.Owner, Gid: f.Owner, Typeflag: tar.TypeReg, Size: int64(len(f.Content)),
		}
		switch {
		case f.Dir:
			h.Typeflag, h.Name = tar.TypeDir, f.Path+"/"
		case f.Link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
		}
		if err := w.WriteHeader(h); err != nil {
			return fmt.Errorf("writing %s to layer: %w", f.Path, err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return fmt.Errorf("writing %s to layer: %w", f.Path, err)
		}
	}
	return nil
}

// New makes an image of one layer. The layer is an uncompressed tar archive;
// open may be called more than once. Fields of config that name the layer are
// filled in; OS is linux.
func New(open func() (io.ReadCloser, error), arch string, config v1.Config) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := appendLayer(image, open)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading image configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", arch
	file.Created = v1.Time{Time: epoch}
	file.Config = config
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("writing image configuration: %w", err)
	}
	return image, nil
}

// appendLayer adds an uncompressed tar archive to an image.
func appendLayer(image v1.Image, open func() (io.ReadCloser, error)) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "sallyport hack/cluster/image"},
	})
	if err != nil {
		return nil, fmt.Errorf("adding layer: %w", err)
	}
	return image, nil
}

// fromBytes opens a layer that is held in memory.
func fromBytes(layer []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }
}
