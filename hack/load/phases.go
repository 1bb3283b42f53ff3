package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport-dev/sallyport/hack/load/bystander"
)

// load is one run.
type load struct {
	options
	subject *subject
	agents  *agents // through the subject
	direct  *agents // to the upstream: what the load adds to itself
	out     io.Writer

	bystander *bystander.Bystander

	rate   float64 // of well-behaved agents beside hostile ones
	calm   float64 // and without these: as much work
	memory watch
	all    []*phase
	asked  int64 // through the subject
}

// phase is a time with or without hostile agents.
type phase struct {
	beset   bool
	length  time.Duration
	through *tally
	control *tally
	other   bystander.Result
	visits  int64
	used    cpu
	memory  int64
	open    int // descriptors
}

// controlShare is how many questions are asked to the upstream itself, of those
// that are asked through the subject.
const controlShare = 0.05

func (l *load) run(ctx context.Context) error {
	before, err := l.subject.descriptors()
	if err != nil {
		return fmt.Errorf("counting descriptors: %w", err)
	}
	if err := l.find(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- l.memory.run(watching, l.subject) }()
	for n := range l.pairs {
		for _, beset := range []bool{false, true} {
			if err := l.phase(ctx, n, beset); err != nil {
				return err
			}
		}
	}
	stop()
	if err := <-watched; err != nil {
		return err
	}
	after, err := settled(ctx, l.subject, before)
	if err != nil {
		return err
	}
	if err := l.subject.stop(); err != nil {
		return err
	}
	l.table(before, after)
	return l.verdict(before, after)
}

// find measures what the subject and the load can do, with all that is asked
// besides, and what hostile agents keep others from; the rest, up to the share, is
// what well-behaved agents ask for beside them. Without them they ask for the whole
// share: what differs is who asks, and not how much there is to do.
func (l *load) find(ctx context.Context) error {
	alone, _, err := l.capacity(ctx, 0, false)
	if err != nil {
		return err
	}
	capacity, most, err := l.capacity(ctx, alone, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(l.out, "capacity %.0f requests/s, with %.0f %% of a core for the data plane and %.0f %% for load and upstream\n",
		capacity, percent(most.used.subject, l.measure), percent(most.used.load, l.measure))
	theirs, err := l.temper(ctx, capacity)
	if err != nil {
		return err
	}
	l.rate, l.calm = (l.share-theirs)*capacity, l.share*capacity
	fmt.Fprintf(l.out, "running at %.0f requests/s, and beside hostile agents at %.0f: %.0f %% of the capacity\n", l.calm, l.rate, 100*l.share)
	return nil
}

// capacity is how many requests per second are answered of agents that ask again at
// once, beside hostile ones or not. With a rate, what is asked beside agents at that
// rate is asked beside these.
func (l *load) capacity(ctx context.Context, rate float64, beset bool) (float64, *phase, error) {
	p, err := l.spend(ctx, l.measure, func(ctx context.Context, p *phase) error {
		await, leave := func() error { return nil }, l.besiege(ctx, beset, 0, p)
		if rate > 0 {
			await = l.beside(ctx, l.measure, rate, p)
		}
		p.through = l.agents.run(ctx, l.measure, 0)
		return errors.Join(await(), leave())
	})
	if err != nil {
		return 0, nil, err
	}
	l.asked += p.through.asked.Load() + int64(p.other.Asked)
	return float64(p.through.asked.Load()) / l.measure.Seconds(), p, p.verdict()
}

// besiege lets hostile agents misbehave, where a phase has them, until they are told
// to leave.
func (l *load) besiege(ctx context.Context, beset bool, idle int, p *phase) (leave func() error) {
	if !beset {
		return func() error { return nil }
	}
	ctx, stop := context.WithCancel(ctx)
	harassed := make(chan error, 1)
	go func() {
		var err error
		p.visits, err = harass(ctx, l.subject.rude, idle, l.pause)
		harassed <- err
	}()
	return func() error {
		stop()
		return <-harassed
	}
}

// beside asks what agents at a rate are held against, for as long as these ask: a
// part of their questions past the subject, and those of the bystander.
func (l *load) beside(ctx context.Context, length time.Duration, rate float64, p *phase) (await func() error) {
	controlled, heard := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(controlled)
		p.control = l.direct.run(ctx, length, controlShare*rate)
	}()
	go func() {
		q := l.subject.other
		q.Length = length
		var err error
		p.other, err = l.bystander.Ask(q)
		heard <- err
	}()
	return func() error {
		<-controlled
		return <-heard
	}
}

// temper finds how long hostile agents have to pause to keep others from no more
// than half of the share, and returns what part of the capacity it is then. On a
// slow machine what they have to be sent leaves nothing to anybody else. What counts
// is what others get less: what hostile agents cost by themselves is not that, since
// neither core does anything for others in all the time that it has.
func (l *load) temper(ctx context.Context, capacity float64) (theirs float64, err error) {
	const tries = 6
	for range tries {
		left, p, err := l.capacity(ctx, capacity, true)
		if err != nil {
			return 0, err
		}
		theirs = max(0, 1-left/capacity)
		fmt.Fprintf(l.out, "hostile agents keep others from %.0f %% of that: %.0f visits/s, %v between two of one agent\n",
			100*theirs, float64(p.visits)/l.measure.Seconds(), l.pause)
		if theirs <= l.share/2 {
			return theirs, nil
		}
		l.pause *= 2
	}
	return 0, errors.New("hostile agents leave less than half of the share to others, however long they pause: try on an idle machine")
}

func percent(of, all time.Duration) float64 { return 100 * float64(of) / float64(max(1, all)) }

// spend runs a phase, and notes what it cost.
func (l *load) spend(ctx context.Context, length time.Duration, do func(context.Context, *phase) error) (*phase, error) {
	before, err := l.subject.used()
	if err != nil {
		return nil, err
	}
	p := &phase{length: length}
	if err := do(ctx, p); err != nil {
		return nil, err
	}
	after, err := l.subject.used()
	if err != nil {
		return nil, err
	}
	p.used = after.since(before)
	open, err := l.subject.descriptors()
	p.open = max(p.open, open) // the phase has looked while its agents were there
	return p, err
}

// phase asks at the rate, through the subject and past it.
func (l *load) phase(ctx context.Context, n int, beset bool) error {
	length, rate := l.length/time.Duration(l.pairs), l.rate
	if !beset {
		length, rate = length/3, l.calm
	}
	p, err := l.spend(ctx, length, func(ctx context.Context, p *phase) error {
		leave := l.besiege(ctx, beset, l.idle, p)
		await := l.beside(ctx, length, rate, p)
		p.through = l.agents.run(ctx, length, rate)
		errBystander := await()
		p.open, _ = l.subject.descriptors() // while they are there; spend reports errors
		return errors.Join(leave(), errBystander)
	})
	if err != nil {
		return err
	}
	p.beset, p.memory = beset, l.memory.last()
	l.asked += p.through.asked.Load() + int64(p.other.Asked)
	l.all = append(l.all, p)
	l.progress(n, p)
	return ctx.Err()
}
