package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/test/envtest"
	"github.com/sallyport-dev/sallyport/test/fleet"
)

// measure does everything, and reports.
func (p *plan) measure(ctx context.Context, out io.Writer) (err error) {
	dir, err := memory()
	if err != nil {
		return err
	}
	// A sidecar's heap is small, and no document makes it be collected. That of
	// a thousand of them in one process would be, again and again.
	debug.SetGCPercent(sidecarsGC)
	config, stop, err := envtest.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(), os.RemoveAll(dir)) }()
	config.QPS, config.Burst = -1, -1
	if err := fleet.Prepare(ctx, config, time.Now()); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	profiler := ""
	if p.profiles != "" {
		if profiler, err = freeAddress(); err != nil {
			return err
		}
	}
	manager, err := startManager(ctx, dir, config, address, profiler)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.stop()) }()
	c, err := newCrowd(ctx, config, p.sidecars)
	if err != nil {
		return err
	}
	defer c.upstream.Close()
	return p.all(ctx, config, dir, c, manager, out)
}

// sidecarsGC is how much the heap of the sidecars grows between collections.
const sidecarsGC = 400

// memory makes a directory that is in memory, as the volumes of a pod are, where
// this system has a place for that.
func memory() (string, error) {
	const shared = "/dev/shm"
	place := ""
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		place = shared
	}
	dir, err := os.MkdirTemp(place, "sallyport-scale-")
	if err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	return dir, nil
}

func (p *plan) all(ctx context.Context, config *rest.Config, dir string, c *crowd, m *process, out io.Writer) error {
	begun := time.Now()
	running, cancel := context.WithCancel(ctx)
	defer func() { cancel(); c.running.Wait() }()
	if err := c.start(running, config, dir, m.address); err != nil {
		return err
	}
	if err := poll(ctx, "every sidecar is served", func() bool { return c.all(1) }); err != nil {
		return err
	}
	report(out, "%d sidecars, created and served in %.1f s", p.sidecars, time.Since(begun).Seconds())
	if err := p.quiet(ctx, c); err != nil {
		return err
	}
	report(out, "every pod shows it after %.1f s", time.Since(begun).Seconds())
	if err := p.changes(ctx, c, m, out); err != nil {
		return err
	}
	size, err := c.size()
	if err != nil {
		return err
	}
	if err := p.control(ctx, size, out); err != nil {
		return err
	}
	now, most, err := m.memory()
	if err != nil {
		return err
	}
	report(out, "memory of the manager: %d MiB, at most %d MiB", now, most)
	return p.restart(ctx, c, m, out)
}

// quiet waits until the credential is said to be enforced everywhere: what was
// done to begin with is over then.
func (p *plan) quiet(ctx context.Context, c *crowd) error {
	return poll(ctx, "the credential is enforced", func() bool {
		sc := &v1alpha1.ScopedCredential{}
		err := c.api.Get(ctx, client.ObjectKey{Namespace: agents, Name: notes}, sc)
		return err == nil && sc.Status.Sidecars != nil && int(sc.Status.Sidecars.Enforcing) == p.sidecars
	})
}

// changes measures edits of each kind.
func (p *plan) changes(ctx context.Context, c *crowd, m *process, out io.Writer) error {
	profiled := func() error { return nil }
	if p.profiles != "" {
		var err error
		if profiled, err = m.profile(p.profiles, time.Duration(p.rounds)*(p.rest+time.Second)); err != nil {
			return err
		}
	}
	err := p.edits(ctx, c, m, "scope change", func(s *v1alpha1.ScopedCredentialSpec, round int) {
		s.Grants[0].HTTP.Paths = []string{"/notes", fmt.Sprintf("/round/%d", round)}
	}, out)
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	return p.edits(ctx, c, m, "revocation", func(s *v1alpha1.ScopedCredentialSpec, _ int) { s.Suspend = true }, out)
}

// edits makes one edit after another, and undoes what it took away.
func (p *plan) edits(ctx context.Context, c *crowd, m *process, name string, edit func(*v1alpha1.ScopedCredentialSpec, int), out io.Writer) error {
	var first, p50s, p99s, most []time.Duration
	var spent []cpu
	for round := range p.rounds {
		if err := pause(ctx, p.rest); err != nil {
			return err
		}
		times, used, err := c.round(ctx, m, func(s *v1alpha1.ScopedCredentialSpec) { edit(s, round) })
		if err != nil {
			return err
		}
		first, p50s = append(first, times[0]), append(p50s, at(times, 50))
		p99s, most = append(p99s, at(times, 99)), append(most, times[len(times)-1])
		spent = append(spent, used)
		sc, _, err := c.change(ctx, func(s *v1alpha1.ScopedCredentialSpec) { s.Suspend = false })
		if err != nil {
			return err
		}
		if err := poll(ctx, "every sidecar is served again", func() bool { return c.all(sc.Generation) }); err != nil {
			return err
		}
	}
	report(out, "%s enforced, median of %d rounds: first %s, p50 %s, p99 %s, last %s (p50 of each: %v, p99: %v)",
		name, p.rounds, median(first), median(p50s), median(p99s), median(most), p50s, p99s)
	report(out, "  processor time until then, for each sidecar: %s", middle(spent).each(p.sidecars))
	return nil
}

// round makes one edit, and tells when each judge decided by it, soonest first.
func (c *crowd) round(ctx context.Context, m *process, edit func(*v1alpha1.ScopedCredentialSpec)) ([]time.Duration, cpu, error) {
	before, err := m.used()
	if err != nil {
		return nil, cpu{}, err
	}
	sc, answered, err := c.change(ctx, edit)
	if err != nil {
		return nil, cpu{}, err
	}
	wanted := sc.Generation
	if sc.Spec.Suspend {
		wanted = 0
	}
	if err := poll(ctx, "every judge decides by the edit", func() bool { return c.all(wanted) }); err != nil {
		return nil, cpu{}, err
	}
	after, err := m.used()
	if err != nil {
		return nil, cpu{}, err
	}
	times := c.times(answered)
	slices.Sort(times)
	return times, after.since(before), nil
}

// change edits the credential, and tells when the API server answered.
func (c *crowd) change(ctx context.Context, edit func(*v1alpha1.ScopedCredentialSpec)) (*v1alpha1.ScopedCredential, time.Time, error) {
	sc := &v1alpha1.ScopedCredential{}
	if err := c.api.Get(ctx, client.ObjectKey{Namespace: agents, Name: notes}, sc); err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the credential: %w", err)
	}
	before := sc.DeepCopy()
	edit(&sc.Spec)
	// No version: the status is written meanwhile.
	if err := c.api.Patch(ctx, sc, client.MergeFrom(before)); err != nil {
		return nil, time.Time{}, fmt.Errorf("editing the credential: %w", err)
	}
	return sc, time.Now(), nil
}

// restart ends the manager under load and starts it again, until every sidecar
// has heard from the new one.
func (p *plan) restart(ctx context.Context, c *crowd, m *process, out io.Writer) error {
	stop := p.load(ctx, c)
	begun := time.Now()
	if err := m.stop(); err != nil {
		return err
	}
	c.mu.Lock()
	c.heard = 0
	c.mu.Unlock()
	if err := m.start(ctx); err != nil {
		return err
	}
	err := poll(ctx, "every sidecar has come back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.heard >= p.sidecars
	})
	answers := stop()
	if err != nil {
		return err
	}
	total, failed := 0, 0
	for status, n := range answers {
		if total += n; status != http.StatusOK {
			failed += n
		}
	}
	report(out, "broker restarted: %d of %d requests failed at %d/s, all sidecars back after %.1f s (answers by status, 0 is none: %v)",
		failed, total, p.rate, time.Since(begun).Seconds(), answers)
	return nil
}

// load makes requests at a constant rate, each at another sidecar, until stop,
// which counts the answers by status.
func (p *plan) load(ctx context.Context, c *crowd) (stop func() map[int]int) {
	ctx, cancel := context.WithCancel(ctx)
	answers := map[int]int{}
	var mu sync.Mutex
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(p.rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			running.Go(func() {
				status := c.ask(context.WithoutCancel(ctx), i%len(c.sidecars))
				mu.Lock()
				defer mu.Unlock()
				answers[status]++
			})
		}
	})
	return func() map[int]int {
		cancel()
		running.Wait()
		return answers
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// at is a percentile of what is sorted.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(time.Millisecond)
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2].Round(time.Millisecond)
}
