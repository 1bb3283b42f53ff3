package corpus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// response is what the upstream answers instead of its usual answer.
type response struct {
	parts  [][]byte // each written on its own
	before []byte
	byByte bool
	keep   bool // the connection can go on
}

// before is what the upstream writes ahead of its answer.
type before struct {
	Text  string
	Times int
}

// response returns what the case wants the upstream to answer, or nil.
func (c *testCase) response(values map[string]string) (*response, error) {
	if c.Response == "" {
		return nil, nil
	}
	head, body, _ := strings.Cut(string(wire(fill(c.Response, values))), "\r\n\r\n")
	switch c.Coding {
	case "":
	case "gzip":
		head, body = head+"\r\nContent-Encoding: gzip", zipped(body)
	default:
		return nil, fmt.Errorf("the coding %q is not known", c.Coding)
	}
	if c.Pace != "" && c.Pace != "byte" {
		return nil, fmt.Errorf("the pace %q is not known", c.Pace)
	}
	head = strings.ReplaceAll(head, "{{len}}", strconv.Itoa(len(body)))
	r := &response{parts: parts(head+"\r\n\r\n"+body, values["REAL"]), byByte: c.Pace == "byte"}
	lower := strings.ToLower(head)
	r.keep = strings.Count(lower, "\r\ncontent-length:") == 1 || strings.Contains(lower, "\r\ntransfer-encoding: chunked")
	if c.Before != nil {
		r.before = bytes.Repeat(wire(c.Before.Text), c.Before.Times)
	}
	return r, nil
}

var halfMark = regexp.MustCompile(`\{\{chunk:REAL:([12])/2\}\}`)

// parts makes a chunk of each mark for a half of the key, written on its own.
func parts(text, key string) [][]byte {
	halves := map[string]string{"1": key[:len(key)/2], "2": key[len(key)/2:]}
	var all [][]byte
	rest := 0
	for _, at := range halfMark.FindAllStringSubmatchIndex(text, -1) {
		half := halves[text[at[2]:at[3]]]
		all = append(all, []byte(text[rest:at[0]]), fmt.Appendf(nil, "%x\r\n%s\r\n", len(half), half))
		rest = at[1]
	}
	return append(all, []byte(text[rest:]))
}

func zipped(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = io.WriteString(z, text) // to memory
	_ = z.Close()
	return out.String()
}

// write answers, each part on its own: the network may still join them.
func (r *response) write(to io.Writer) error {
	_, err := to.Write(r.before)
	for _, part := range r.parts {
		size := max(1, len(part))
		if r.byByte {
			size = 1
		}
		for len(part) > 0 && err == nil {
			_, err = to.Write(part[:size])
			part = part[min(size, len(part)):]
		}
	}
	if err == nil && !r.keep {
		err = io.EOF
	}
	return err
}

// script sets what the upstream answers from now on; nil: as usual.
func (u *upstream) script(r *response) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scripted = r
}

// seen is all that a client can make of what it received.
func (e *evidence) seen() string {
	all := string(e.received)
	for _, a := range e.answers {
		all += "\n" + string(a.decoded())
	}
	return all
}

// decoded is the body of an answer as a client reads it.
func (a *answer) decoded() []byte {
	if a.header.Get("Content-Encoding") != "gzip" {
		return a.body
	}
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		return a.body
	}
	text, _ := io.ReadAll(z) // as far as it can be read
	return text
}

// usual is the answer of an upstream without a script.
func usual(mark string, r *upstreamRequest) string {
	if strings.Contains(r.line, " /mcp ") {
		return mcpAnswer(mark, r)
	}
	body := `{"id":"` + mark + `","mark":"` + mark + `"}` // id: what is kept where an answer is cut
	return fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", http.StatusOK, len(body), body)
}
