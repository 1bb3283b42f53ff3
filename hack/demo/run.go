package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	story.Tell(stdout, alike(without, stage.Without), alike(with, stage.With), s.Key, false)
	fmt.Fprintln(stdout, "\n  All that each agent can read: environment, files, /proc, volumes")
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

// alike is act with the agent's namespace under one name, so that the two halves
// stand side by side.
func alike(act *story.Act, half stage.Half) *story.Act {
	shown := *act
	shown.Actions = slices.Clone(act.Actions)
	for i := range shown.Actions {
		a := &shown.Actions[i]
		a.Target = strings.Replace(a.Target, "/namespaces/"+half.Agents+"/", "/namespaces/{its own}/", 1)
	}
	return &shown
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
		fmt.Fprintf(stdout, "    namespace %-18s %d MB searched, in every rendering: %d of %d real keys found\n",
			half.Agents, in.Size()>>20, len(found), len(keys))
		for name := range keys {
			if there := found[name] != ""; there != (half == stage.Without) {
				complaints = append(complaints, fmt.Sprintf("the key of %s: found in %s: %v", name, half.Agents, there))
			}
		}
	}
	return complaints, nil
}
