package upstream

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MakeRepository makes the bare repository root/name.git with one commit on
// main and on every further branch, in place of one that is there.
func MakeRepository(ctx context.Context, root, name string, branches ...string) (string, error) {
	dir := filepath.Join(root, name+".git")
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("making a repository: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("making a repository: %w", err)
	}
	if _, err := git(ctx, root, "", "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return "", err
	}
	tree, err := git(ctx, dir, "", "mktree")
	if err != nil {
		return "", err
	}
	commit, err := git(ctx, dir, "first commit\n", "-c", "user.name=demo", "-c", "user.email=demo@example.com", "commit-tree", tree)
	if err != nil {
		return "", err
	}
	for _, b := range append([]string{"main"}, branches...) {
		if _, err := git(ctx, dir, "", "update-ref", "refs/heads/"+b, commit); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// Branches returns the branches of the bare repository dir, sorted.
func Branches(ctx context.Context, dir string) ([]string, error) {
	out, err := git(ctx, dir, "", "for-each-ref", "--format=%(refname:short)", "refs/heads/")
	if err != nil {
		return nil, err
	}
	return strings.Fields(out), nil
}

// deleteBranch deletes a branch that is there: git itself would not mind one
// that is not, and the log is to tell what was really done.
func deleteBranch(ctx context.Context, dir, branch string) error {
	ref := "refs/heads/" + branch
	commit, err := git(ctx, dir, "", "show-ref", "--verify", "--hash", "--", ref)
	if err != nil {
		return err
	}
	_, err = git(ctx, dir, "", "update-ref", "-d", "--", ref, commit)
	return err
}

func git(ctx context.Context, dir, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*"}, args...)...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running git %s: %w: %s", args[0], err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}
