package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/test/canary"
	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/stage"
	"github.com/sallyport-dev/sallyport/test/story"
)

// limit is what the story takes at most.
const limit = 8 * time.Minute

// run sets the story up, waits for both agents and tells what became of them.
// It fails where the story does not hold.
func run(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(stderr, "%7.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	s, err := set(ctx, getenv, say)
	if err != nil {
		return err
	}
	without, err := s.Act(ctx, stage.Without)
	if err != nil {
		return err
	}
	say("the agent that holds the keys has played through")
	with, err := s.Act(ctx, stage.With)
	if err != nil {
		return err
	}
	say("the agent that has an annotation has played through")
	story.Tell(stdout, without, with, s.Key, false)
	complaints := story.Check(without, with, s.Key)
	found, err := search(ctx, s, stdout)
	if err != nil {
		return err
	}
	if complaints = append(complaints, found...); len(complaints) > 0 {
		return errors.New("the story does not hold:\n  " + strings.Join(complaints, "\n  "))
	}
	fmt.Fprintln(stdout, story.Moral(without, with))
	return nil
}

// set brings both agents up, afresh.
func set(ctx context.Context, getenv func(string) string, say func(string, ...any)) (*stage.Stage, error) {
	cluster, err := kube.Find(getenv)
	if err != nil {
		return nil, err
	}
	say("clearing the stage")
	if err := stage.Strike(ctx, cluster); err != nil {
		return nil, err
	}
	images := stage.Images{Agent: getenv("SALLYPORT_AGENT_IMAGE"), Upstream: getenv("SALLYPORT_UPSTREAM_IMAGE")}
	s, err := stage.New(cluster, images, say)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{s.Upstreams, s.Unguarded, s.Guarded} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// search looks for both real keys in all that the two agents can read. It must
// find them where they are, and only there.
func search(ctx context.Context, s *stage.Stage, stdout io.Writer) (complaints []string, err error) {
	keys := map[string]string{"GitHub": s.Key, "the API server": s.ClusterKey}
	for _, half := range []stage.Half{stage.Without, stage.With} {
		in := &canary.Scanner{Secrets: keys}
		if err := s.ReadAll(ctx, half, in); err != nil {
			return nil, err
		}
		found := in.Found()
		fmt.Fprintf(stdout, "Searched %d MB that the agent in namespace %s can read (environment, files, /proc, volumes): found the keys of %d of %d upstreams.\n",
			in.Size()>>20, half.Agents, len(found), len(keys))
		for name := range keys {
			if there := found[name] != ""; there != (half == stage.Without) {
				complaints = append(complaints, fmt.Sprintf("the key of %s: found in %s: %v", name, half.Agents, there))
			}
		}
	}
	return complaints, nil
}
