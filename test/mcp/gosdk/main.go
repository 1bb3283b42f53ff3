// Command gosdk is an MCP client of the official Go SDK. It does what its
// standard input says, a JSON object on each line, and tells what came of it,
// and what the server sent, on lines of its standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout, os.Getenv("MCP_URL"), os.Getenv("MCP_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer, url, token string) error {
	c := newClient(&lines{to: json.NewEncoder(out)}, url, token)
	for all := bufio.NewScanner(in); all.Scan(); {
		var s step
		if err := json.Unmarshal(all.Bytes(), &s); err != nil {
			return fmt.Errorf("reading a step: %w", err)
		}
		result, err := c.do(ctx, &s)
		if err := c.out.write(answer(result, err)); err != nil {
			return fmt.Errorf("telling: %w", err)
		}
	}
	return nil
}

// lines are written by several goroutines.
type lines struct {
	mu sync.Mutex
	to *json.Encoder
}

func (l *lines) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Encode(v)
}
