package git

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// fetches judges the requests of fetches, which may have so many bytes before
// and behind their coding. It is safe for concurrent use.
type fetches struct{ most int64 }

// Missing names what a fetch without a body lacks.
func (fetches) Missing() string { return "request" }

// Judge reads what is asked for. All objects of a repository are for whoever
// may fetch from it; what is refused is everything else.
func (f fetches) Judge(b *body.Reading) body.Refusal {
	c := b.Content()
	tooLarge := body.Refusal{Reason: body.TooLarge, Detail: "the request of the fetch is too large: fetch fewer refs at once"}
	if !c.Whole {
		return tooLarge
	}
	data, second := c.Data, false
	for _, field := range b.Fields() {
		switch {
		case text.EqualFold(field.Name, "Content-Encoding") && text.EqualFold(field.Value, "gzip"):
			var err error
			data, err = unzip(c.Data, f.most)
			if errors.Is(err, errLong) {
				return tooLarge
			} else if err != nil {
				return malformed(err)
			}
		case text.EqualFold(field.Name, protocolHeader):
			second = field.Value == version2
		}
	}
	if second {
		return (&request{packets: packets{data: data}}).read()
	}
	return (&negotiation{packets: packets{data: data}}).read()
}

func malformed(err error) body.Refusal {
	return body.Refusal{Reason: body.Malformed, Detail: err.Error()}
}

// errors of a fetch that cannot be read.
var (
	errLong       = errors.New("the request of the fetch is too large")
	errGzip       = errors.New("the request of the fetch is not one whole gzip member")
	errFetch      = errors.New("the request of the fetch is not made of lines that git writes there")
	errFetchAfter = errors.New("something follows the request of the fetch")
)

var unzippers = sync.Pool{New: func() any { return &gzip.Reader{} }}

// unzip decodes one gzip member, which must be all there is: some readers take
// what follows for more of the text, and some do not.
func unzip(data []byte, most int64) ([]byte, error) {
	z := unzippers.Get().(*gzip.Reader)
	defer unzippers.Put(z)
	in := bytes.NewReader(data)
	if z.Reset(in) != nil {
		return nil, errGzip
	}
	z.Multistream(false)
	out, err := io.ReadAll(io.LimitReader(z, most+1))
	switch {
	case err != nil:
		return nil, errGzip
	case int64(len(out)) > most:
		return nil, errLong
	case in.Len() > 0:
		return nil, errGzip
	}
	return out, nil
}

// negotiation reads a fetch of the versions 0 and 1.
type negotiation struct {
	packets
	began bool
}

// words are the first words of lines that versions 0 and 1 have.
var words = []string{"want", "shallow", "deepen", "deepen-since", "deepen-not", "filter", "have"}

// abilities are capabilities that say how objects are sent, and no more.
var abilities = []string{
	"multi_ack", "multi_ack_detailed", "no-done", "thin-pack", "side-band", "side-band-64k", "ofs-delta", "shallow",
	"deepen-since", "deepen-not", "deepen-relative", "no-progress", "include-tag", "filter",
	"allow-tip-sha1-in-want", "allow-reachable-sha1-in-want", objectFormat, "agent=", "session-id=",
}

func (n *negotiation) read() body.Refusal {
	for n.at < len(n.data) {
		content, k := n.next()
		switch k {
		case flushed:
		case line:
			if why := n.line(text.View(chomp(content))); why.Reason != body.Passes {
				return why
			}
		default:
			return malformed(errFetch)
		}
	}
	return body.Refusal{}
}

func (n *negotiation) line(s string) body.Refusal {
	word, rest, _ := strings.Cut(s, " ")
	switch {
	case s == "done":
		return body.Refusal{}
	case !slices.Contains(words, word) || text.HasControl(s):
		return malformed(errFetch)
	case word != "want" || n.began:
		return body.Refusal{}
	}
	n.began = true
	_, asked, _ := strings.Cut(rest, " ")
	for one := range strings.SplitSeq(asked, " ") {
		if name, _ := nameOf(one); one != "" && !slices.Contains(abilities, name) {
			return refused("the fetch asks for " + shown(name) + ", which is not judged")
		}
	}
	return body.Refusal{}
}

// request reads a request of version 2: one command, capabilities, a delimiter,
// arguments.
type request struct {
	packets
	command string
	behind  bool // the delimiter
}

// keys are the capabilities of a command, and arguments what the commands may
// be given. What is missing: server-option, by which the author of the server
// does as he likes; packfile-uris, by which objects come from elsewhere.
var (
	keys      = []string{"agent", "object-format", "session-id"}
	arguments = map[string][]string{
		"ls-refs": {"symrefs", "peel", "ref-prefix", "unborn"},
		"fetch": {
			"want", "have", "done", "thin-pack", "no-progress", "include-tag", "ofs-delta", "shallow", "deepen", "deepen-relative",
			"deepen-since", "deepen-not", "filter", "want-ref", "sideband-all", "wait-for-done",
		},
		"object-info": {"size", "oid"},
	}
)

func (r *request) read() body.Refusal {
	for {
		content, k := r.next()
		switch k {
		case line:
			if why := r.line(text.View(chomp(content))); why.Reason != body.Passes {
				return why
			}
		case delimited:
			if r.behind || r.command == "" {
				return malformed(errFetch)
			}
			r.behind = true
		case flushed:
			if r.at < len(r.data) {
				return malformed(errFetchAfter)
			}
			return body.Refusal{}
		default:
			return malformed(errFetch)
		}
	}
}

func (r *request) line(s string) body.Refusal {
	switch {
	case r.command == "":
		return r.begin(s)
	case r.behind:
		return argument(s, " ", arguments[r.command])
	}
	return argument(s, "=", keys)
}

// begin reads the command, which stands first: git sends it there.
func (r *request) begin(s string) body.Refusal {
	command, found := strings.CutPrefix(s, "command=")
	switch {
	case !found:
		return malformed(errFetch)
	case arguments[command] == nil:
		return refused("the fetch has the command " + shown(command) + ", which is not judged")
	}
	r.command = command
	return body.Refusal{}
}

// argument judges a capability, or behind the delimiter an argument.
func argument(s, separator string, allowed []string) body.Refusal {
	name, _, _ := strings.Cut(s, separator)
	switch {
	case text.HasControl(s):
		return malformed(errFetch)
	case !slices.Contains(allowed, name):
		return refused("the fetch asks for " + shown(name) + ", which is not judged")
	}
	return body.Refusal{}
}
