package debian

import (
	"archive/tar"
	"path"
	"slices"
	"strings"
)

// place maps the name of an entry to where Debian 12 keeps it: below /usr for
// the merged directories. The result has no leading or trailing slash; that of
// the root is empty.
func place(name string) string {
	// Rooted before it is cleaned: dots cannot lead out.
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	top, _, nested := strings.Cut(p, "/")
	if nested && slices.Contains(merged, top) {
		return "usr/" + p
	}
	return p
}

// dropped reports whether an agent has no use for a path. Licenses stay.
func dropped(p string) bool {
	if strings.HasPrefix(p, "usr/share/doc/") {
		return path.Base(p) != "copyright" && strings.Count(p, "/") > strings.Count("usr/share/doc/x", "/")
	}
	for _, d := range []string{"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"} {
		if p == d || strings.HasPrefix(p, d+"/") {
			return true
		}
	}
	return false
}

// specialBits run a program as its owner. Nothing in an agent's container may.
const specialBits = 0o6000

// header keeps of h what matters to the file system, so that equal packages
// give equal layers.
func header(h *tar.Header, p string) *tar.Header {
	n := &tar.Header{
		Typeflag: h.Typeflag, Name: p, Linkname: h.Linkname, Size: h.Size,
		Mode: h.Mode &^ specialBits, Uid: h.Uid, Gid: h.Gid,
		ModTime: h.ModTime, Format: tar.FormatPAX,
	}
	switch h.Typeflag {
	case tar.TypeDir:
		n.Name += "/"
	case tar.TypeLink: // names another entry, so it moves with it
		n.Linkname = place(h.Linkname)
	}
	return n
}
