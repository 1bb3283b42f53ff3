// Package files writes files that others read while they are written, in
// directories that others may write to.
package files

import (
	"errors"
	"io/fs"
	"os"
)

// fresh is the name of a file that is being written.
const fresh = ".new"

// Replace makes name hold text, at once: a reader sees the old text or the new
// one. The directory is one that no link leads out of, so that nobody can lead
// the write elsewhere. The mode is as it is given, whatever the umask.
func Replace(directory *os.Root, name, text string, mode fs.FileMode) error {
	// What a crash left behind is not written to: it may be a link by now.
	if err := directory.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := directory.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return err
	}
	return directory.Rename(fresh, name)
}

// Directory opens a directory within another, which it makes where it is not
// there yet.
func Directory(in *os.Root, name string) (*os.Root, error) {
	if err := in.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return in.OpenRoot(name)
}
