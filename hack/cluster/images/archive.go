package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Ref is where an image is found: registry, repository and tag.
type Ref struct{ tag name.Tag }

// ParseRef reads "registry/repository:tag". All three parts must be there, so
// that no default decides where an image goes.
func ParseRef(s string) (Ref, error) {
	t, err := name.NewTag(s, name.StrictValidation)
	if err != nil {
		return Ref{}, fmt.Errorf("reading image name: %w: write it as registry/name:tag", err)
	}
	return Ref{t}, nil
}

// String is the full name, with the tag.
func (r Ref) String() string { return r.repository() + ":" + r.tag.TagStr() }

// At is the full name with a digest instead of the tag.
func (r Ref) At(h v1.Hash) string { return r.repository() + "@" + h.String() }

// repository spells Docker's registry as containerd and the kubelet do.
func (r Ref) repository() string {
	host := r.tag.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	return host + "/" + r.tag.RepositoryStr()
}

// Push writes image to its registry, with the credentials of the Docker
// configuration. A registry on loopback is spoken to in plain HTTP.
func Push(ctx context.Context, r Ref, image v1.Image) error {
	err := remote.Write(r.tag, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return fmt.Errorf("pushing %s: %w", r, err)
	}
	return nil
}

// Save writes image to path as a tar archive of an OCI image layout
// (image-spec v1.1), named r.
func Save(path string, r Ref, image v1.Image) error {
	temporary := path + ".tmp"
	f, err := os.Create(temporary)
	if err != nil {
		return fmt.Errorf("writing image archive: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := writeLayout(f, r, image); err != nil {
		return fmt.Errorf("writing image archive: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing image archive: %w", err)
	}
	return os.Rename(temporary, path)
}

func writeLayout(w io.Writer, r Ref, image v1.Image) error {
	index, err := layoutIndex(r, image)
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	configName, err := image.ConfigName()
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	err = WriteFiles(t, []File{
		{Path: "oci-layout", Mode: 0o644, Content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{Path: "index.json", Mode: 0o644, Content: index},
		{Path: blobPath(digest), Mode: 0o644, Content: manifest},
		{Path: blobPath(configName), Mode: 0o644, Content: config},
	})
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := writeBlob(t, l); err != nil {
			return err
		}
	}
	return t.Close()
}

// layoutIndex renders index.json. containerd takes the image's name from an
// annotation of its own, other tools take the tag from the standard one.
func layoutIndex(r Ref, image v1.Image) ([]byte, error) {
	d, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	d.Annotations = map[string]string{
		"io.containerd.image.name":          r.String(),
		"org.opencontainers.image.ref.name": r.tag.TagStr(),
	}
	return json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{*d},
	})
}

func writeBlob(t *tar.Writer, l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	h := &tar.Header{Name: blobPath(digest), Mode: 0o644, Size: size, ModTime: epoch, Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(t, r)
	return err
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
