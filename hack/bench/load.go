package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const host = "upstream.bench.svc"

// answerAll is the upstream: the same answer to every request, for as little
// work as possible, since it shares its core with the load.
func answerAll(l net.Listener, size int) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(size) + "\r\n\r\n" + string(bytes.Repeat([]byte("x"), size)))
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go answerOn(c, answer)
	}
}

func answerOn(c net.Conn, answer []byte) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 8192)
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += m
		if !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		n = 0
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// load sends one request after the other on each connection until ctx ends,
// and returns how long each took. Every answer must be 200 and whole.
func load(ctx context.Context, addr, authority, token string, connections int) ([]time.Duration, error) {
	var (
		mu   sync.Mutex
		all  []time.Duration
		errs []error
		wg   sync.WaitGroup
	)
	for range connections {
		wg.Go(func() {
			took, err := loadOne(ctx, addr, authority, token)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all, errors.Join(errs...)
}

func loadOne(ctx context.Context, addr, authority, token string) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = c.Close() }()
	request := []byte("GET /repos/acme/web/pulls HTTP/1.1\r\nHost: " + authority +
		"\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	length, err := firstAnswer(c, request)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, length)
	took := make([]time.Duration, 0, 1<<16)
	for ctx.Err() == nil {
		start := time.Now()
		if _, err := c.Write(request); err != nil {
			return nil, fmt.Errorf("sending: %w", err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return nil, fmt.Errorf("receiving: %w", err)
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
			return nil, fmt.Errorf("answer: %.200s", buf)
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// firstAnswer returns the length of the answer, which is the same every time
// but for the clock in its header, so that the loop need not parse.
func firstAnswer(c net.Conn, request []byte) (int, error) {
	if _, err := c.Write(request); err != nil {
		return 0, fmt.Errorf("sending: %w", err)
	}
	var whole bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &whole)), nil)
	if err != nil {
		return 0, fmt.Errorf("reading the first answer: %w", err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return 0, fmt.Errorf("reading the first answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("first answer: %.300s", whole.Bytes())
	}
	return whole.Len(), nil
}
