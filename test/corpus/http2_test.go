package corpus

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveHTTP2 answers calls of gRPC on a connection on which HTTP/2 was agreed
// on, and reports whether it was.
func (u *upstream) serveHTTP2(conn net.Conn) bool {
	c, secured := conn.(*tls.Conn)
	if !secured || c.Handshake() != nil || c.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		return false
	}
	//nolint:staticcheck // SA1019: it serves one connection, which http.Server does not
	new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{Handler: http.HandlerFunc(u.answerCall)})
	return true
}

// answerCall records a call in the spelling of HTTP/1.1, and answers with a
// message that holds the mark.
func (u *upstream) answerCall(w http.ResponseWriter, in *http.Request) {
	r := upstreamRequest{line: in.Method + " " + in.RequestURI + " HTTP/1.1"}
	r.body, _ = io.ReadAll(in.Body)
	r.headers = [][2]string{{"Host", in.Host}, {"Content-Length", strconv.Itoa(len(r.body))}}
	delete(in.Header, "Content-Length") // which HTTP/2 does not need
	for _, name := range slices.Sorted(maps.Keys(in.Header)) {
		for _, value := range in.Header[name] {
			r.headers = append(r.headers, [2]string{name, value})
		}
	}
	if !requestLine.MatchString(r.line) {
		r.defect = fmt.Sprintf("request line %q", r.line)
	}
	text := r.line + "\r\n"
	for _, h := range r.headers {
		text += h[0] + ": " + h[1] + "\r\n"
	}
	raw := append([]byte(text+"\r\n"), r.body...)
	r.length = len(raw)
	u.mu.Lock()
	u.bytes, u.requests = append(u.bytes, raw...), append(u.requests, r)
	message := `{"mark":"` + u.mark + `"}`
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(append([]byte{0, 0, 0, 0, byte(len(message))}, message...))
	w.Header().Set("Grpc-Status", "0")
}

// isHTTP2 tells a request that is written as a header list.
func (c *testCase) isHTTP2() bool { return c.HTTP2Headers != nil }

// streams are the requests of a case that goes over HTTP/2, each a header list
// with a body.
func (c *testCase) streams() (all []*testCase) {
	if c.after != nil {
		all = append(all, c.after)
	}
	return append(all, c)
}

// converseHTTP2 plays the agent: it writes the requests as they are and reads
// until each stream has ended, or the connection.
func (i *instance) converseHTTP2(e *evidence, c *testCase) error {
	conn, err := i.network.dial(i.address)
	if err != nil {
		return fmt.Errorf("connecting to the listener: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(answerLimit))
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	open := map[uint32]*answer{}
	for n, one := range c.streams() {
		block.Reset()
		for _, field := range one.HTTP2Headers {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: fill(field[1], i.values), Sensitive: true})
		}
		id := uint32(2*n + 1) //nolint:gosec // G115: two at most
		open[id] = &answer{header: http.Header{}}
		data := wire(fill(one.HTTP2Data, i.values))
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: one.Continuations == 0, EndStream: len(data) == 0})
		block.Reset()
		_ = encoder.WriteField(hpack.HeaderField{Name: "x-padding", Value: strings.Repeat("~", 8000), Sensitive: true})
		for range one.Continuations {
			_ = framer.WriteContinuation(id, false, block.Bytes())
		}
		if len(data) > 0 {
			_ = framer.WriteData(id, true, data)
		}
	}
	var writing sync.WaitGroup
	writing.Go(func() { write(conn, out.Bytes(), c.piece) })
	whole := e.readStreams(framer, open)
	_ = conn.Close()
	writing.Wait()
	for _, id := range slices.Sorted(maps.Keys(whole)) {
		e.answers = append(e.answers, *whole[id])
	}
	return nil
}

// readStreams reads until every stream has ended, or the connection, and returns
// the answers that are whole.
func (e *evidence) readStreams(framer *http2.Framer, open map[uint32]*answer) map[uint32]*answer {
	whole := map[uint32]*answer{}
	for len(open) > 0 {
		frame, err := framer.ReadFrame()
		if err != nil {
			timeout := net.Error(nil)
			e.closed = e.closed || !errors.As(err, &timeout) || !timeout.Timeout()
			return whole
		}
		of := frame.Header().StreamID
		a, ended := open[of], false
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			ended = f.StreamEnded()
			for _, field := range f.Fields {
				e.received = fmt.Appendf(e.received, "%s: %s\r\n", field.Name, field.Value)
				a.header.Add(field.Name, field.Value)
			}
		case *http2.DataFrame:
			ended = f.StreamEnded()
			e.received, a.body = append(e.received, f.Data()...), append(a.body, f.Data()...)
		case *http2.RSTStreamFrame:
			e.closed = true
			delete(open, of)
		case *http2.GoAwayFrame:
			e.closed = true
			return whole
		}
		if ended {
			delete(open, of)
			a.status, _ = strconv.Atoi(strings.Join(a.header.Values(":status"), ""))
			whole[of] = a
		}
	}
	return whole
}

// grpcStatus is that of an answer to a call; empty: it is none.
func (a *answer) grpcStatus() string { return a.header.Get("Grpc-Status") }

// permissionDenied is the status of a call that is not granted.
const permissionDenied = "7"

// statusOfCall checks the form of a refusal that a client of gRPC reads.
func statusOfCall(c *testCase, a *answer) error {
	if c.Refusal != "grpc" {
		return nil
	}
	for _, name := range []string{"Grpc-Message", "Sallyport-Reason", "Sallyport-Request-Id"} {
		if a.header.Get(name) == "" {
			return fmt.Errorf("the refusal has no %s", name)
		}
	}
	if a.status != http.StatusOK || a.grpcStatus() != permissionDenied || len(a.body) > 0 {
		return fmt.Errorf("refused with %d and grpc-status %q, want 200 and %s", a.status, a.grpcStatus(), permissionDenied)
	}
	return nil
}

// unspoken tells a refusal of HTTP/2 itself, before there is a request to
// record.
func (e *evidence) unspoken(c *testCase) bool {
	return c.isHTTP2() && (len(e.answers) == 0 || e.answers[0].grpcStatus() == "")
}
