package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
)

type deedsKey struct{}

// did records what a request asks to be done to a ref, as the server has
// understood it, whether or not it can be done.
func did(r *http.Request, what, ref string) {
	if all, ok := r.Context().Value(deedsKey{}).(*[]string); ok {
		*all = append(*all, what+" "+ref)
	}
}

// withDeeds returns r with a place for what it asks for.
func withDeeds(r *http.Request) (*http.Request, *[]string) {
	all := &[]string{}
	return r.WithContext(context.WithValue(r.Context(), deedsKey{}, all)), all
}

// commands records the commands of a push, and hands it on as it came.
func commands(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			body := bufio.NewReader(r.Body)
			var read bytes.Buffer
			for {
				line, ok := packet(io.TeeReader(body, &read))
				if !ok {
					break
				}
				command(r, line)
			}
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(&read, body), r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

// packet reads one packet of git's protocol; not ok: there is none, or a flush.
func packet(r io.Reader) (text string, ok bool) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return "", false
	}
	n, err := strconv.ParseUint(string(size[:]), 16, 16)
	if err != nil || n < uint64(len(size)) {
		return "", false
	}
	body := make([]byte, n-uint64(len(size)))
	_, err = io.ReadFull(r, body)
	return string(body), err == nil
}

// command records one command of a push: old, new and ref.
func command(r *http.Request, line string) {
	line, _, _ = strings.Cut(line, "\x00")
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return // shallow, or what git will refuse
	}
	none := func(oid string) bool { return strings.Trim(oid, "0") == "" }
	switch {
	case none(fields[1]):
		did(r, "delete", fields[2])
	case none(fields[0]):
		did(r, "create", fields[2])
	default:
		did(r, "update", fields[2])
	}
}
