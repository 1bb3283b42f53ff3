package process

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/sidecar/socket"
)

// Lossy returns a writer to f for what is told beside the work, which waits for
// nobody: a line that a full pipe does not take is lost, or a request that has to be
// refused because nobody reads would wait with it. Of anything else than a pipe to
// which writes may have deadlines it returns f.
func Lossy(f *os.File) io.Writer {
	if f.SetWriteDeadline(time.Time{}) != nil {
		return f
	}
	return &lossy{pipe: socket.Of(f), file: f}
}

type lossy struct {
	mu   sync.Mutex
	pipe *socket.Socket
	file *os.File // which closes what is written to
}

// Write writes what goes, and says that all did. A line of up to 4096 bytes goes
// whole or not at all (pipe(7), PIPE_BUF).
func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pipe.WriteNow(p)
	return len(p), nil
}
