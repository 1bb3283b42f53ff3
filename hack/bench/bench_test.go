package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

// TestScenarios are told apart by their names, and those that goals are taken
// from are there.
func TestScenarios(t *testing.T) {
	names := map[string]scenario{}
	for _, s := range scenarios(leastCapacity) {
		if _, twice := names[s.name]; twice || s.connections == 0 || s.rate == 0 == (s.table == open) {
			t.Errorf("%s is there twice, or nonsense", s.name)
		}
		names[s.name] = s
	}
	if s := names[gateScenario]; s.rate != gateRate {
		t.Errorf("%s has the rate %v", gateScenario, s.rate)
	}
	if s := names[firstScenario]; s.work.Events != 1 || s.connections != 1 {
		t.Errorf("%s is %+v", firstScenario, s)
	}
	if s := names["HTTPS, 256 connections, 1 MiB"]; !s.secure || s.connections != 256 || s.work.Answer != 1<<20 {
		t.Errorf("got %+v", s)
	}
}

// TestProxies leaves nginx out where JSON is judged, and nobody else anywhere.
func TestProxies(t *testing.T) {
	_, text := upload()
	for _, s := range scenarios(leastCapacity) {
		want := []string{direct, peers.HAProxy, peers.Silent, "nginx", "httputil.ReverseProxy", peers.Sallyport}
		if s.work.Media == text.Media {
			want = slices.Delete(want, 3, 4)
		}
		if diff := cmp.Diff(want, s.proxies()); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
}

// TestUpload is of one length, and JSON, of which the kind comes last.
func TestUpload(t *testing.T) {
	opaque, text := upload()
	if got := strings.TrimRight(string(text.Upload), " "); !strings.HasSuffix(got, `}],"kind":"record"}`) {
		t.Errorf("it ends in %s", got[max(0, len(got)-100):])
	}
	if len(opaque.Upload) != 4096 || len(text.Upload) != 4096 || !json.Valid(text.Upload) || text.Media != "application/json" {
		t.Errorf("%d and %d bytes: %s", len(opaque.Upload), len(text.Upload), text.Upload)
	}
}

// TestAwaitAudit wants one record of an allowed decision for each request.
func TestAwaitAudit(t *testing.T) {
	const allowed, denied, outcome = `{"event":"decision","verdict":"Allow"}`, `{"event":"decision","verdict":"Deny"}`, `{"event":"outcome","verdict":"Allow"}`
	for name, test := range map[string]struct {
		records  []string
		requests int
		correct  bool
	}{
		"one each":    {[]string{allowed, denied, allowed, outcome}, 2, true},
		"afterwards":  {[]string{`{"verdict":"Allow","status":200}`, `{"verdict":"Allow","status":403}`}, 1, true},
		"one missing": {[]string{allowed, denied, outcome}, 2, false},
		"one more":    {[]string{allowed, allowed, allowed}, 2, false},
		"none":        {nil, 1, false},
	} {
		file := filepath.Join(t.TempDir(), "audit")
		if err := os.WriteFile(file, []byte(strings.Join(test.records, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := countAudit(file)
		if err != nil || (n == test.requests) != test.correct {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		over, end := context.WithCancel(t.Context())
		end() // there is no more to come
		if err := awaitAudit(over, file, test.requests); (err == nil) != test.correct {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := countAudit(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestOverloaded allows for the few requests that are due when time is over.
func TestOverloaded(t *testing.T) {
	for unasked, want := range map[int]bool{0: false, 10: false, 11: true, 500: true} {
		times := engine.Times{Unasked: unasked}
		times.Whole = slices.Grow(times.Whole, 1000)[:1000-unasked]
		if got := overloaded(times); got != want {
			t.Errorf("%d of 1000 were never asked, and it is overloaded: %t", unasked, got)
		}
	}
}

// TestParseRefuses what would end a run after all was measured.
func TestParseRefuses(t *testing.T) {
	sidecar := filepath.Join(t.TempDir(), "sidecar")
	if err := os.WriteFile(sidecar, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	with := func(args ...string) error {
		_, err := parse(append([]string{"-sidecar", sidecar}, args...), io.Discard)
		return err
	}
	if err := with("-rounds", "1", "-document", "../../docs/benchmarks.md"); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-length", "0s"}, {"-starts", "0"}, {"-only", "("}, {"more"}, {"-document", sidecar}, {"-sidecar", sidecar + "x"},
	} {
		if with(args...) == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
