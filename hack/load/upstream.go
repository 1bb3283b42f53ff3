package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"
)

// slices of a body that the upstream sends one at a time.
const (
	largeAnswer = 4 << 20
	slice       = 16 << 10
)

// answerOf is the body that belongs to a number: what another number's answer
// says differs from it.
func answerOf(n int) []byte {
	return bytes.Repeat([]byte("item "+strconv.Itoa(n)+"\n"), 1+n%200)
}

// upstream answers each number with what belongs to it, breaks some answers
// off, and sends others slowly.
func upstream() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("id")) // the scope lets numbers pass alone
		_, _ = w.Write(answerOf(n))             // who is gone does not read it
	})
	mux.HandleFunc("POST /items", func(w http.ResponseWriter, r *http.Request) {
		var item struct{ ID int }
		if err := json.NewDecoder(r.Body).Decode(&item); err != nil {
			http.Error(w, "not an item", http.StatusBadRequest)
			return
		}
		_, _ = w.Write(answerOf(item.ID))
	})
	mux.HandleFunc("GET /resets/{id}", reset)
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		part := bytes.Repeat([]byte("x"), slice)
		for range largeAnswer / slice {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /drips", func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w)
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			if _, err := w.Write([]byte("drip\n")); err != nil || flush.Flush() != nil {
				tick.Stop()
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				tick.Stop()
				return
			}
		}
	})
	return mux
}

// reset breaks an answer off in its middle.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no connection of its own", http.StatusInternalServerError)
		return
	}
	_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that closing resets
	}
	_ = c.Close()
}
