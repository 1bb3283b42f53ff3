package git_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// FuzzFetch: a fetch that is allowed is, to a reader of git's own description, one
// request to its end, of a command and arguments that bring objects of the
// repository from the upstream and nothing else; behind gzip to whoever reads all
// members, too.
func FuzzFetch(f *testing.F) {
	for _, seed := range []string{
		packets("command=fetch", "agent=git/2.47.0", "0001", "thin-pack", "want "+oidA, "done", "0000"),
		packets("command=ls-refs", "0001", "peel", "symrefs", "ref-prefix refs/heads/", "0000"),
		packets("command=fetch", "server-option=x", "0001", "packfile-uris https", "0000"),
		packets("command=fetch", "0000") + packets("command=bundle-uri", "0000"),
		packets("want "+oidA+" multi_ack_detailed agent=git/2.47.0\n", "deepen 1\n", "0000", "have "+oidA+"\n", "0000", "done\n"),
		"0004" + packets("want "+oidA+" teleport", "0000"), "0000", "0005\n", "0004",
	} {
		for _, second := range []bool{false, true} {
			f.Add([]byte(seed), second, false)
			f.Add([]byte(zipped(seed)), second, true)
		}
	}
	p := policy(f, scope.Profile{}, nil)
	f.Fuzz(func(t *testing.T, data []byte, second, coded bool) {
		h := post("git-upload-pack", map[bool]string{true: "version=2"}[second])
		if coded {
			h.Fields = append(h.Fields, scope.Field{Name: "Content-Encoding", Value: "gzip"})
		}
		if d, _ := ask(t, p, h, string(data), nil); d.Verdict != scope.Allow || len(data) == 0 {
			return
		}
		text := data
		if coded {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("%q is allowed, and is not gzip: %v", data, err)
			}
			if text, err = io.ReadAll(z); err != nil { // all members
				t.Fatalf("%q is allowed, and is not whole: %v", data, err)
			}
		}
		lines, ok := lineList(text)
		if !ok {
			t.Fatalf("%q is allowed, and is not made of packets", text)
		}
		if why := beyond(lines, second); why != "" {
			t.Fatalf("%q is allowed: %s", text, why)
		}
	})
}

// lineList reads packets as gitprotocol-common has them; a flush and a delimiter
// stand as "0000" and "0001".
func lineList(text []byte) (lines []string, ok bool) {
	for len(text) > 0 {
		if len(text) < 4 {
			return nil, false
		}
		n, err := strconv.ParseUint(string(text[:4]), 16, 16)
		switch {
		case err == nil && n < 2:
			lines, text = append(lines, string(text[:4])), text[4:]
			continue
		case err != nil || n < 4 || n > 65520 || int(n) > len(text):
			return nil, false
		}
		lines, text = append(lines, "="+strings.TrimSuffix(string(text[4:n]), "\n")), text[n:]
	}
	return lines, true
}

// beyond says what of a request is not what fetching is.
func beyond(lines []string, second bool) string {
	all := strings.Join(lines, "|")
	for _, foreign := range []string{"=server-option", "=packfile-uris", "=command=bundle-uri", "=bundle-uri"} {
		if strings.Contains("|"+all, "|"+foreign) {
			return "it asks for " + foreign
		}
	}
	if second {
		if lines[len(lines)-1] != "0000" || slices.Index(lines, "0000") != len(lines)-1 {
			return "it is not one request"
		}
		if len(lines) == 1 {
			return "" // a flush alone ends what never began
		}
		if !slices.Contains([]string{"=command=ls-refs", "=command=fetch", "=command=object-info"}, lines[0]) {
			return "its command is " + lines[0]
		}
		return ""
	}
	for _, l := range lines {
		word, _, _ := strings.Cut(l, " ")
		if !slices.Contains([]string{"0000", "=want", "=have", "=done", "=shallow", "=deepen", "=deepen-since", "=deepen-not", "=filter"}, word) {
			return "it has the line " + l
		}
	}
	return ""
}
