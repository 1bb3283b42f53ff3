package main

import (
	"crypto/sha256"
	"os"
	"time"
)

// watchEvery is how often watched files are looked at. They are read rather
// than asked for events: events get lost, and the files are few and small.
const watchEvery = 200 * time.Millisecond

// watcher tells when the text of files changes.
type watcher struct{ last map[string][sha256.Size]byte }

func newWatcher(files []string) *watcher {
	w := &watcher{last: map[string][sha256.Size]byte{}}
	for _, file := range files {
		if file != "-" {
			w.last[file] = digest(file)
		}
	}
	return w
}

// changed tells whether a file is another than at the last call.
func (w *watcher) changed() bool {
	changed := false
	for file, last := range w.last {
		if now := digest(file); now != last {
			w.last[file], changed = now, true
		}
	}
	return changed
}

// digest is that of the text of a file, the zero value where there is none.
func digest(file string) [sha256.Size]byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(text)
}
