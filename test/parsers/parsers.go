// Package parsers reads requests with parsers that have nothing in common with
// ours and nothing with each other: net/http with net/url, fasthttp, and for
// targets one that follows the WHATWG's URL standard, as browsers and most
// JavaScript servers do. What they read differently, an upstream may read
// differently from what was judged.
package parsers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
	"github.com/valyala/fasthttp"
)

// A Message is what a request says.
type Message struct {
	Method string
	Path   string // decoded
	Query  []Pair // decoded; of one name in their order, names sorted
	Body   string
}

// Pair is one pair of a query.
type Pair struct{ Name, Value string }

// most bounds the bodies that are read.
const most = 64 << 20

// Read reads all requests of a connection with every parser. The error says
// what they read differently, or that one of them cannot read it.
func Read(raw []byte) ([]Message, error) {
	one, targets, err := withNet(raw)
	if err != nil {
		return nil, fmt.Errorf("net/http: %w", err)
	}
	other, err := withFast(raw)
	if err != nil {
		return nil, fmt.Errorf("fasthttp: %w", err)
	}
	if len(one) != len(other) {
		return nil, fmt.Errorf("net/http reads %d requests and fasthttp %d", len(one), len(other))
	}
	for i := range one {
		if err := agree(&one[i], &other[i], "fasthttp"); err != nil {
			return nil, err
		}
		third, err := withStandard(targets[i])
		if err != nil {
			return nil, fmt.Errorf("by the WHATWG's standard: %w", err)
		}
		third.Method, third.Body = one[i].Method, one[i].Body
		if err := agree(&one[i], &third, "the WHATWG's standard"); err != nil {
			return nil, err
		}
	}
	return one, nil
}

func agree(a, b *Message, who string) error {
	switch {
	case a.Method != b.Method:
		return fmt.Errorf("net/http reads the method %q and %s %q", a.Method, who, b.Method)
	case a.Path != b.Path:
		return fmt.Errorf("net/http reads the path %q and %s %q", a.Path, who, b.Path)
	case !slices.Equal(a.Query, b.Query):
		return fmt.Errorf("net/http reads the query %q and %s %q", a.Query, who, b.Query)
	case a.Body != b.Body:
		return fmt.Errorf("net/http reads a body of %d bytes and %s one of %d", len(a.Body), who, len(b.Body))
	}
	return nil
}

func sorted(pairs []Pair) []Pair {
	slices.SortStableFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

func withNet(raw []byte) (out []Message, targets []string, err error) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for {
		if _, err := in.Peek(1); errors.Is(err, io.EOF) {
			return out, targets, nil
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			return nil, nil, err
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, most))
		if err != nil {
			return nil, nil, err
		}
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, nil, err
		}
		m := Message{Method: r.Method, Path: r.URL.Path, Body: string(body)}
		for name, list := range values {
			for _, v := range list {
				m.Query = append(m.Query, Pair{name, v})
			}
		}
		m.Query = sorted(m.Query)
		out, targets = append(out, m), append(targets, r.RequestURI)
	}
}

func withFast(raw []byte) ([]Message, error) {
	var out []Message
	in := bufio.NewReaderSize(bytes.NewReader(raw), max(len(raw), 4096))
	for {
		if _, err := in.Peek(1); errors.Is(err, io.EOF) {
			return out, nil
		}
		var r fasthttp.Request
		if err := r.ReadLimitBody(in, most); err != nil {
			return nil, err
		}
		m := Message{Method: string(r.Header.Method()), Path: string(r.URI().Path()), Body: string(r.Body())}
		for name, value := range r.URI().QueryArgs().All() {
			m.Query = append(m.Query, Pair{string(name), string(value)})
		}
		m.Query = sorted(m.Query)
		out = append(out, m)
	}
}

// withStandard reads a target. One that the standard would write otherwise is
// an error.
func withStandard(target string) (Message, error) {
	u, err := whatwg.Parse("https://upstream.example" + target)
	if err != nil {
		return Message{}, err
	}
	if again := u.Pathname() + u.Search(); again != target {
		return Message{}, fmt.Errorf("the target %q is written %q", target, again)
	}
	m := Message{Path: decoded(u.Pathname())}
	// The module's own reader of pairs takes %2B for a space; the standard
	// (URL, section 5.1) replaces plus signs first.
	for pair := range strings.SplitSeq(u.Query(), "&") {
		if name, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "="); pair != "" {
			m.Query = append(m.Query, Pair{decoded(name), decoded(value)})
		}
	}
	m.Query = sorted(m.Query)
	return m, nil
}

// decoded replaces every triplet by its byte.
func decoded(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
