package main

import (
	"bytes"
	"fmt"

	"github.com/sallyport-dev/sallyport/hack/bench/engine"
	"github.com/sallyport-dev/sallyport/hack/bench/peers"
)

// table is where a scenario stands in the report.
type table uint8

const (
	closed  table = iota // asked as fast as it is answered
	open                 // asked at one rate
	streams              // of events
)

// scenario is what every proxy runs in each round.
type scenario struct {
	name        string
	table       table
	secure      bool // the upstream is asked by HTTPS
	connections int
	work        engine.Work
	rate        float64 // of an open loop, per second
}

// proxies are the names of those that run s, direct among them. One that cannot
// read JSON would do less than the others where it is uploaded.
func (s scenario) proxies() []string {
	names := []string{direct}
	for _, p := range peers.All {
		if p.Reads || s.work.Media != engine.JSON {
			names = append(names, p.Name)
		}
	}
	return names
}

// The scenarios that figures of Sallyport alone are taken from.
const (
	gateRate      = 1000.0 // requests per second
	gateScenario  = "HTTP, 1000 requests/s"
	firstScenario = "HTTP, 1 stream after the other"
)

const uploadBytes = 4 << 10

// leastCapacity keeps the two rates apart on any machine.
const leastCapacity = 4 * gateRate

// scenarios are all of them. capacity is how many requests per second fill
// HAProxy's core.
func scenarios(capacity float64) []scenario {
	var all []scenario
	for _, secure := range []bool{false, true} {
		scheme := map[bool]string{false: "HTTP", true: "HTTPS"}[secure]
		for _, connections := range []int{1, 32, 256} {
			for _, body := range []int{0, 4 << 10, 1 << 20} {
				all = append(all, scenario{
					name:  fmt.Sprintf("%s, %s, %s", scheme, counted(connections), size(body)),
					table: closed, secure: secure, connections: connections, work: engine.Work{Answer: body},
				})
			}
		}
		opaque, json := upload()
		all = append(all,
			scenario{scheme + ", 32 connections, upload of 4 KiB", closed, secure, 32, opaque, 0},
			scenario{scheme + ", 32 connections, upload of 4 KiB JSON", closed, secure, 32, json, 0},
			scenario{scheme + ", 1000 requests/s", open, secure, 32, engine.Work{Answer: 1 << 10}, gateRate},
			scenario{fmt.Sprintf("%s, %.0f requests/s", scheme, capacity/2), open, secure, 32, engine.Work{Answer: 1 << 10}, capacity / 2},
			scenario{scheme + ", 1 stream after the other", streams, secure, 1, engine.Work{Events: 1}, 0},
			scenario{scheme + ", 32 streams", streams, secure, 32, engine.Work{Events: -1}, 0},
		)
	}
	return all
}

// upload is the same bytes, once as some that nobody reads and once as JSON. The
// member that is judged comes last, so that nobody is done before the end.
func upload() (opaque, json engine.Work) {
	const answer, end = 100, `],"kind":"record"}`
	text := []byte(`{"records":[`)
	for i := 0; len(text) < uploadBytes-100; i++ {
		text = fmt.Appendf(text, `{"id":%d,"title":"a record of some length","done":false},`, i)
	}
	text = append(bytes.TrimSuffix(text, []byte(",")), end...)
	text = append(text, bytes.Repeat([]byte(" "), uploadBytes-len(text))...)
	return engine.Work{Media: "application/octet-stream", Upload: text, Answer: answer},
		engine.Work{Media: engine.JSON, Upload: text, Answer: answer}
}

func counted(connections int) string {
	if connections == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", connections)
}

func size(body int) string {
	switch {
	case body >= 1<<20:
		return fmt.Sprintf("%d MiB", body>>20)
	case body >= 1<<10:
		return fmt.Sprintf("%d KiB", body>>10)
	}
	return "no body"
}
