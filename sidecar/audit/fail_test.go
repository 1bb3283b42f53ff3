package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// moody is a sink that takes a write whole, in part or not at all, with an error
// or without one.
type moody struct {
	dice *rand.Rand
	text bytes.Buffer    // all that it took
	took map[string]bool // ids of the records that it took by a write that succeeded
}

var errMood = errors.New("not now")

// Write is called by one at a time: the Log sees to it, and the race detector to
// that.
func (m *moody) Write(p []byte) (int, error) {
	runtime.Gosched() // others queue up meanwhile
	n := m.dice.IntN(len(p) + 1)
	switch m.dice.IntN(6) {
	case 0:
		return 0, errMood
	case 1:
		m.text.Write(p[:n])
		return n, errMood
	case 2: // what no Writer should do
		m.text.Write(p[:n])
		m.take(p[:n], n == len(p))
		return n, nil
	}
	m.text.Write(p)
	m.take(p, true)
	return len(p), nil
}

func (m *moody) take(p []byte, whole bool) {
	for id := range ids(p) {
		m.took[id] = whole
	}
}

// ids returns how often each record stands in a text as a line of its own.
func ids(text []byte) map[string]int {
	all := map[string]int{}
	for one := range bytes.Lines(text) {
		var l line
		if one[len(one)-1] == '\n' && json.Unmarshal(one, &l) == nil {
			all[l.ID]++
		}
	}
	return all
}

// TestNothingIsSaidToBeWritten has many write to what fails now and then, and
// recovers: a record is said to be written exactly where one write took it whole,
// and then stands on a line of its own. Who shared a write hears the same of it,
// and a batch that is used again tells nobody of the one before.
func TestNothingIsSaidToBeWritten(t *testing.T) {
	const writers, each = 24, 200
	for seed := range uint64(4) {
		sink := &moody{dice: rand.New(rand.NewPCG(seed, 1)), took: map[string]bool{}}
		l := NewLog(sink)
		var said [writers][each]error
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					said[w][i] = l.Write(&Record{Time: at, Event: Decision, ID: fmt.Appendf(nil, "%02d-%04d", w, i)})
				}
			})
		}
		all.Wait()
		lines, failures := ids(sink.text.Bytes()), 0
		for w := range writers {
			for i, err := range said[w] {
				id := fmt.Sprintf("%02d-%04d", w, i)
				if err != nil {
					failures++
				}
				if (err == nil) != sink.took[id] || err != nil && !errors.Is(err, ErrUnrecorded) {
					t.Errorf("seed %d: %s: got %v, and taken is %t", seed, id, err, sink.took[id])
				}
				if err == nil && lines[id] != 1 {
					t.Errorf("seed %d: %s was said to be written, and is there %d times", seed, id, lines[id])
				}
			}
		}
		if failures == 0 || failures == writers*each {
			t.Errorf("seed %d: %d failures of %d", seed, failures, writers*each)
		}
	}
}
