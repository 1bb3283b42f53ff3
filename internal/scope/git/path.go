package git

import (
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// The services of git, and what stands behind the repository in a path. There
// is one for the refs, and one for each service. What else a server may have
// there (the files of the dumb protocol, archives, LFS) is not granted.
const (
	infoRefs    = "info/refs"
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// Split splits a decoded path, which begins with a slash, into the repository,
// which may end in .git, and what is asked of it: info/refs, git-upload-pack or
// git-receive-pack. ending is empty where the path is none of git.
func Split(path string) (repo, ending string) {
	for _, ending := range [...]string{infoRefs, uploadPack, receivePack} {
		repo, found := strings.CutSuffix(path, "/"+ending)
		if found && len(repo) > 1 && repo[0] == '/' {
			return repo[1:], ending
		}
	}
	return "", ""
}

const dotGit = ".git"

// name returns the one name of a repository: acme/docs for acme/docs and
// acme/docs.git. It is not plain where servers could take another repository
// for it: some cut at the first .git or at the first name of a service, some
// know no letter case in .git.
func name(repo string) (name string, plain bool) {
	name = strings.TrimSuffix(repo, dotGit)
	before := ""
	for segment := range strings.SplitSeq(name, "/") {
		n := len(segment) - len(dotGit)
		switch {
		case segment == "", segment == uploadPack, segment == receivePack, before == "info" && segment == "refs":
			return "", false
		case n >= 0 && text.EqualFold(segment[n:], dotGit):
			return "", false
		}
		before = segment
	}
	return name, true
}
