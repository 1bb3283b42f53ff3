// Package load reads the manifests that a command is given, from files, from
// standard input and from revisions of a git repository.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Stdin reads standard input where a file is "-": once, since it can be read
// only once.
func Stdin(files []string, stdin io.Reader) ([]byte, error) {
	for _, file := range files {
		if file == "-" {
			text, err := io.ReadAll(stdin)
			if err != nil {
				return nil, fmt.Errorf("reading standard input: %w", err)
			}
			return text, nil
		}
	}
	return nil, nil
}

// Objects returns the objects of the files. The file "-" has the text stdin.
// The error is a manifest.Errors where a file can be read and is not right.
func Objects(ctx context.Context, files []string, stdin []byte) ([]manifest.Object, error) {
	return read(ctx, files, func(file string) ([]byte, error) {
		if file == "-" {
			return stdin, nil
		}
		return os.ReadFile(file)
	})
}

// Revisions is Objects for files that may also be written as REV:path, a file
// of a revision of the git repository that the command runs in.
func Revisions(ctx context.Context, files []string, stdin []byte) ([]manifest.Object, error) {
	return read(ctx, files, func(file string) ([]byte, error) {
		if file == "-" {
			return stdin, nil
		}
		text, err := os.ReadFile(file)
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(file, ":") {
			return text, err
		}
		return show(ctx, file)
	})
}

// show returns a file of a revision.
func show(ctx context.Context, revision string) ([]byte, error) {
	git := exec.CommandContext(ctx, "git", "show", "--end-of-options", revision)
	var stderr bytes.Buffer
	git.Stderr = &stderr
	text, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("git show %s: %w: %s", revision, err, strings.TrimSpace(stderr.String()))
	}
	return text, nil
}

func read(ctx context.Context, files []string, text func(file string) ([]byte, error)) ([]manifest.Object, error) {
	var objects []manifest.Object
	var refused manifest.Errors
	for _, file := range files {
		content, err := text(file)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		found, err := manifest.Read(ctx, file, content)
		var complaints manifest.Errors
		if errors.As(err, &complaints) {
			refused = append(refused, complaints...)
		}
		objects = append(objects, found...)
	}
	if err := refused.Err(); err != nil {
		return nil, err
	}
	return objects, manifest.Unique(objects)
}

// Complaints returns the problems of a refusal at their lines; none where err
// is none.
func Complaints(o manifest.Object, err error) manifest.Errors {
	var problems *compile.Refused
	if !errors.As(err, &problems) {
		return nil
	}
	var out manifest.Errors
	for _, p := range problems.Problems {
		msg := p.Msg
		if p.Value != "" {
			msg = fmt.Sprintf("%q: %s", p.Value, p.Msg)
		}
		out = append(out, o.ErrorAt(p.Field, msg))
	}
	return out
}
