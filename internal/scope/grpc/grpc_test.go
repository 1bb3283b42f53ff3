package grpc_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
)

const method = "/acme.v1.Inventory/List"

func fields(pairs ...string) []scope.Field {
	var out []scope.Field
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, scope.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func policy(t *testing.T, grants ...scope.Grant) *scope.Policy {
	t.Helper()
	p, err := scope.Compile(scope.Profile{}, grants, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	call  = scope.Grant{Name: "call", Endpoint: "rest", GRPC: &scope.GRPC{Methods: []string{"acme.v1.Inventory/List"}}}
	plain = scope.Grant{
		Name: "plain", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"GET", "PUT"}, Paths: []string{"/{any...}"}},
		Body: &scope.Body{Media: scope.Opaque, MaxBytes: 10},
	}
)

// TestCalls: beside each call that is granted stand its nearest misses.
func TestCalls(t *testing.T) {
	media := fields("Content-Type", "application/grpc")
	for name, test := range map[string]struct {
		why  string
		head scope.Head
		want scope.Reason
	}{
		"call":              {"it is granted", scope.Head{Method: "POST", Target: method, Fields: media, HasBody: true, HTTP2: true}, ""},
		"empty":             {"a stream may end before it begins", scope.Head{Method: "POST", Target: method, Fields: media, HTTP2: true}, ""},
		"proto":             {"the same protocol", scope.Head{Method: "POST", Target: method, Fields: fields("Content-Type", "application/grpc+proto"), HasBody: true, HTTP2: true}, ""},
		"timeout":           {"the protocol's own", scope.Head{Method: "POST", Target: method, Fields: append(fields("Grpc-Timeout", "20S"), media...), HTTP2: true}, ""},
		"over HTTP/1.1":     {"no call comes so", scope.Head{Method: "POST", Target: method, Fields: media, HasBody: true}, scope.OutOfScope},
		"other method":      {"it is not granted", scope.Head{Method: "POST", Target: "/acme.v1.Inventory/Delete", Fields: media, HasBody: true, HTTP2: true}, scope.OutOfScope},
		"other case":        {"names have letter case", scope.Head{Method: "POST", Target: strings.ToLower(method), Fields: media, HasBody: true, HTTP2: true}, scope.OutOfScope},
		"below":             {"another path", scope.Head{Method: "POST", Target: method + "/x", Fields: media, HasBody: true, HTTP2: true}, scope.OutOfScope},
		"slash":             {"another path", scope.Head{Method: "POST", Target: method + "/", Fields: media, HasBody: true, HTTP2: true}, scope.OutOfScope},
		"GET":               {"a call is a POST", scope.Head{Method: "GET", Target: method, Fields: media, HTTP2: true}, scope.OutOfScope},
		"query":             {"a call has none", scope.Head{Method: "POST", Target: method + "?a=b", Fields: media, HTTP2: true}, scope.ParameterRefused},
		"no media":          {"it may be anything", scope.Head{Method: "POST", Target: method, HasBody: true, HTTP2: true}, scope.ParameterRefused},
		"web":               {"another protocol on the same path", scope.Head{Method: "POST", Target: method, Fields: fields("Content-Type", "application/grpc-web"), HasBody: true, HTTP2: true}, scope.ParameterRefused},
		"JSON":              {"another protocol on the same path", scope.Head{Method: "POST", Target: method, Fields: fields("Content-Type", "application/json"), HasBody: true, HTTP2: true}, scope.ParameterRefused},
		"two media":         {"readers choose", scope.Head{Method: "POST", Target: method, Fields: append(fields("Content-Type", "application/json"), media...), HasBody: true, HTTP2: true}, scope.ParameterRefused},
		"wrong timeout":     {"readers differ", scope.Head{Method: "POST", Target: method, Fields: append(fields("Grpc-Timeout", "20s"), media...), HTTP2: true}, scope.ParameterRefused},
		"second spelling":   {"some take it for the other", scope.Head{Method: "POST", Target: method, Fields: append(fields("Grpc_Timeout", "20S"), media...), HTTP2: true}, scope.ParameterRefused},
		"method override":   {"some take it over the request's", scope.Head{Method: "POST", Target: method, Fields: append(fields("X-HTTP-Method-Override", "GET"), media...), HTTP2: true}, scope.ParameterRefused},
		"an upgrade":        {"there is none in HTTP/2", scope.Head{Method: "POST", Target: method, Fields: media, Upgrade: true, HTTP2: true}, scope.OutOfScope},
		"no leading slash":  {"servers differ", scope.Head{Method: "POST", Target: method[1:], Fields: media, HTTP2: true}, scope.Malformed},
		"encoded":           {"the same method, in another spelling", scope.Head{Method: "POST", Target: "/acme.v1.Inventory/%4cist", Fields: media, HTTP2: true}, ""},
		"encoded slash":     {"servers differ", scope.Head{Method: "POST", Target: "/acme.v1.Inventory%2fList", Fields: media, HTTP2: true}, scope.Malformed},
		"http over HTTP/2":  {"plain requests come over HTTP/1.1", scope.Head{Method: "GET", Target: "/notes", HTTP2: true}, scope.OutOfScope},
		"http over HTTP/1":  {"the other grant has it", scope.Head{Method: "GET", Target: "/notes"}, ""},
		"reflection":        {"it is a method like any other", scope.Head{Method: "POST", Target: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Fields: media, HTTP2: true}, scope.OutOfScope},
		"two slashes":       {"servers differ", scope.Head{Method: "POST", Target: "/" + method, Fields: media, HTTP2: true}, scope.Malformed},
		"content encoding":  {"messages have a coding of their own", scope.Head{Method: "POST", Target: method, Fields: append(fields("Content-Encoding", "gzip"), media...), HasBody: true, HTTP2: true}, ""},
		"unknown of theirs": {"it stays behind", scope.Head{Method: "POST", Target: method, Fields: append(fields("Grpc-Other", "a"), media...), HTTP2: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r scope.Request
			if err := r.Parse(&test.head, nil); err != nil {
				if test.want != scope.Malformed {
					t.Errorf("%s: %v", test.why, err)
				}
				return
			}
			d := policy(t, call, plain).Decide(&r)
			if d.Reason != test.want || (d.Verdict == scope.Allow) != (test.want == "") {
				t.Errorf("%s: got %d %s %s, want %q", test.why, d.Verdict, d.Reason, d.Detail, test.want)
			}
		})
	}
}

// TestForwarded: what goes upstream with a call.
func TestForwarded(t *testing.T) {
	g := call
	g.Headers = map[string]scope.Matcher{"X-Tenant": {Type: scope.String}, "X-Bin": {Type: scope.String}}
	head := scope.Head{Method: "POST", Target: "/acme.v1.Inventory/%4Cist", HTTP2: true, Fields: fields("Content-Type", "application/grpc", "X-Tenant", "a")}
	var r scope.Request
	if err := r.Parse(&head, nil); err != nil {
		t.Fatal(err)
	}
	d := policy(t, g).Decide(&r)
	if got := string(scope.AppendTarget(nil, "", &r, &d)); got != method {
		t.Errorf("forwarded as %q", got)
	}
	for name, want := range map[string]bool{
		"content-type": true, "grpc-timeout": true, "Grpc-Encoding": true, "grpc-trace-bin": true, "user-agent": true, "x-tenant": true,
		"grpc-accept-encoding": false, "grpc-other": false, "x-other": false, "te": false, "cookie": false, "grpc-status": false,
	} {
		if got := scope.Forwards(&d, name); got != want {
			t.Errorf("%s goes upstream: %v, want %v", name, got, want)
		}
	}
}

// TestCeiling: a call must be one under the ceiling as well.
func TestCeiling(t *testing.T) {
	for name, test := range map[string]struct {
		why     string
		ceiling scope.Grant
		want    scope.Reason
	}{
		"the same":    {"it allows it", call, ""},
		"another":     {"it does not have the method", scope.Grant{Name: "a", Endpoint: "rest", GRPC: &scope.GRPC{Methods: []string{"a.B/C"}}}, scope.BeyondCeiling},
		"plain":       {"a call is no plain request", plain, scope.BeyondCeiling},
		"with header": {"it needs a header that is not there", scope.Grant{Name: "a", Endpoint: "rest", GRPC: call.GRPC, Headers: map[string]scope.Matcher{"X-Tenant": {Type: scope.String, Required: true}}}, scope.BeyondCeiling},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := scope.Compile(scope.Profile{}, []scope.Grant{call}, &[]scope.Grant{test.ceiling})
			if err != nil {
				t.Fatal(err)
			}
			head := scope.Head{Method: "POST", Target: method, HTTP2: true, HasBody: true, Fields: fields("Content-Type", "application/grpc")}
			var r scope.Request
			if err := r.Parse(&head, nil); err != nil {
				t.Fatal(err)
			}
			if d := p.Decide(&r); d.Reason != test.want {
				t.Errorf("%s: got %s, want %q", test.why, d.Reason, test.want)
			}
		})
	}
}

func TestRefusedGrants(t *testing.T) {
	for name, test := range map[string]struct {
		why  string
		of   scope.Grant
		want string
	}{
		"nothing":     {"empty is never all", scope.Grant{GRPC: &scope.GRPC{}}, "grpc.methods: list a method"},
		"a service":   {"all of its methods would be meant", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a.B/"}}}, `grpc.methods: "a.B/"`},
		"a glob":      {"there is none", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a.B/*"}}}, `grpc.methods: "a.B/*"`},
		"a capture":   {"there is none", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a.B/{c}"}}}, `grpc.methods: "a.B/{c}"`},
		"a path":      {"it is written without", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"/a.B/C"}}}, `grpc.methods: "/a.B/C"`},
		"deeper":      {"no method has such a path", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a/b/c"}}}, `grpc.methods: "a/b/c"`},
		"dots":        {"no name is empty", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a..b/c"}}}, `grpc.methods: "a..b/c"`},
		"digits":      {"no name begins so", scope.Grant{GRPC: &scope.GRPC{Methods: []string{"a/1"}}}, `grpc.methods: "a/1"`},
		"two kinds":   {"which of them", scope.Grant{GRPC: call.GRPC, HTTP: plain.HTTP}, "http: set http or another kind"},
		"a body":      {"messages are not looked at", scope.Grant{GRPC: call.GRPC, Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1}}, "grpc: remove where, body and response"},
		"a query":     {"a call has none", scope.Grant{GRPC: call.GRPC, Query: scope.Query{UnlistedAllow: true}}, "query: remove query"},
		"media":       {"another protocol could be let in", scope.Grant{GRPC: call.GRPC, Headers: map[string]scope.Matcher{"Content-Type": {Type: scope.String}}}, "headers.Content-Type: remove the header"},
		"its header":  {"the protocol's own", scope.Grant{GRPC: call.GRPC, Headers: map[string]scope.Matcher{"Grpc-Timeout": {Type: scope.String}}}, "headers.Grpc-Timeout: remove the header"},
		"its header2": {"some take it for it", scope.Grant{GRPC: call.GRPC, Headers: map[string]scope.Matcher{"Grpc_timeout": {Type: scope.String}}}, "headers.Grpc_timeout: remove the header"},
	} {
		t.Run(name, func(t *testing.T) {
			test.of.Name, test.of.Endpoint = "it", "rest"
			found := test.of.Check(scope.Profile{})
			if len(found) != 1 || !strings.HasPrefix(found[0].Error(), test.want) {
				t.Errorf("%s: got %v, want %s", test.why, found, test.want)
			}
		})
	}
}

func TestIsCall(t *testing.T) {
	for media, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC+x": true, "application/grpc;a=b": true,
		"application/grpc-web": false, "application/grp": false, "application/json": false, "": false,
	} {
		if got := grpc.IsCall(media); got != want {
			t.Errorf("%q is a call: %v", media, got)
		}
	}
}
