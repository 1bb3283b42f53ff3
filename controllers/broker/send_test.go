package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/identity"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// TestFrameIsNotTaken has sidecars that do not read: the stream ends for both
// ends, with what fits into no buffer under way, and nobody waits for good.
func TestFrameIsNotTaken(t *testing.T) {
	b := &Broker{frameTimeout: 20 * time.Millisecond}
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		ended <- errors.Join(control.Flush(), b.send(w, control, bytes.Repeat([]byte("x"), 64<<20)))
		<-r.Context().Done() // or the client would not be told
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	response, err := server.Client().Post(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := <-ended; !errors.Is(err, errLate) {
		t.Errorf("sending ended with %v", err)
	}
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("the stream ended well after %d bytes", n)
	}
}

// TestTemplates: what is the same is encoded once, what differs is not mixed up,
// and a bound holds.
func TestTemplates(t *testing.T) {
	var all templates
	of := func(i int) *bundle.Template {
		t.Helper()
		one, err := all.of(&bundle.Outline{Denied: []bundle.Denial{{Namespace: "agents", Name: strconv.Itoa(i), Reason: scope.Revoked}}})
		if err != nil {
			t.Fatal(err)
		}
		line, err := one.Frame(time.Now(), nil)
		if err != nil || !strings.Contains(string(line), `"name":"`+strconv.Itoa(i)+`"`) {
			t.Errorf("%d: %v: %s", i, err, line)
		}
		return one
	}
	var before *bundle.Template
	for i := range 3 * maxTemplates {
		one := of(i)
		if of(i) != one {
			t.Errorf("%d is encoded twice", i)
		}
		if i > 0 && of(i-1) != before {
			t.Errorf("%d is forgotten at once", i-1)
		}
		before = one
		if len(all.all) > maxTemplates {
			t.Fatalf("%d are remembered", len(all.all))
		}
	}
}

// TestRevocationsComeFirst: what is withdrawn is cut off by a frame of its own
// before the state, however large that is, and in the same write.
func TestRevocationsComeFirst(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("a", "agent", nil, "notes")
	id := identity.Identity{Pod: client.ObjectKeyFromObject(pod), UID: pod.UID, ServiceAccount: "agent", Node: "node-1", Expires: time.Now().Add(time.Hour)}
	s := newStream(w.broker, id, [sha256.Size]byte{})
	defer w.broker.close(s)
	var kinds []string
	send := func(lines []byte) error {
		for line := range bytes.Lines(lines) {
			f, err := bundle.DecodeFrame(line)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case f.Revoke != nil:
				kinds = append(kinds, string(f.Revoke.Reason))
			case f.State != nil:
				kinds = append(kinds, strconv.Itoa(len(f.State.Credentials)))
			}
		}
		kinds = append(kinds, ".")
		return nil
	}
	refresh := func(writes int) {
		t.Helper()
		poll(t, "news", func() bool {
			if err := s.refresh(t.Context(), send, time.Now()); err != nil {
				t.Fatal(err)
			}
			return len(kinds) >= writes
		})
	}
	refresh(2)
	w.edit("notes", func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = true })
	refresh(3)
	if got := strings.Join(kinds, " "); got != "1 . Suspended 0 ." {
		t.Errorf("sent %s", got)
	}
}
