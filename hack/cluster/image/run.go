package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sallyport-dev/sallyport/hack/cluster/debian"
	"github.com/sallyport-dev/sallyport/hack/cluster/images"
)

// options are the command line after the verb.
type options struct {
	name, arch, out string
	add             []string
	push            bool
	args            []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("no verb: say binary or debian")
	}
	o, err := parse(args[0], args[1:], stderr)
	if err != nil {
		return err
	}
	ref, err := images.ParseRef(o.name)
	if err != nil {
		return err
	}
	image, err := assemble(ctx, args[0], o)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := images.Save(o.out, ref, image); err != nil {
			return err
		}
	}
	if o.push {
		if err := images.Push(ctx, ref, image); err != nil {
			return err
		}
	}
	return report(stdout, stderr, ref, image)
}

func parse(verb string, args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("image "+verb, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.name, "name", "", "`reference` of the image: registry/name:tag")
	f.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the executable")
	f.StringVar(&o.out, "o", "", "write an OCI archive to `FILE`")
	f.Func("add", "put the executable `FILE` below /usr/local/bin of a debian image; may be repeated", func(file string) error {
		o.add = append(o.add, file)
		return nil
	})
	f.BoolVar(&o.push, "push", false, "push to the registry in the reference")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.args = f.Args()
	if o.out == "" && !o.push {
		return o, errors.New("nowhere to put the image: use -o FILE, -push or both")
	}
	return o, nil
}

func assemble(ctx context.Context, verb string, o options) (v1.Image, error) {
	switch verb {
	case "binary":
		if len(o.args) != 1 || len(o.add) > 0 {
			return nil, fmt.Errorf("image binary takes one executable, not %d, and no -add", len(o.args))
		}
		return images.Binary(o.args[0], o.arch)
	case "debian":
		return assembleDebian(ctx, o)
	}
	return nil, fmt.Errorf("unknown verb %q: say binary or debian", verb)
}

func assembleDebian(ctx context.Context, o options) (v1.Image, error) {
	if o.arch != runtime.GOARCH {
		return nil, fmt.Errorf("image debian takes this host's packages, which are for %s: leave out -arch", runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the cache directory: %w", err)
	}
	image, err := debian.Image(ctx, filepath.Join(cache, "sallyport", "images"), o.args, o.arch)
	for _, file := range o.add {
		if err != nil {
			return nil, err
		}
		image, err = images.AddBinary(image, file)
	}
	return image, err
}

// report prints what a pod's manifest needs to stdout, the rest to stderr.
func report(stdout, stderr io.Writer, ref images.Ref, image v1.Image) error {
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	config, err := image.ConfigName()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	_, _ = fmt.Fprintf(stderr, "%s: config %s\n", ref, config)
	_, err = fmt.Fprintln(stdout, ref.At(digest))
	return err
}
