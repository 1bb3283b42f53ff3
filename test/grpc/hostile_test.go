package grpc

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// hostile are header lists that must not get a call through, each for one
// reason.
var hostile = map[string]struct {
	why    string
	fields func() [][2]string
	data   []byte
	code   string // where the call is judged; empty: HTTP/2 itself ends it
	reason scope.Reason
}{
	"upper case":          {"RFC 9113, 8.2.1", func() [][2]string { return append(good(), [2]string{"X-Tenant", "a"}) }, nothing, "", ""},
	"colon in a name":     {"another reader takes it for two", func() [][2]string { return append(good(), [2]string{"x-tenant:", "a"}) }, nothing, "", ""},
	"space in a name":     {"another reader cuts it off", func() [][2]string { return append(good(), [2]string{"x-tenant ", "a"}) }, nothing, "", ""},
	"empty name":          {"there is none", func() [][2]string { return append(good(), [2]string{"", "a"}) }, nothing, "", ""},
	"line end in a value": {"it would begin another field", func() [][2]string { return append(good(), [2]string{"x-tenant", "a\r\nx-other: b"}) }, nothing, "", ""},
	"LF in a value":       {"the same", func() [][2]string { return append(good(), [2]string{"x-tenant", "a\nb"}) }, nothing, "", ""},
	"NUL in a value":      {"some readers end it there", func() [][2]string { return append(good(), [2]string{"x-tenant", "a\x00b"}) }, nothing, "", ""},
	"space around":        {"some readers cut it off", func() [][2]string { return append(good(), [2]string{"x-tenant", " a"}) }, nothing, "3", scope.Malformed},
	"space behind":        {"some readers cut it off", func() [][2]string { return append(good(), [2]string{"authorization", "x "}) }, nothing, "3", scope.Malformed},
	"late pseudo": {"RFC 9113, 8.3", func() [][2]string {
		return append(without(good(), ":path"), [2]string{":path", "/" + service + "/UnaryCall"})
	}, nothing, "", ""},
	"two paths":         {"readers choose", func() [][2]string { return append([][2]string{{":path", "/" + service + "/UnaryCall"}}, good()...) }, nothing, "", ""},
	"two methods":       {"readers choose", func() [][2]string { return append([][2]string{{":method", "GET"}}, good()...) }, nothing, "", ""},
	"two authorities":   {"readers choose", func() [][2]string { return append([][2]string{{":authority", "example.com"}}, good()...) }, nothing, "", ""},
	"unknown pseudo":    {"RFC 9113, 8.3", func() [][2]string { return append([][2]string{{":other", "a"}}, good()...) }, nothing, "", ""},
	"status":            {"it is of answers", func() [][2]string { return append([][2]string{{":status", "200"}}, good()...) }, nothing, "", ""},
	"no path":           {"nothing is asked for", func() [][2]string { return without(good(), ":path") }, nothing, "", ""},
	"no method":         {"nothing is asked for", func() [][2]string { return without(good(), ":method") }, nothing, "", ""},
	"no scheme":         {"RFC 9113, 8.3.1", func() [][2]string { return without(good(), ":scheme") }, nothing, "", ""},
	"mixed scheme":      {"CVE-2023-35944", func() [][2]string { return with(good(), ":scheme", "HTTP") }, nothing, "", ""},
	"other scheme":      {"nobody speaks it here", func() [][2]string { return with(good(), ":scheme", "ftp") }, nothing, "", ""},
	"connection":        {"RFC 9113, 8.2.2", func() [][2]string { return append(good(), [2]string{"connection", "x-tenant"}) }, nothing, "", ""},
	"keep-alive":        {"RFC 9113, 8.2.2", func() [][2]string { return append(good(), [2]string{"keep-alive", "1"}) }, nothing, "", ""},
	"proxy-connection":  {"RFC 9113, 8.2.2", func() [][2]string { return append(good(), [2]string{"proxy-connection", "close"}) }, nothing, "", ""},
	"transfer-encoding": {"RFC 9113, 8.2.2", func() [][2]string { return append(good(), [2]string{"transfer-encoding", "chunked"}) }, nothing, "", ""},
	"upgrade":           {"RFC 9113, 8.2.2", func() [][2]string { return append(good(), [2]string{"upgrade", "websocket"}) }, nothing, "", ""},
	"te":                {"RFC 9113, 8.2.2", func() [][2]string { return with(good(), "te", "gzip") }, nothing, "", ""},
	"te twice":          {"the same", func() [][2]string { return append(good(), [2]string{"te", "gzip"}) }, nothing, "", ""},
	"CONNECT": {"it asks for a tunnel", func() [][2]string {
		return [][2]string{{":method", "CONNECT"}, {":authority", "example.com:443"}, {"content-type", "application/grpc"}}
	}, nil, "3", scope.Malformed},
	"CONNECT with path": {"it asks for a tunnel", func() [][2]string { return with(good(), ":method", "CONNECT") }, nothing, "", ""},
	"extended CONNECT": {"it asks for a WebSocket", func() [][2]string {
		return append([][2]string{{":protocol", "websocket"}}, with(good(), ":method", "CONNECT")...)
	}, nothing, "", ""},
	"OPTIONS *":       {"it is about the server", func() [][2]string { return with(with(good(), ":method", "OPTIONS"), ":path", "*") }, nil, "3", scope.Malformed},
	"other authority": {"it is meant for somebody else", func() [][2]string { return with(good(), ":authority", "evil.example") }, nothing, "3", scope.Malformed},
	"userinfo":        {"RFC 9113, 8.3.1", func() [][2]string { return with(good(), ":authority", "a@example.com") }, nothing, "", ""},
	"no authority":    {"whom it is meant for is not known", func() [][2]string { return without(good(), ":authority") }, nothing, "3", scope.Malformed},
	"other host":      {"readers choose", func() [][2]string { return append(good(), [2]string{"host", "evil.example"}) }, nothing, "3", scope.Malformed},
	"two hosts": {"readers choose", func() [][2]string {
		return append(good(), [2]string{"host", "example.com"}, [2]string{"host", "example.com"})
	}, nothing, "3", scope.Malformed},
	"no such length": {"it is no number", func() [][2]string { return append(good(), [2]string{"content-length", "+5"}) }, nil, "3", scope.Malformed},
	"two lengths": {"readers choose", func() [][2]string {
		return append(good(), [2]string{"content-length", "5"}, [2]string{"content-length", "5"})
	}, nothing, "3", scope.Malformed},
	"expect":               {"nobody knows it", func() [][2]string { return append(good(), [2]string{"expect", "more"}) }, nothing, "3", scope.Malformed},
	"relative path":        {"CVE-2026-33186", func() [][2]string { return with(good(), ":path", service+"/UnaryCall") }, nothing, "", ""},
	"absolute path":        {"readers differ", func() [][2]string { return with(good(), ":path", "http://example.com/"+service+"/UnaryCall") }, nothing, "3", scope.Malformed},
	"two slashes":          {"readers differ", func() [][2]string { return with(good(), ":path", "//"+service+"/UnaryCall") }, nothing, "3", scope.Malformed},
	"dot segment":          {"readers differ", func() [][2]string { return with(good(), ":path", "/x/../"+service+"/UnaryCall") }, nothing, "3", scope.Malformed},
	"encoded slash":        {"readers differ", func() [][2]string { return with(good(), ":path", "/"+service+"%2fUnaryCall") }, nothing, "3", scope.Malformed},
	"encoded twice":        {"readers differ", func() [][2]string { return with(good(), ":path", "/"+service+"/Unary%2543all") }, nothing, "3", scope.Malformed},
	"fragment":             {"readers differ", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall#a") }, nothing, "3", scope.Malformed},
	"semicolon":            {"readers differ", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall;a=b") }, nothing, "3", scope.Malformed},
	"space in the path":    {"it would end the request line", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall HTTP/1.1") }, nothing, "3", scope.Malformed},
	"line end in the path": {"it would begin a field", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall\r\nx: y") }, nothing, "", ""},
	"query":                {"a call has none", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall?a=b") }, nothing, "7", scope.ParameterRefused},
	"trailing slash":       {"another path", func() [][2]string { return with(good(), ":path", "/"+service+"/UnaryCall/") }, nothing, "7", scope.OutOfScope},
	"other method":         {"a call is a POST", func() [][2]string { return with(good(), ":method", "PUT") }, nothing, "7", scope.OutOfScope},
	"lower method":         {"names of methods have letter case", func() [][2]string { return with(good(), ":method", "post") }, nothing, "7", scope.OutOfScope},
	"method override":      {"some servers take it over the other", func() [][2]string { return append(good(), [2]string{"x-http-method-override", "DELETE"}) }, nothing, "7", scope.ParameterRefused},
	"rewritten path":       {"some servers take it over the other", func() [][2]string { return append(good(), [2]string{"x-original-url", "/x"}) }, nothing, "7", scope.ParameterRefused},
	"two tokens":           {"one would be looked at", func() [][2]string { return append(good(), [2]string{"authorization", "Bearer x"}) }, nothing, "3", scope.Malformed},
	"no token":             {"who asks is not known", func() [][2]string { return without(good(), "authorization") }, nothing, "7", scope.Unauthenticated},
	"another's token":      {"it is not the agent's", func() [][2]string { return with(good(), "authorization", "Bearer spt_other") }, nothing, "7", scope.Unauthenticated},
	"two media":            {"servers choose", func() [][2]string { return append(good(), [2]string{"content-type", "application/json"}) }, nothing, "7", scope.ParameterRefused},
	"parameter":            {"servers differ", func() [][2]string { return with(good(), "content-type", "application/grpc; a=b") }, nothing, "7", scope.ParameterRefused},
	"second spelling":      {"some servers take it for the listed one", func() [][2]string { return append(good(), [2]string{"x_tenant", "a"}) }, nothing, "7", scope.ParameterRefused},
	"a wrong timeout":      {"servers differ", func() [][2]string { return append(good(), [2]string{"grpc-timeout", "1h"}) }, nothing, "7", scope.ParameterRefused},
	"two timeouts": {"servers choose", func() [][2]string {
		return append(good(), [2]string{"grpc-timeout", "1S"}, [2]string{"grpc-timeout", "2S"})
	}, nothing, "7", scope.ParameterRefused},
}

// TestHostileHeads: nothing of a hostile head gets to the upstream, and a good
// call passes behind each.
func TestHostileHeads(t *testing.T) {
	w := newWorld(t)
	control := w.client(handle)
	for name, test := range hostile {
		t.Run(name, func(t *testing.T) {
			before, records := len(w.service.seen()), len(w.recorded())
			r := w.raw()
			got := r.await(r.open(test.fields(), test.data, true))
			if !got.refused() || got.status() != test.code || got.fields["sallyport-reason"] != string(test.reason) {
				t.Errorf("%s: got %+v", test.why, got)
			}
			if len(w.service.seen()) != before {
				t.Errorf("%s: it reached the upstream", test.why)
			}
			if all := w.recorded(); test.code != "" && (len(all) != records+1 || all[records].Reason != string(test.reason)) {
				t.Errorf("%s: recorded %+v", test.why, all[records:])
			}
			if _, err := control.EmptyCall(within(t), &testpb.Empty{}); err != nil {
				t.Errorf("%s: behind it, %v", test.why, err)
			}
		})
	}
}

// TestWrongLength: a length that is wrong shows behind the head, which has gone
// upstream then. The call does not look whole there.
func TestWrongLength(t *testing.T) {
	w := newWorld(t)
	for length, want := range map[string]string{"6": "3", "4": ""} { // net/http resets what is longer than it says
		r := w.raw()
		got := r.await(r.open(append(with(good(), ":path", "/"+service+"/StreamingInputCall"), [2]string{"content-length", length}), nothing, true))
		if !got.refused() || got.status() != want {
			t.Errorf("%s bytes: got %+v", length, got)
		}
	}
}

// TestControl: the head that the hostile ones are made of passes, and so do
// odd ones.
func TestControl(t *testing.T) {
	w := newWorld(t)
	for name, fields := range map[string][][2]string{
		"good": good(), "the listener": with(good(), ":authority", w.address), "https": with(good(), ":scheme", "https"),
		"a host": append(good(), [2]string{"host", "example.com"}), "a length": append(good(), [2]string{"content-length", "5"}),
		"no te": without(good(), "te"), "encoded": with(good(), ":path", "/"+service+"/Unary%43all"),
		"proto": with(good(), "content-type", "application/grpc+proto"), "a timeout": append(good(), [2]string{"grpc-timeout", "10S"}),
		"continue": append(good(), [2]string{"expect", "100-continue"}),
	} {
		r := w.raw()
		if got := r.await(r.open(fields, nothing, true)); got.refused() || got.status() != "0" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	for _, c := range w.service.seen() {
		if c.method != "/"+service+"/UnaryCall" || len(c.md.Get("te")) > 0 && c.md.Get("te")[0] != "trailers" {
			t.Errorf("the upstream got %+v", c)
		}
	}
}

// TestHostileMessages: what is delimited wrongly is not passed on as whole.
func TestHostileMessages(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.BodyBytes = 100 })
	for name, test := range map[string]struct {
		why    string
		data   []byte
		code   string
		reason scope.Reason
	}{
		"cut":         {"the rest of it never comes", []byte{0, 0, 0, 0, 9, 'a'}, "3", scope.Malformed},
		"cut prefix":  {"the rest of it never comes", []byte{0, 0, 0}, "3", scope.Malformed},
		"flag":        {"gRPC has two", []byte{2, 0, 0, 0, 0}, "3", scope.Malformed},
		"web":         {"trailers of another protocol", []byte{0x80, 0, 0, 0, 0}, "3", scope.Malformed},
		"compressed":  {"nobody says how", []byte{1, 0, 0, 0, 0}, "3", scope.Malformed},
		"large":       {"it has a bound", append([]byte{0, 0, 0, 0, 101}, make([]byte, 101)...), "7", scope.TooLarge},
		"huge":        {"it is refused before it is read", []byte{0, 0xff, 0xff, 0xff, 0xff}, "7", scope.TooLarge},
		"second":      {"each is looked at", append(bytes.Clone(nothing), 3, 0, 0, 0, 0), "3", scope.Malformed},
		"not of gRPC": {"a request in text", []byte("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), "3", scope.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.raw()
			got := r.await(r.open(with(good(), ":path", "/"+service+"/StreamingInputCall"), test.data, true))
			if got.status() != test.code || got.fields["sallyport-reason"] != string(test.reason) {
				t.Errorf("%s: got %+v", test.why, got)
			}
		})
	}
}

// TestNoCalls: who means no call is told in the words of HTTP.
func TestNoCalls(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		why    string
		fields [][2]string
		status string
	}{
		"a request": {"it is granted over HTTP/1.1", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/notes"}, {"authorization", "Bearer " + handle}}, "403"},
		"web":       {"another protocol", with(good(), "content-type", "application/grpc-web"), "403"},
		"malformed": {"it is none", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/../x"}}, "400"},
	} {
		r := w.raw()
		got := r.await(r.open(test.fields, nil, true))
		var problem struct{ Reason, RequestID string }
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || got.fields[":status"] != test.status ||
			got.fields["content-type"] != "application/problem+json" || problem.Reason == "" || problem.RequestID == "" {
			t.Errorf("%s: %s: got %+v, %v", name, test.why, got, err)
		}
	}
	if len(w.service.seen()) > 0 {
		t.Error("something was forwarded")
	}
}

// TestOneProtocol: HTTP/2 is spoken where calls are granted, and is asked for in
// no other way than by its preface; all else is HTTP/1.1.
func TestOneProtocol(t *testing.T) {
	w := newWorld(t)
	say := func(address, text string) string {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, text)
		answer, _ := io.ReadAll(c)
		return string(answer)
	}
	get := "GET /nowhere HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer " + handle + "\r\nConnection: "
	for name, test := range map[string]struct{ why, address, text, want string }{
		"preface elsewhere": {"no call is granted there", w.plain, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/1.1 505 "},
		"HTTP/1.1":          {"it is spoken beside", w.address, get + "close\r\n\r\n", "HTTP/1.1 403 "},
		"upgrade":           {"HTTP/2 is not upgraded to", w.address, get + "Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", "HTTP/1.1 400 "},
		"upgrade elsewhere": {"nor there", w.plain, get + "Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 400 "},
		"late preface":      {"the protocol is chosen once", w.address, get + "keep-alive\r\n\r\n" + http2.ClientPreface, "HTTP/1.1 403 "},
		"almost":            {"another line", w.address, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "HTTP/1.1 505 "},
		"a call in 1.1":     {"it goes with HTTP/2", w.address, "POST /" + service + "/EmptyCall HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer " + handle + "\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\x00\x00\x00\x00\x00", "HTTP/1.1 403 "},
	} {
		if got := say(test.address, test.text); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s: got %.60q", name, test.why, got)
		}
	}
	if got := say(w.address, get+"keep-alive\r\n\r\n"+http2.ClientPreface); !strings.Contains(got, "HTTP/1.1 505 ") {
		t.Errorf("a preface behind a request: got %q", got)
	}
	if len(w.service.seen()) > 0 {
		t.Error("something was forwarded")
	}
}

// TestHeaderBombs: headers without an end are cut off, by bytes and by number.
func TestHeaderBombs(t *testing.T) {
	w := newWorld(t)
	many := good()
	for range 300 {
		many = append(many, [2]string{"x-a", "b"})
	}
	for name, fields := range map[string][][2]string{
		"longer": append(good(), [2]string{"x-padding", padding(33 << 10)}), "long": append(good(), [2]string{"x-padding", padding(40 << 10)}), "very long": append(good(), [2]string{"x-padding", padding(200 << 10)}), "many": many,
	} {
		r := w.raw()
		text := block(fields)
		first := min(len(text), 16<<10)
		_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: text[:first], EndHeaders: first == len(text), EndStream: true})
		for text = text[first:]; len(text) > 0; text = text[first:] {
			first = min(len(text), 16<<10)
			if r.WriteContinuation(1, first == len(text), text[:first]) != nil {
				break
			}
		}
		got := r.await(1)
		if !got.refused() {
			t.Errorf("%s: got %+v", name, got)
		}
		// What is not much too long is told, and recorded.
		if reason := got.fields["sallyport-reason"]; name != "very long" && reason != string(scope.TooLarge) {
			t.Errorf("%s: refused as %q", name, reason)
		}
	}
	r := w.raw()
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(good()), EndStream: true})
	piece := block([][2]string{{"x-padding", padding(8000)}})
	for sent := 0; r.WriteContinuation(1, false, piece) == nil; sent += len(piece) {
		if sent > 64<<20 {
			t.Fatal("64 MiB of a header were read")
		}
	}
	if len(w.service.seen()) > 0 {
		t.Error("something was forwarded")
	}
}

// TestRapidReset: calls that are opened and reset at once cost a bounded number
// of exchanges, and take nothing from others.
func TestRapidReset(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.Concurrency = 8 })
	control := w.client(handle)
	r := w.raw()
	fields := with(good(), ":path", "/"+service+"/FullDuplexCall")
	for range 5000 {
		id := r.open(fields, nil, false)
		if r.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break // it had enough
		}
	}
	_ = r.Close()
	if !eventually(func() bool { _, err := control.EmptyCall(within(t), &testpb.Empty{}); return err == nil }) {
		t.Error("others are not served")
	}
}

// TestTooManyCalls: no connection has more calls open than it may.
func TestTooManyCalls(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.Concurrency = 1000 })
	r := w.raw()
	fields := with(good(), ":path", "/"+service+"/FullDuplexCall")
	for range 150 {
		r.open(fields, nothing, false)
	}
	refused := 0
	for refused < 50 {
		frame, err := r.ReadFrame()
		if err != nil {
			break // or the connection is ended
		}
		if _, reset := frame.(*http2.RSTStreamFrame); reset {
			refused++
		}
	}
	if n := len(w.service.seen()); n > 100 {
		t.Errorf("%d calls are open", n)
	}
}

// TestDoesNotRead: a call whose agent reads nothing ends all the same when it is
// taken away, and gives its place back.
func TestDoesNotRead(t *testing.T) {
	w := newWorld(t, func(c *bundle.Credential) { c.Limits.Concurrency = 1 })
	r := w.raw()
	in := append([]byte{0, 0, 0, 0, 7}, 0x12, 5, 0x08, 0x80, 0x80, 0x80, 0x02) // one message of 4 MiB
	id := r.open(with(good(), ":path", "/"+service+"/StreamingOutputCall"), in, true)
	if !eventually(func() bool { return len(w.service.seen()) == 1 }) {
		t.Fatal("nothing was forwarded")
	}
	w.server.Revoke("c1", scope.Revoked)
	if got := r.await(id); !got.refused() {
		t.Errorf("got %v", got.fields)
	}
	w.apply(document())
	if _, err := w.client(handle).EmptyCall(within(t), &testpb.Empty{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestIdleConnections: connections that say nothing cost little, and make room; those
// with a call under way do not.
func TestIdleConnections(t *testing.T) {
	w := newWorld(t)
	both, err := w.client(handle).FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	speak := func() {
		t.Helper()
		if err := both.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	speak()
	const many, most = 700, 64 << 10 // bytes of each, those of the test's agent among them
	before := heap()
	for range many { // 640 fit: each counts eight times
		if _, err := w.raw().ReadFrame(); err != nil {
			t.Fatalf("the server's settings: %v", err)
		}
	}
	speak()
	if after := heap(); after > before+many*most {
		t.Errorf("each takes %d bytes", (after-before)/many)
	}
	if _, err := w.client(handle).EmptyCall(within(t), &testpb.Empty{}); err != nil {
		t.Errorf("another agent: %v", err)
	}
	speak()
}

// TestUpstreamSpeaksHTTP1: an upstream that does not speak HTTP/2 gets no call,
// and requests of HTTP/1.1 from the same listener.
func TestUpstreamSpeaksHTTP1(t *testing.T) {
	notes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method+" "+r.URL.Path) })
	for scheme, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			s := start(notes)
			defer s.Close()
			plain(t, w, s.Listener.Addr().String())
			c := document()
			c.Endpoints[0].URL, c.Endpoints[0].Plaintext, c.Endpoints[0].Private = scheme+"://"+host+":"+port, true, true
			w.apply(c)
			if _, err := w.client(handle).EmptyCall(within(t), &testpb.Empty{}); err == nil || !strings.Contains(err.Error(), "UpstreamUnreachable") {
				t.Errorf("got %v", err)
			}
			r, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://"+w.address+"/notes", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+handle)
			carrier := &http.Transport{}
			defer carrier.CloseIdleConnections()
			res, err := carrier.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if text, err := io.ReadAll(res.Body); err != nil || string(text) != "GET /notes" {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}
