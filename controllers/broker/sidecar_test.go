package broker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/inject"
	"github.com/sallyport-dev/sallyport/internal/scope"
	sidecar "github.com/sallyport-dev/sallyport/sidecar/stream"
)

// fakeSidecar records what a data plane is told by the real stream client.
type fakeSidecar struct {
	t    *testing.T
	stop context.CancelFunc
	log  *lockedBuffer

	mu      sync.Mutex
	state   *bundle.State
	states  int
	revoked []string
	extends int
	refuse  []bundle.ApplyError
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// connect runs a stream client with a token for pod until the test ends.
func (w *world) connect(pod *corev1.Pod) *fakeSidecar {
	w.t.Helper()
	return w.connectWith(w.token(account(pod), pod, inject.Audience), nil)
}

func (w *world) connectWith(token string, refuse []bundle.ApplyError) *fakeSidecar {
	w.t.Helper()
	return w.connectVia(token, refuse, nil)
}

// connectVia connects by a dialer of the test's, or by the network.
func (w *world) connectVia(token string, refuse []bundle.ApplyError, dial func(context.Context, string, string) (net.Conn, error)) *fakeSidecar {
	w.t.Helper()
	private := w.private
	if private == "" {
		private = w.t.TempDir()
	}
	store, err := sidecar.OpenStore(private, w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.ctx)
	s := &fakeSidecar{t: w.t, stop: stop, log: &lockedBuffer{}, refuse: refuse}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := sidecar.Run(ctx, sidecar.Options{
			Broker: w.address, TokenFile: file, Roots: roots, Version: "test",
			Apply: s.apply, Revoke: s.revoke, Extend: s.extend, Dial: dial, Store: store,
			CheckTokens: func(*bundle.State) []bundle.ApplyError { return nil },
			Log:         slog.New(slog.NewTextHandler(s.log, nil)),
		})
		if err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() {
		stop()
		<-done
		if w.t.Failed() {
			w.t.Logf("sidecar: %s", s.log)
		}
	})
	return s
}

func (s *fakeSidecar) apply(st *bundle.State) []bundle.ApplyError {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
	s.states++
	return s.refuse
}

func (s *fakeSidecar) revoke(uid string, reason scope.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, uid+":"+string(reason))
}

func (s *fakeSidecar) extend(time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extends++
}

// await waits until the newest state, which is nil before the first, is as
// wanted.
func (s *fakeSidecar) await(what string, wanted func(*bundle.State) bool) *bundle.State {
	s.t.Helper()
	var got *bundle.State
	poll(s.t, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got = s.state
		return wanted(got)
	})
	return got
}

func (s *fakeSidecar) awaitServed(name string) bundle.Credential {
	s.t.Helper()
	st := s.await(name+" is served", func(st *bundle.State) bool { return find(st, name) != nil })
	return *find(st, name)
}

func (s *fakeSidecar) awaitDenied(name string, reason scope.Reason) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s is denied: %s", name, reason), func(st *bundle.State) bool { return denial(st, name) == reason })
}

func find(st *bundle.State, name string) *bundle.Credential {
	if st == nil {
		return nil
	}
	for i := range st.Credentials {
		if st.Credentials[i].Name == name {
			return &st.Credentials[i]
		}
	}
	return nil
}

func denial(st *bundle.State, name string) scope.Reason {
	if st == nil || find(st, name) != nil {
		return ""
	}
	for _, d := range st.Denied {
		if d.Name == name {
			return d.Reason
		}
	}
	return ""
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, wanted func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// awaitCondition waits until the pod shows status and reason.
func (w *world) awaitCondition(pod *corev1.Pod, status corev1.ConditionStatus, reason string) corev1.PodCondition {
	w.t.Helper()
	var got corev1.PodCondition
	poll(w.t, fmt.Sprintf("condition %s %s of pod %s", status, reason, pod.Name), func() bool {
		live := &corev1.Pod{}
		if err := admin.Get(w.ctx, client.ObjectKeyFromObject(pod), live); err != nil {
			w.t.Fatal(err)
		}
		for _, c := range live.Status.Conditions {
			if c.Type == ConditionScopeEnforced {
				got = c
			}
		}
		return got.Status == status && got.Reason == reason
	})
	return got
}
