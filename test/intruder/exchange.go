//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// request is one on standard input: a list of them, in JSON. {token} and {host}
// stand for what the agent was given.
type request struct{ Name, Text string }

// response is what came of it; status 0: no answer.
type response struct {
	Name   string
	Status int
	Body   string
}

const exchangeLimit = 10 * time.Second

// exchange sends each request as it stands, on a connection of its own.
func exchange(args []string) error {
	f := flag.NewFlagSet("exchange", flag.ContinueOnError)
	addr := f.String("addr", "", "")
	secured := f.Bool("tls", false, "")
	host := f.String("host", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	var all []request
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		return fmt.Errorf("reading requests: %w", err)
	}
	fill := strings.NewReplacer("{token}", os.Getenv("GITHUB_TOKEN"), "{host}", *host)
	answers := make([]response, len(all))
	for i, r := range all {
		answers[i].Name = r.Name
		c, err := connect(*addr, *secured)
		if err != nil {
			answers[i].Body = err.Error()
			continue
		}
		answers[i].Status, answers[i].Body = ask(c, fill.Replace(r.Text))
		_ = c.Close() // all was read that came
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func connect(addr string, secured bool) (net.Conn, error) {
	d := &net.Dialer{Timeout: exchangeLimit}
	if !secured {
		return d.Dial("tcp", addr)
	}
	return tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true}) // whoever it is gets nothing of worth
}

func ask(c net.Conn, text string) (int, string) {
	if err := c.SetDeadline(time.Now().Add(exchangeLimit)); err != nil {
		return 0, err.Error()
	}
	if _, err := io.WriteString(c, text); err != nil {
		return 0, err.Error()
	}
	method, _, _ := strings.Cut(text, " ")
	answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // as far as it goes
	return answer.StatusCode, string(body)
}
