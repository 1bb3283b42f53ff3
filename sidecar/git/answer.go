// Package git puts refusals into the words of git's protocol, so that git shows
// them to whoever called it.
//
// For the refs of a repository git prints the text of an answer that fails
// (http.c). For a call of a service it prints nothing but the status of one, so
// that a client that says it takes the service's result gets it: the report of
// a push, in which every ref was rejected, or an ERR packet.
package git

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/git"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// A Request is what is known of a refused request. The zero Request is none of
// git.
type Request struct {
	Method, Path string // the path in canonical form
	Accept       string
	Body         []byte // as far as it was read
}

// A Refusal is why it was refused, as other clients would be told.
type Refusal struct {
	Status int
	Title  string
	Detail string
	Reason string
	ID     string // of the record
}

// An Answer is what git is told. The zero Answer is none: the request was not
// one of git.
type Answer struct {
	Status    int
	MediaType string
	Body      []byte
}

// Tell puts a refusal into an answer. A request that cannot be read has no
// result, and one without a token is to be asked for it.
func Tell(r *Request, why *Refusal) Answer {
	repo, ending := git.Split(r.Path)
	fails := !takesResult(r.Accept, ending) || why.Status == 400 || why.Status == 401
	switch {
	case repo == "":
		return Answer{}
	case !fails && r.Method == "POST" && ending == fetchService:
		return Answer{200, resultType(ending), packet(nil, "ERR ", why.sentence())}
	case !fails && Reports(r):
		return Answer{200, resultType(ending), why.report(r.Body)}
	}
	return Answer{why.Status, "text/plain; charset=utf-8", []byte(why.sentence() + "\n")}
}

const (
	fetchService = "git-upload-pack"
	pushService  = "git-receive-pack"
)

// Reports reports whether a request is a push whose client wants to be told what
// became of each ref, and how. Git reads that when it has sent all of the pack.
func Reports(r *Request) bool {
	_, ending := git.Split(r.Path)
	if r.Method != "POST" || ending != pushService || !takesResult(r.Accept, ending) {
		return false
	}
	list := listOf(r.Body)
	return len(list.Commands) > 0 && (list.Asks("report-status") || list.Asks("report-status-v2"))
}

// listOf reads the list of a push, as far as it goes.
func listOf(body []byte) git.List {
	list, _ := git.ReadList(body, false) // what is wrong with it was told
	return list
}

func (w *Refusal) sentence() string {
	return fmt.Sprintf("sallyport: %s: %s (%s, request %s)", w.Title, w.Detail, w.Reason, w.ID)
}

func resultType(service string) string { return "application/x-" + service + "-result" }

// takesResult reports whether a client says that it reads the results of a
// service. Clients that list everything do not mean git.
func takesResult(accept, service string) bool {
	for one := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(one, ";")
		if text.EqualFold(strings.TrimSpace(name), resultType(service)) {
			return true
		}
	}
	return false
}

// report is the report of a push in which every ref was rejected.
func (w *Refusal) report(body []byte) []byte {
	list := listOf(body)
	report := packet(nil, "unpack ok\n")
	for i := range list.Commands {
		report = packet(report, "ng ", line(list.Commands[i].Ref), " sallyport: ", line(w.Detail), "\n")
	}
	report = append(report, flush...)
	if !list.Asks("side-band-64k") {
		return report
	}
	out := packet(nil, progress, w.sentence(), "\n")
	for len(report) > 0 {
		n := min(len(report), mostContent-len(result))
		out = packet(out, result, string(report[:n]))
		report = report[n:]
	}
	return append(out, flush...)
}

// Bands of an answer (gitprotocol-pack), and the packet that ends one.
const (
	result   = "\x01"
	progress = "\x02"
	flush    = "0000"
)

// mostContent is what one packet can hold.
const mostContent = 65520 - 4

// packet appends a packet, cut to what one can hold.
func packet(dst []byte, parts ...string) []byte {
	content := strings.Join(parts, "")
	content = content[:min(len(content), mostContent)]
	return append(fmt.Appendf(dst, "%04x", len(content)+4), content...)
}

// line returns s without what would end a line, or a ref, early.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
