package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/story"
	"github.com/sallyport-dev/sallyport/test/upstream"
)

// Act waits until the agent of a half has played through, and returns the story
// as others saw it.
func (s *Stage) Act(ctx context.Context, half Half) (*story.Act, error) {
	act := &story.Act{}
	for _, look := range []func(context.Context, Half, *story.Act) error{
		s.played, s.branches, s.seen, s.environment, s.audit,
	} {
		if err := look(ctx, half, act); err != nil {
			return nil, fmt.Errorf("looking at what became of %s: %w", half.Agents, err)
		}
	}
	return act, nil
}

// playLimit is how long an agent may take, starting its pod included.
const playLimit = 3 * time.Minute

func (s *Stage) played(ctx context.Context, half Half, act *story.Act) error {
	return kube.Until(ctx, playLimit, "the agent in "+half.Agents, func(ctx context.Context) error {
		var err error
		if act.Printed, err = s.Cluster.Run(ctx, "logs", "-n", half.Agents, "deployment/agent", "-c", "agent"); err != nil {
			return err
		}
		act.Actions, err = story.Actions(act.Printed)
		return err
	})
}

func (s *Stage) branches(ctx context.Context, half Half, act *story.Act) error {
	out, err := s.Cluster.Exec(ctx, half.Upstream, "deployment/api", "api", "git", "-c", "safe.directory=*",
		"--git-dir", "/data/"+story.Repository+".git", "for-each-ref", "--format=%(refname:short)", "refs/heads/")
	act.Branches = strings.Fields(out)
	return err
}

func (s *Stage) seen(ctx context.Context, half Half, act *story.Act) error {
	var err error
	act.Seen, err = s.Seen(ctx, half)
	return err
}

// Seen is the log of the upstream of a half.
func (s *Stage) Seen(ctx context.Context, half Half) ([]upstream.Entry, error) {
	text, err := s.Cluster.Run(ctx, "logs", "-n", half.Upstream, "deployment/api")
	if err != nil {
		return nil, err
	}
	var all []upstream.Entry
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		var e upstream.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err == nil && e.Method != "" {
			all = append(all, e)
		}
	}
	return all, nil
}

func (s *Stage) environment(ctx context.Context, half Half, act *story.Act) error {
	var err error
	act.Environment, err = s.Cluster.Exec(ctx, half.Agents, "deployment/agent", "agent", "env")
	return err
}

// audit reads what the sidecar put on record, where there is one.
func (s *Stage) audit(ctx context.Context, half Half, act *story.Act) error {
	if half == Without {
		return nil
	}
	text, err := s.Cluster.Run(ctx, "logs", "-n", half.Agents, "deployment/agent", "-c", "sallyport-sidecar")
	if err != nil {
		return err
	}
	act.Audit, err = story.Decisions([]byte(text))
	return err
}

// all prints what a process of the agent can read: its own environment and
// everybody's, what /proc tells of processes, every file of the image and of
// each volume. What cannot be read is passed over.
const all = `
env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/task/*/environ /proc/[0-9]*/mountinfo 2>/dev/null
{ echo /; awk '$3 != "proc" && $3 != "sysfs" && $3 !~ /^(cgroup|devpts|mqueue)/ {print $2}' /proc/mounts; } | sort -u |
while read -r mount; do
  find "$mount" -xdev -type f -print0 2>/dev/null | xargs -0 -r cat 2>/dev/null
done
true`

// ReadAll writes to w what the agent of a half can read.
func (s *Stage) ReadAll(ctx context.Context, half Half, w io.Writer) error {
	return s.Cluster.Stream(ctx, w, "exec", "-n", half.Agents, "deployment/agent", "-c", "agent", "--", "bash", "-c", all)
}
