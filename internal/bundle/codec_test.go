package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func ptr[T any](v T) *T { return &v }

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// full has every field set.
func full() *bundle.State {
	grants := []scope.Grant{{
		Name: "read", Endpoint: "rest",
		HTTP:  &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/repos/{repo=*/*}"}},
		Where: map[string]scope.Matcher{"repo": {Set: &scope.Matcher{In: []string{"acme/web"}, FoldASCII: true}, MaxLength: ptr(40)}},
		Query: scope.Query{UnlistedAllow: true, Params: map[string]scope.Matcher{"page": {Min: ptr("1"), Max: ptr("50")}}},
		Body: &scope.Body{
			Media: scope.JSON, MaxBytes: 1 << 20, UnlistedAllow: true,
			Fields: map[string]scope.Matcher{"a.b": {Required: true, Type: scope.Any}, "[].c": {MaxItems: ptr(3)}},
			Parts:  map[string]scope.Part{"f": {Required: true, Value: &scope.Matcher{Glob: ptr("x")}, Filename: &scope.Matcher{Kind: scope.Path}, Media: []string{"a/b"}, MaxBytes: 9}},
		},
		Response: &scope.Response{Keep: []string{"id", "items[].id"}},
		Limits:   &scope.Limits{Requests: scope.Rate{Count: 60, Per: time.Minute}},
	}, {
		Name: "receipt", Endpoint: "rest", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/x"}},
		Body: &scope.Body{Media: scope.Opaque, MaxBytes: 1}, Response: &scope.Response{Keep: []string{}},
	}}
	return &bundle.State{
		Version: bundle.Version, Digest: "d", LeaseEnds: noon, Roots: "PEM",
		TokenKeys: []bundle.TokenKey{{ID: "k", Public: []byte{1, 2}}},
		Credentials: []bundle.Credential{{
			Namespace: "agents", Name: "notes", Object: bundle.Object{UID: "u", Generation: 3},
			Upstream: bundle.Object{UID: "v", Generation: 4},
			Endpoints: []bundle.Endpoint{{
				Name: "rest", URL: "https://api.example/v3", Profile: scope.Profile{SlashInTail: true, FoldPaths: []string{"/repos/{owner}/{repo}"}},
				Inject:  bundle.Inject{Header: &bundle.HeaderInjection{Name: "X-Key", Template: "<{secret}>"}},
				Headers: map[string]string{"Notion-Version": "2022-06-28"}, CABundle: "PEM", MinTLS: "1.3", Private: true, Plaintext: true,
			},
				{Name: "bare", URL: "https://b.example", Inject: bundle.Inject{Bearer: &struct{}{}}},
				{Name: "signed", URL: "https://c.example", Inject: bundle.Inject{AWSSigV4: &bundle.SignatureInjection{Region: "r", Service: "s"}}},
				{Name: "certified", URL: "https://d.example", Inject: bundle.Inject{ClientCertificate: &struct{}{}}},
			},
			Grants: grants, Ceiling: &bundle.Ceiling{Grants: grants}, ScopeHash: "h",
			Secret: secret.New("s3cr\xe9t\n\x00"), SecretVersion: "sv", SecretExpires: noon.Add(time.Hour), Token: "a.b.c",
			MaxOffline: 10 * time.Minute, LeaseEnds: noon.Add(time.Minute), ExpiresAt: noon.Add(time.Hour),
			Limits:   bundle.Limits{HeaderBytes: 1, BodyBytes: 2, RequestTimeout: 3, AnswerTimeout: 4, StreamTimeout: 5, Concurrency: 6},
			Requests: &scope.Rate{Count: 600, Per: time.Hour},
			Response: bundle.Response{RefuseRedirects: true, KeepCookies: true},
			Env:      []bundle.EnvVar{{Name: "GITHUB_TOKEN", Value: "{token}"}},
		}},
		Denied: []bundle.Denial{{Namespace: "agents", Name: "other", Reason: scope.Revoked}},
	}
}

var compareSecrets = cmp.Comparer(func(a, b secret.Value) bool { return a.Equal(b) })

func TestEncodeKeepsEverything(t *testing.T) {
	want := full()
	data, err := bundle.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compareSecrets); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEncodeWritesInstantsInUTC(t *testing.T) {
	here := full()
	here.LeaseEnds = noon.In(time.FixedZone("east", 3600))
	a, _ := bundle.Encode(here)
	b, _ := bundle.Encode(full())
	if !bytes.Equal(a, b) {
		t.Errorf("the same instants are encoded differently:\n%s\n%s", a, b)
	}
	if here.LeaseEnds.Location() == time.UTC {
		t.Error("encoding changed the document")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := bundle.Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		if !strings.Contains(string(good), old) {
			t.Fatalf("the document has no %s: %s", old, good)
		}
		return []byte(strings.Replace(string(good), old, new, 1))
	}
	for name, test := range map[string]struct {
		why  string
		data []byte
		want error
	}{
		"newer":               {"what it means is not known", replace(`"version":1`, `"version":2`), bundle.ErrVersion},
		"no version":          {"as above", replace(`"version":1,`, ``), bundle.ErrVersion},
		"unknown field":       {"it may be a constraint", replace(`"query":{`, `"query":{"never":1,`), bundle.ErrNotCanonical},
		"unknown at the end":  {"as above", append(bytes.Clone(good[:len(good)-1]), `,"mode":"Observe"}`...), bundle.ErrNotCanonical},
		"other case":          {"encoding/json takes it for the field", replace(`"methods"`, `"Methods"`), bundle.ErrNotCanonical},
		"twice":               {"the last one would win", replace(`"methods":["GET"]`, `"methods":["GET"],"methods":["PUT"]`), bundle.ErrNotCanonical},
		"other order":         {"one spelling", replace(`"uid":"v","generation":4`, `"generation":4,"uid":"v"`), bundle.ErrNotCanonical},
		"white space":         {"one spelling", replace(`"version":1`, `"version": 1`), bundle.ErrNotCanonical},
		"another instant":     {"one spelling", replace(`2026-05-01T12:00:00Z`, `2026-05-01T14:00:00+02:00`), bundle.ErrNotCanonical},
		"two documents":       {"one is enough", append(bytes.Clone(good), good...), nil},
		"two injections":      {"the secret goes to one place", replace(`"inject":{"bearer":{}}`, `"inject":{"bearer":{},"query":{"name":"key"}}`), bundle.ErrNotCanonical},
		"signed as well":      {"the secret goes to one place", replace(`"inject":{"bearer":{}}`, `"inject":{"bearer":{},"awsSigV4":{"region":"r","service":"s"}}`), bundle.ErrNotCanonical},
		"certified as well":   {"the secret goes to one place", replace(`"inject":{"bearer":{}}`, `"inject":{"bearer":{},"clientCertificate":{}}`), bundle.ErrNotCanonical},
		"unknown injection":   {"what it does is not known", replace(`"inject":{"bearer":{}}`, `"inject":{"awsSigV4a":{"region":"r","service":"s"}}`), bundle.ErrNotCanonical},
		"no injection":        {"the secret goes to one place", replace(`"inject":{"bearer":{}}`, `"inject":{}`), bundle.ErrNotCanonical},
		"secret is no Base64": {"a secret cut short", replace(`"secret":"`, `"secret":"*`), nil},
		"null":                {"nothing", []byte("null"), bundle.ErrVersion},
		"null credentials":    {"nothing", []byte(`{"version":1,"digest":"","leaseEnds":"0001-01-01T00:00:00Z","tokenKeys":null,"roots":"","credentials":null}`), bundle.ErrNotCanonical},
		"null credential":     {"nothing", []byte(`{"version":1,"digest":"","leaseEnds":"0001-01-01T00:00:00Z","tokenKeys":null,"roots":"","credentials":[null]}`), bundle.ErrNotCanonical},
		"nothing":             {"nothing", nil, nil},
		"too large":           {"it is bounded", bytes.Repeat([]byte(" "), bundle.MaxFrame+1), bundle.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := bundle.Decode(test.data)
			if err == nil || s != nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, %v, want %v: %s", s, err, test.want, test.why)
			}
		})
	}
}

func TestDecodeErrorsQuoteNothing(t *testing.T) {
	for _, data := range []string{
		`{"version":1,"credentials":[{"secret":CANARY}]}`,
		`{"version":1,"credentials":"CANARY"}`,
		`{"version":1,"credentials":[{"secret":"CANARY!"}]}`,
		`{"version":1,"leaseEnds":"CANARY","credentials":[]}`,
		`{"version":1,"credentials":[{"secret":"CANA"}],"CANARY":1}`,
	} {
		_, err := bundle.Decode([]byte(data))
		_, ferr := bundle.DecodeFrame([]byte(`{"state":` + data + `}`))
		if err == nil || strings.Contains(fmt.Sprint(err, ferr), "CANA") {
			t.Errorf("%s: %v, %v", data, err, ferr)
		}
	}
}

func TestFrames(t *testing.T) {
	for name, frame := range map[string]*bundle.Frame{
		"state":     {State: full()},
		"heartbeat": {Heartbeat: &bundle.Heartbeat{Version: 1, Now: noon, LeaseEnds: noon.Add(time.Minute)}},
		"revoke":    {Revoke: &bundle.Revoke{UID: "u", Reason: scope.Suspended}},
		"goaway":    {GoAway: &bundle.GoAway{Reason: "the token expires", RetryAfter: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			line, err := bundle.EncodeFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			if i := bytes.IndexByte(line, '\n'); i != len(line)-1 {
				t.Errorf("a line end stands at %d of %d", i, len(line))
			}
			for _, line := range [][]byte{line, line[:len(line)-1]} {
				got, err := bundle.DecodeFrame(line)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(frame, got, compareSecrets); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestDecodeFrameRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		why, line string
		want      error
	}{
		"no kind":       {"nothing to do", `{}`, bundle.ErrNotCanonical},
		"unknown kind":  {"it may take away", `{"pause":{}}`, bundle.ErrNotCanonical},
		"two kinds":     {"their order would matter", `{"revoke":{"uid":"u","reason":"Revoked"},"goaway":{"reason":"","retryAfter":0}}`, bundle.ErrNotCanonical},
		"other case":    {"one spelling", `{"Revoke":{"uid":"u","reason":"Revoked"}}`, bundle.ErrNotCanonical},
		"left out":      {"an empty UID revokes nobody", `{"revoke":{"reason":"Revoked"}}`, bundle.ErrNotCanonical},
		"newer state":   {"not known", `{"state":{"version":7,"new":true}}`, bundle.ErrVersion},
		"newer beat":    {"not known", `{"heartbeat":{"version":7}}`, bundle.ErrVersion},
		"two lines":     {"one frame is one line", "{\"revoke\":{\"uid\":\"u\",\"reason\":\"Revoked\"}}\n\n", bundle.ErrNotCanonical},
		"an array":      {"one frame is one object", `[]`, nil},
		"cut off":       {"the rest may be a constraint", `{"revoke":{"uid":"u"`, nil},
		"leading space": {"one spelling", ` {"revoke":{"uid":"u","reason":"Revoked"}}`, bundle.ErrNotCanonical},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := bundle.DecodeFrame([]byte(test.line))
			if err == nil || f != nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, %v, want %v: %s", f, err, test.want, test.why)
			}
		})
	}
	for _, f := range []*bundle.Frame{{}, {Revoke: &bundle.Revoke{}, GoAway: &bundle.GoAway{}}} {
		if line, err := bundle.EncodeFrame(f); err == nil {
			t.Errorf("encoded %s", line)
		}
	}
}

func TestEncodeRefusesTooMuch(t *testing.T) {
	s := full()
	s.Roots = strings.Repeat("x", bundle.MaxFrame)
	if _, err := bundle.Encode(s); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := bundle.EncodeFrame(&bundle.Frame{State: s}); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestAck(t *testing.T) {
	want := &bundle.Ack{
		Version: bundle.Version, Digest: "d", Applied: true,
		Errors: []bundle.ApplyError{{Credential: "agents/notes", Reason: bundle.SidecarRefused, Detail: "no port"}},
		Seen:   []bundle.Seen{{Credential: "agents/notes", Grant: "read", Count: 7}},
	}
	data, err := bundle.EncodeAck(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.DecodeAck(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := bundle.DecodeAck(bytes.Replace(data, []byte(`"applied"`), []byte(`"Applied"`), 1)); err == nil {
		t.Error("accepted another spelling")
	}
}

func TestDigest(t *testing.T) {
	digest := func(change func(*bundle.State, *bundle.Credential)) string {
		s := full()
		change(s, &s.Credentials[0])
		d, err := bundle.Digest(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	was := digest(func(*bundle.State, *bundle.Credential) {})
	for name, test := range map[string]struct {
		why    string
		change func(*bundle.State, *bundle.Credential)
		same   bool
	}{
		"lease":         {"it is renewed", func(s *bundle.State, _ *bundle.Credential) { s.LeaseEnds = noon.Add(1) }, true},
		"lease of one":  {"it is renewed", func(_ *bundle.State, c *bundle.Credential) { c.LeaseEnds = noon }, true},
		"token":         {"it is renewed", func(_ *bundle.State, c *bundle.Credential) { c.Token = "d.e.f" }, true},
		"digest":        {"it is the result", func(s *bundle.State, _ *bundle.Credential) { s.Digest = "e" }, true},
		"secret":        {"a digest of it could be guessed at", func(_ *bundle.State, c *bundle.Credential) { c.Secret = secret.New("x") }, true},
		"its version":   {"it stands for the secret", func(_ *bundle.State, c *bundle.Credential) { c.SecretVersion = "x" }, false},
		"expiry":        {"it is a constraint", func(_ *bundle.State, c *bundle.Credential) { c.ExpiresAt = noon }, false},
		"grants":        {"it is the scope", func(_ *bundle.State, c *bundle.Credential) { c.Grants[0].HTTP.Methods[0] = "PUT" }, false},
		"empty ceiling": {"it allows nothing", func(_ *bundle.State, c *bundle.Credential) { c.Ceiling = &bundle.Ceiling{} }, false},
		"no ceiling":    {"it bounds nothing", func(_ *bundle.State, c *bundle.Credential) { c.Ceiling = nil }, false},
		"generation":    {"versions are ordered by it", func(_ *bundle.State, c *bundle.Credential) { c.Generation++ }, false},
		"denied":        {"the pod is told", func(s *bundle.State, _ *bundle.Credential) { s.Denied = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := digest(test.change) == was; same != test.same {
				t.Errorf("same digest: %t, want %t: %s", same, test.same, test.why)
			}
		})
	}
	s := full()
	if _, err := bundle.Digest(s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), s, compareSecrets); diff != "" {
		t.Errorf("Digest changed the document (-want +got)\n%s", diff)
	}
}

// FuzzDecode: a document that is accepted has one encoding, and a digest.
func FuzzDecode(f *testing.F) {
	good, err := bundle.Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"digest":"","leaseEnds":"0001-01-01T00:00:00Z","tokenKeys":null,"roots":"","credentials":[]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := bundle.Decode(data)
		if err != nil {
			return
		}
		again, err := bundle.Encode(s)
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("read %q, wrote %q, %v", data, again, err)
		}
		if _, err := bundle.Digest(s); err != nil {
			t.Error(err)
		}
	})
}

// FuzzDecodeAck: an acknowledgement that is accepted has one encoding.
func FuzzDecodeAck(f *testing.F) {
	for _, ack := range []*bundle.Ack{
		{Version: bundle.Version, Digest: "d", Applied: true},
		{Version: bundle.Version, Errors: []bundle.ApplyError{{Credential: "a/b", Reason: bundle.SidecarRefused, Detail: "x"}}, Seen: []bundle.Seen{{Credential: "a/b", Reason: scope.OutOfScope, Count: 3}}},
	} {
		text, err := bundle.EncodeAck(ack)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(bytes.Replace(text, []byte(":"), []byte(": "), 1))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := bundle.DecodeAck(data)
		if err != nil {
			return
		}
		if again, err := bundle.EncodeAck(a); err != nil || !bytes.Equal(data, again) {
			t.Errorf("read %q, wrote %q, %v", data, again, err)
		}
	})
}

// FuzzDecodeFrame: a line of the stream that is accepted has one encoding, but
// for a line end behind it.
func FuzzDecodeFrame(f *testing.F) {
	for _, frame := range []*bundle.Frame{
		{State: full()}, {Heartbeat: &bundle.Heartbeat{Version: 1}}, {Revoke: &bundle.Revoke{}}, {GoAway: &bundle.GoAway{}},
	} {
		line, err := bundle.EncodeFrame(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		frame, err := bundle.DecodeFrame(line)
		if err != nil {
			return
		}
		again, err := bundle.EncodeFrame(frame)
		if err != nil || !bytes.Equal(bytes.TrimSuffix(line, []byte("\n")), bytes.TrimSuffix(again, []byte("\n"))) {
			t.Errorf("read %q, wrote %q, %v", line, again, err)
		}
	})
}
