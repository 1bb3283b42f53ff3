package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestPipeThatIsNotRead has nobody collect what is written, as where the log
// collector of a node hangs: the pipe takes nothing more and does not fail.
// Nobody is left waiting, nobody is told that a record was written which was
// not, and once it is read again all goes on.
func TestPipeThatIsNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := NewLog(w)
	var mu sync.Mutex
	taken, refused := map[string]bool{}, 0
	write := func(id string) bool {
		err := l.Write(&Record{Time: at, Event: Decision, ID: []byte(id), Path: []byte("/" + strings.Repeat("a", 1000))})
		mu.Lock()
		defer mu.Unlock()
		if taken[id] = err == nil; err == nil {
			return true
		}
		refused++
		if !errors.Is(err, ErrUnrecorded) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("record %s: %v", id, err)
		}
		return false
	}
	var all sync.WaitGroup
	for agent := range 8 {
		all.Go(func() {
			for i := 0; write(fmt.Sprintf("%d-%d", agent, i)); i++ {
			}
		})
	}
	all.Wait()
	if refused != 8 || len(taken) < 20 {
		t.Fatalf("%d of %d were refused", refused, len(taken))
	}
	there := make(chan map[string]bool)
	go func() { there <- linesOf(r) }()
	if !write("later") {
		t.Error("it is read again, and takes nothing")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-there
	for id, ok := range taken {
		if ok && !got[id] {
			t.Errorf("%s was not written", id)
		}
	}
}

// A named pipe in the place of an audit file is no other.
func TestNamedPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(name, os.O_RDWR, 0) // or the writer would wait for it
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l := NewLog(w)
	for err == nil {
		err = l.Write(&Record{Time: at, Event: Decision, ID: []byte("1"), Path: make([]byte, 1000)})
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// linesOf returns the ids of the records that are whole.
func linesOf(r *os.File) map[string]bool {
	ids := map[string]bool{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var one struct{ ID string }
		if json.Unmarshal(lines.Bytes(), &one) == nil {
			ids[one.ID] = true
		}
	}
	return ids
}

// A deadline of a write that went well does not end a later one.
func TestDeadlineIsOfOneWrite(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	l := NewLog(w)
	if err := w.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(&Record{Time: at, Event: Decision, ID: []byte("1")}); err != nil {
		t.Errorf("got %v", err)
	}
}
