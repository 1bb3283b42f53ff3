package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRecordsAreNotRead runs with a standard error that is a pipe, as in a script,
// whose reader stops: each request is refused, none waits for ever, and all goes on
// when it is read again. The pipe is not changed for others that write to it.
func TestRecordsAreNotRead(t *testing.T) {
	r := rehearse(t, "", "")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	shared, err := syscall.Dup(int(out.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(shared, false); err != nil { // as what is inherited
		t.Fatal(err)
	}
	stderr := os.NewFile(uintptr(shared), "stderr")
	defer stderr.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	arguments := append(r.arguments[:5:5], r.arguments[7:]...) // without --audit-file
	go func() { ended <- run(ctx, arguments, strings.NewReader(""), &r.stdout, stderr) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}()
	var ready readyFile
	if !eventually(10*time.Second, func() bool {
		text, err := os.ReadFile(r.ready)
		return err == nil && json.Unmarshal(text, &ready) == nil
	}) {
		t.Fatal("no ready file")
	}
	url, token := ready.Credentials[0].Endpoints[0].URL+"/v1/a", ready.Credentials[0].Token
	if status, body := get(t, url, token); status != 200 {
		t.Fatalf("before: %d %s", status, body)
	}
	if err := fillUp(shared); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body := get(t, url, token); status != 503 || !strings.Contains(body, "Unrecorded") {
			t.Errorf("nobody reads: %d %s", status, body)
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, in)
	}()
	if status, body := get(t, url, token); status != 200 {
		t.Errorf("it is read again: %d %s", status, body)
	}
	if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(shared), syscall.F_GETFL, 0); errno != 0 || flags&syscall.O_NONBLOCK != 0 {
		t.Errorf("the standard error has the flags %#x, %v", flags, errno)
	}
}

// fillUp writes to a pipe, by a description of its own, until it takes nothing more.
func fillUp(pipe int) error {
	fd, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", pipe), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	for one := []byte("x"); ; {
		if _, err := syscall.Write(fd, one); errors.Is(err, syscall.EAGAIN) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
