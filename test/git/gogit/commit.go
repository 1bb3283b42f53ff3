package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// commit adds a commit to what is checked out in dir.
func commit(repository *git.Repository, dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	tree, err := repository.Worktree()
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if _, err := tree.Add("file"); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	who := &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1, 0)}
	if _, err := tree.Commit("by go-git", &git.CommitOptions{Author: who}); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
