package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/cmd/sallyport/ask"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Exit statuses besides that of a COMMAND.
const (
	exitFailed  = 1
	exitRefused = 2 // a manifest does not compile
)

// report prints err and returns the exit status that it stands for.
func report(err error, stderr io.Writer) int {
	var ended *commandEnded
	var asked *ask.Ended
	var refused manifest.Errors
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return ended.status // the COMMAND has said why
	case errors.As(err, &asked):
		if asked.Err != nil {
			_ = report(asked.Err, stderr)
		}
		return asked.Status
	case errors.As(err, &refused):
		_, _ = fmt.Fprintln(stderr, refused)
		return exitRefused
	}
	_, _ = fmt.Fprintln(stderr, "sallyport:", err)
	return exitFailed
}

// commandEnded says that the COMMAND ended, and how.
type commandEnded struct{ status int }

func (e *commandEnded) Error() string {
	return fmt.Sprintf("the command ended with status %d", e.status)
}

// graceful is how long a COMMAND has to end after it was asked to.
const graceful = 10 * time.Second

// runCommand runs the COMMAND and returns *commandEnded with its status, 128
// and the signal's number where a signal ended it, as shells have it. When ctx
// ends, it is asked to end, and killed where it does not.
func runCommand(ctx context.Context, command, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = environ
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = graceful
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting the command: %w", err)
	}
	err := c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &commandEnded{exitStatus(exit.ProcessState)}
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("running the command: %w", err)
	}
	return &commandEnded{c.ProcessState.ExitCode()}
}

func exitStatus(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// clientEnviron is the inherited environment in which the variables of the
// credentials replace those of the same name. Where two credentials would set
// the same, the first has it.
func clientEnviron(inherited []string, client []bundle.EnvVar) []string {
	set := map[string]bool{}
	var own []string
	for _, v := range client {
		if !set[v.Name] {
			set[v.Name] = true
			own = append(own, v.Name+"="+v.Value)
		}
	}
	var out []string
	for _, v := range inherited {
		name, _, _ := strings.Cut(v, "=")
		if !set[name] {
			out = append(out, v)
		}
	}
	return append(out, own...)
}

// basic is a token as the password of HTTP Basic. The user name is the client's
// own affair.
func basic(token string) string {
	return base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
}

// fillEnv puts the listeners' addresses and the token into the variables of a
// credential.
func fillEnv(env []bundle.EnvVar, urls map[string]string, token string) []bundle.EnvVar {
	pairs := []string{"{token}", token, "{basic}", basic(token)}
	for endpoint, url := range urls {
		pairs = append(pairs, "{url:"+endpoint+"}", url)
	}
	replacer := strings.NewReplacer(pairs...)
	var out []bundle.EnvVar
	for _, v := range env {
		out = append(out, bundle.EnvVar{Name: v.Name, Value: replacer.Replace(v.Value)})
	}
	return out
}
