package git

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Command is one line of the list with which a push begins. The zero Command
// is none.
type Command struct {
	Ref    string
	Action Action
}

// List is the beginning of a push: everything before the pack.
type List struct {
	Commands []Command
	// Capabilities are what the client asks for with the first command.
	Capabilities []string
	// Options are the push options.
	Options int
	// Whole says that nothing is missing.
	Whole bool
}

// Asks reports whether the client asked for a capability without a value.
func (l *List) Asks(capability string) bool { return slices.Contains(l.Capabilities, capability) }

// errors of a push that cannot be read, for the author of the agent.
var (
	errPacket     = errors.New("the push holds a packet of a length that git does not write")
	errCut        = errors.New("the push ends before its list of commands does")
	errCommand    = errors.New("a command of the push is not an old object name, a new one and a ref")
	errNothing    = errors.New("a command of the push creates and deletes its ref at once")
	errOnlyGrafts = errors.New("the push has no command")
	errAfter      = errors.New("what follows the list of commands is not the pack that git sends there")
	errCapability = errors.New("the capabilities of the push are not a list of words, each one once")
)

// errUnknown: a server may act on a capability that nobody here has looked at.
var errUnknown = errors.New("the push asks for a capability that is not judged")

// capabilities of a push that say nothing of what it does to refs; those that
// have a value end in an equals sign.
var capabilities = []string{
	"report-status", "report-status-v2", "delete-refs", "side-band-64k", "side-band", "quiet", "atomic", "ofs-delta",
	pushOptions, objectFormat, "agent=", "session-id=",
}

const (
	pushOptions  = "push-options"
	objectFormat = "object-format="
	pushCert     = "push-cert"
)

// listReader reads the list of a push.
type listReader struct {
	packets
	list   List
	digits int // of an object name
	began  bool

	certificate certificate
}

// ReadList reads the list at the beginning of a push, of which data is all or,
// if it is not whole, the beginning. Where List.Whole is false, more is needed.
// The strings are views of data.
func ReadList(data []byte, whole bool) (List, error) {
	r := listReader{packets: packets{data: data}, digits: sha1Digits}
	err := r.read(whole)
	return r.list, err
}

const (
	sha1Digits   = 40
	sha256Digits = 64
)

func (r *listReader) read(whole bool) error {
	if done, err := r.section(whole, r.line); !done {
		return err
	}
	if part := r.certificate.part; part != outside && part != closed {
		return errCertificate
	}
	if r.list.Asks(pushOptions) {
		done, err := r.section(whole, func([]byte) error { r.list.Options++; return nil })
		if !done {
			return err
		}
	}
	return r.end(whole)
}

// section reads packets up to a flush. It is not done where that has not come.
func (r *listReader) section(whole bool, read func([]byte) error) (done bool, err error) {
	for {
		content, k := r.next()
		switch {
		case k == flushed:
			return true, nil
		case k == partial && !whole:
			return false, nil
		case k == partial:
			return false, errCut
		case k != line:
			return false, errPacket
		}
		if err := read(content); err != nil {
			return false, err
		}
	}
}

// line reads a shallow line, a command, or a line of a certificate.
func (r *listReader) line(content []byte) error {
	switch r.certificate.part {
	case outside:
		return r.plain(content)
	case closed:
		return errTwoLists
	}
	return r.certified(content)
}

func (r *listReader) plain(content []byte) error {
	if oid, found := bytes.CutPrefix(content, []byte("shallow ")); found && !r.began {
		if _, ok := isZero(chomp(oid)); !ok {
			return errCommand
		}
		return nil
	}
	command, features, listed := bytes.Cut(content, []byte{0})
	if !listed {
		command = chomp(command)
	} else if r.began {
		return errCapability
	} else if err := r.capabilities(text.View(chomp(features))); err != nil {
		return err
	}
	begins := !r.began && string(chomp(command)) == pushCert
	r.began = true
	if begins {
		r.certificate.part = inVersion
		return nil
	}
	return r.command(command)
}

// capabilities reads the words behind the first command.
func (r *listReader) capabilities(words string) error {
	words = strings.TrimPrefix(words, " ")
	if words == "" {
		return nil
	}
	for word := range strings.SplitSeq(words, " ") {
		if err := r.capability(word); err != nil {
			return err
		}
		r.list.Capabilities = append(r.list.Capabilities, word)
	}
	return nil
}

func (r *listReader) capability(word string) error {
	name, value := nameOf(word)
	same := func(other string) bool { n, _ := nameOf(other); return n == name }
	switch {
	case !isWord(word) || slices.ContainsFunc(r.list.Capabilities, same):
		return errCapability
	case !slices.Contains(capabilities, name):
		return errUnknown
	case name == objectFormat && value == "sha256":
		r.digits = sha256Digits
	case name == objectFormat && value != "sha1":
		return errUnknown
	}
	return nil
}

// nameOf is the name of a capability, which ends in an equals sign where it has
// a value.
func nameOf(word string) (name, value string) {
	i := strings.IndexByte(word, '=') + 1
	if i == 0 {
		return word, ""
	}
	return word[:i], word[i:]
}

// isWord reports whether s is printable ASCII without spaces, and not empty.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// command reads an old object name, a new one and a ref.
func (r *listReader) command(content []byte) error {
	n := r.digits
	if len(content) < 2*(n+1) || content[n] != ' ' || content[2*n+1] != ' ' {
		return errCommand
	}
	create, isOld := isZero(content[:n])
	remove, isNew := isZero(content[n+1 : 2*n+1])
	switch {
	case !isOld || !isNew:
		return errCommand
	case create && remove:
		return errNothing
	}
	c := Command{Ref: text.View(content[2*n+2:]), Action: Update}
	if create {
		c.Action = Create
	}
	if remove {
		c.Action = Delete
	}
	r.list.Commands = append(r.list.Commands, c)
	return nil
}

// isZero reports whether an object name is the one of nothing, and whether it
// is one at all.
func isZero(oid []byte) (zero, ok bool) {
	return len(bytes.Trim(oid, "0")) == 0, text.IsGitOID(text.View(oid))
}

// packs are the beginnings of a pack (gitformat-pack).
var packs = [...]string{"PACK\x00\x00\x00\x02", "PACK\x00\x00\x00\x03"}

// end looks at what follows the list: a pack, unless every command deletes.
// Some other text would be a second list to a server that reads on.
func (r *listReader) end(whole bool) error {
	rest := r.data[r.at:]
	adds := slices.ContainsFunc(r.list.Commands, func(c Command) bool { return c.Action != Delete })
	switch {
	case len(r.list.Commands) == 0 && r.at > lengthDigits:
		return errOnlyGrafts
	case adds && len(rest) >= len(packs[0]):
		r.list.Whole = slices.Contains(packs[:], string(rest[:len(packs[0])]))
	case !adds && len(rest) == 0:
		r.list.Whole = whole
		return nil
	case adds && !whole:
		return nil
	}
	if !r.list.Whole {
		return errAfter
	}
	return nil
}

// isRef reports whether a name is one that git takes in a push: it begins with
// refs/, and has two components more. Beyond git's own rules it is UTF-8
// without control characters, as globs and messages are.
func isRef(name string) bool {
	short, ok := strings.CutPrefix(name, "refs/")
	return ok && text.IsRef(short) && utf8.ValidString(name) && !text.HasControl(name)
}

// isRefGlob reports whether a glob can match such a name: who writes agent/**
// means refs/heads/agent/**.
func isRefGlob(pattern string) bool {
	first, _, more := strings.Cut(pattern, "/")
	return first == "refs" && more || strings.Contains(first, "*")
}
