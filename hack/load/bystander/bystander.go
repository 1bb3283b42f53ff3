// Package bystander asks the data plane a little, on time, while others load it:
// what it waits is what these cost an agent that has nothing to do with them. It is
// a process of its own, ahead of the load wherever both could run, with an upstream
// of its own, so that it does not wait for the load itself.
package bystander

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Verb is the first argument of a program that is to be the bystander.
const Verb = "bystander"

// Agents is how many agents ask at once, Rate how often each does a second.
const (
	Agents = 8
	Rate   = 25
)

// Question has a Bystander ask for a while.
type Question struct {
	Base, Token string // of the data plane
	Length      time.Duration
}

// Times are quantiles of what it took, from when a request was due.
type Times struct{ P50, P90, P99, P999 time.Duration }

// Result is what came of a Question.
type Result struct {
	Through, Past Times // the data plane
	Asked         int   // through it
	Wrong         string
}

// Bystander is a process that was started.
type Bystander struct {
	Port int // of its upstream

	cmd  *exec.Cmd
	to   *json.Encoder
	from *json.Decoder
	end  io.Closer
}

// Start starts this program as bystander. It ends with ctx, or with Stop.
func Start(ctx context.Context) (*Bystander, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &Bystander{cmd: exec.CommandContext(ctx, "nice", "-n", "-20", self, Verb)}
	b.cmd.Stderr = os.Stderr
	in, err := b.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the bystander: %w", err)
	}
	b.to, b.from, b.end = json.NewEncoder(in), json.NewDecoder(out), in
	if err := b.from.Decode(&b.Port); err != nil {
		return nil, fmt.Errorf("starting the bystander: %w", err)
	}
	return b, nil
}

// Stop ends the process.
func (b *Bystander) Stop() error {
	_ = b.end.Close() // which is what it ends with
	return b.cmd.Wait()
}

// PID is that of the process.
func (b *Bystander) PID() int { return b.cmd.Process.Pid }

// Ask has it ask, and waits for what came of it.
func (b *Bystander) Ask(q Question) (r Result, err error) {
	if err := b.to.Encode(q); err != nil {
		return r, fmt.Errorf("asking the bystander: %w", err)
	}
	if err := b.from.Decode(&r); err != nil {
		return r, fmt.Errorf("hearing the bystander: %w", err)
	}
	return r, nil
}

// text is the upstream's answer.
const text = "there you are"

// Run is the bystander, until in ends.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text) // who is gone does not read it
	})}
	go func() { _ = server.Serve(l) }() // it ends with Close
	defer func() { _ = server.Close() }()
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	if err := to.Encode(l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	own := "http://" + l.Addr().String()
	for {
		var q Question
		if from.Decode(&q) != nil {
			return nil // nobody asks any more
		}
		if err := to.Encode(answer(ctx, q, own)); err != nil {
			return err
		}
	}
}

// answer asks through the data plane and past it.
func answer(ctx context.Context, q Question, own string) (r Result) {
	through, past := newAsker(q.Base, q.Token), newAsker(own, "")
	var both sync.WaitGroup
	both.Go(func() { r.Through = through.run(ctx, q.Length) })
	both.Go(func() { r.Past = past.run(ctx, q.Length) })
	both.Wait()
	r.Asked, r.Wrong = len(through.took), through.wrong
	if r.Wrong == "" {
		r.Wrong = past.wrong
	}
	return r
}

// asker asks one place.
type asker struct {
	url, token string
	client     *http.Client

	mu    sync.Mutex
	took  []time.Duration
	wrong string // what the first wrong answer was
}

func newAsker(base, token string) *asker {
	return &asker{url: base + "/there", token: token, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: Agents}, Timeout: time.Minute,
	}}
}

// run asks for a time. Who is late asks at once, and waits from when it was due.
func (a *asker) run(ctx context.Context, length time.Duration) Times {
	defer a.client.CloseIdleConnections()
	start, every := time.Now(), time.Second/Rate
	var all sync.WaitGroup
	for n := range Agents {
		all.Go(func() {
			for due := start.Add(every * time.Duration(n) / Agents); due.Sub(start) < length; due = due.Add(every) {
				wait, stop := context.WithDeadline(ctx, due)
				<-wait.Done()
				stop()
				if ctx.Err() != nil {
					return
				}
				wrong := a.ask(ctx)
				a.note(time.Since(due), wrong)
			}
		})
	}
	all.Wait()
	slices.Sort(a.took)
	return Times{a.at(0.5), a.at(0.9), a.at(0.99), a.at(0.999)}
}

func (a *asker) note(took time.Duration, wrong string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, took)
	if a.wrong == "" {
		a.wrong = wrong
	}
}

func (a *asker) at(quantile float64) time.Duration {
	if len(a.took) == 0 {
		return 0
	}
	return a.took[int(quantile*float64(len(a.took)-1))]
}

// ask returns what is wrong with an answer.
func (a *asker) ask(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	got, err := a.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = got.Body.Close() }()
	if body, err := io.ReadAll(got.Body); err != nil || got.StatusCode != http.StatusOK || string(body) != text {
		return fmt.Sprintf("%d, %.100q, %v", got.StatusCode, body, err)
	}
	return ""
}
