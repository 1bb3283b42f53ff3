// gogit does with go-git what tests ask for: git's protocol, written a second
// time. It is a module of its own, so that nothing else links it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

// main clones URL into DIR with TOKEN, commits there, and pushes each REFSPEC
// in one push.
func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: gogit URL TOKEN DIR [REFSPEC...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, token, dir string, refspecs []string) error {
	auth := &http.BasicAuth{Username: "x-access-token", Password: token}
	repository, err := git.PlainClone(dir, false, &git.CloneOptions{URL: url, Auth: auth, Depth: 1})
	if err != nil {
		return fmt.Errorf("cloning: %w", err)
	}
	if len(refspecs) == 0 {
		return nil
	}
	if err := commit(repository, dir); err != nil {
		return err
	}
	o := &git.PushOptions{RemoteName: "origin", Auth: auth}
	for _, r := range refspecs {
		o.RefSpecs = append(o.RefSpecs, config.RefSpec(r))
	}
	if err := repository.Push(o); err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return fmt.Errorf("pushing: %w", err)
	}
	return nil
}
