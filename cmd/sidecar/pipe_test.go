package main

import (
	"io"
	"os"
	"syscall"
	"testing"
)

// TestRecordsAreNotRead serves while nobody collects what the sidecar prints, as
// where the log collector of a node hangs: each request is refused, none is left
// without an answer, and all goes on when the collector does.
func TestRecordsAreNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	begin := func() *pod {
		p := &pod{t: t, private: t.TempDir(), tell: t.TempDir(), stdout: w}
		p.startAt("--listen=notes/rest=", free(t))
		return p
	}
	p := begin()
	for ; !p.listens(); p = begin() {
		p.stop() // somebody else was faster
	}
	p.state <- granted("https://upstream.invalid")
	raw := "GET /notes HTTP/1.1\r\nHost: upstream.invalid\r\nConnection: close\r\nAuthorization: Bearer " + p.handle + "\r\n\r\n"
	if !eventually(func() bool { return p.ask(raw).status == 502 }) {
		t.Fatalf("no request is recorded:\n%s", p.log.String())
	}
	if err := fillUp(w); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := p.ask(raw); got.status != 503 || got.Reason != "Unrecorded" {
			t.Errorf("nobody reads: got %+v", got)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if got := p.ask(raw); got.status != 502 || got.Reason != "UpstreamUnreachable" {
		t.Errorf("it is read again: got %+v", got)
	}
}

// fillUp writes to a pipe until it takes nothing more.
func fillUp(w *os.File) error {
	raw, err := w.SyscallConn()
	if err != nil {
		return err
	}
	page := make([]byte, 1) // until not even a short record has room
	return raw.Control(func(fd uintptr) {
		for {
			if _, err := syscall.Write(int(fd), page); err != nil {
				return
			}
		}
	})
}
