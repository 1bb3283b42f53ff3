package upstream

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// TestTheKeyMayDoEverything shows that what the demo relies on is real: with
// the key a branch goes over REST and another over git push, and without it
// nothing does.
func TestTheKeyMayDoEverything(t *testing.T) {
	root := t.TempDir()
	dir, err := MakeRepository(t.Context(), root, "acme/docs", "release-1.0", "release-1.1", "agent/tmp")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var log []Entry
	s := &Server{Root: root, Key: "k3y", Issue: "text", Record: func(e Entry) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, e)
	}}
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()

	if got := send(t, srv.URL+"/repos/acme/docs/git/refs/heads/release-1.0", "wrong"); got != http.StatusUnauthorized {
		t.Errorf("with a wrong key: %d", got)
	}
	if got := send(t, srv.URL+"/repos/acme/docs/git/refs/heads/release-1.0", "k3y"); got != http.StatusNoContent {
		t.Errorf("with the key: %d", got)
	}
	push := exec.CommandContext(t.Context(), "git", "-c", "http.extraHeader=Authorization: Bearer k3y",
		"push", srv.URL+"/acme/docs.git", ":refs/heads/release-1.1")
	push.Dir = dir
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("pushing: %v\n%s", err, out)
	}
	got, err := Branches(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"agent/tmp", "main"}; !slices.Equal(got, want) {
		t.Errorf("branches left: %v, want %v", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(log) < 4 || log[0].Authorized || !log[1].Authorized {
		t.Errorf("log: %+v", log)
	}
}

func send(t *testing.T, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}
