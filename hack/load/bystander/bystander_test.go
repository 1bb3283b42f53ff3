package bystander

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestRun asks a data plane that lets everything pass, one that is slow, and one that
// answers something else.
func TestRun(t *testing.T) {
	const slow = 20 * time.Millisecond
	for name, test := range map[string]struct {
		handle func(w http.ResponseWriter, r *http.Request)
		wrong  bool
		least  time.Duration
	}{
		"right": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }, false, 0},
		"slow": {func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(slow)
			io.WriteString(w, text)
		}, false, slow},
		"wrong":   {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "something else") }, true, 0},
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			plane := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer token" {
					t.Error("it shows no token")
				}
				test.handle(w, r)
			}))
			defer plane.Close()
			in, ask := io.Pipe()
			answers, out := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- Run(t.Context(), in, out) }()
			from, to := json.NewDecoder(answers), json.NewEncoder(ask)
			var port int
			if err := from.Decode(&port); err != nil || port == 0 {
				t.Fatal(port, err)
			}
			if err := to.Encode(Question{plane.URL, "token", 400 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			var r Result
			if err := from.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if (r.Wrong != "") != test.wrong || r.Asked != Agents*Rate*400/1000 {
				t.Errorf("%d asked, wrong: %s", r.Asked, r.Wrong)
			}
			if r.Through.P50 < test.least || r.Past.P50 <= 0 || r.Through.P999 < r.Through.P50 {
				t.Errorf("it took %+v", r)
			}
			if err := ask.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
