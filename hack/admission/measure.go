package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/test/webhooks"
)

const replicas = 2

// probeEvery is that of config/webhook/deployment.yaml: each probe is a
// handshake.
const probeEvery = 2 * time.Second

// measure does everything, and reports.
func (p *plan) measure(ctx context.Context, out io.Writer) (err error) {
	c, err := webhooks.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	c.ProbeEvery = probeEvery
	if err := c.Keep(ctx, time.Now()); err != nil {
		return err
	}
	for range replicas {
		r, err := c.Replica()
		if err != nil {
			return err
		}
		if err := until(ctx, "a replica is ready", r.Ready); err != nil {
			return fmt.Errorf("%w: %s", err, r.Said())
		}
	}
	if err := until(ctx, "a pod is admitted", func() bool { return c.API.Create(ctx, webhooks.Pod(true)) == nil }); err != nil {
		return err
	}
	return p.all(ctx, c, out)
}

// figures are those of one run.
type figures struct {
	sent, failed int64
	review       histogram // of the webhook, as the API server saw it
	request      histogram // the creation of a pod as a whole
}

func (p *plan) all(ctx context.Context, c *webhooks.Cluster, out io.Writer) error {
	if _, err := p.one(ctx, c, true); err != nil { // to warm up
		return err
	}
	var asking, plain []figures
	for round := range p.rounds {
		for _, asks := range []bool{round%2 == 0, round%2 != 0} {
			f, err := p.one(ctx, c, asks)
			if err != nil {
				return err
			}
			if asks {
				asking = append(asking, f)
			} else {
				plain = append(plain, f)
			}
		}
	}
	p.report(out, asking, plain)
	return nil
}

// one makes one run, and takes away the pods that it made.
func (p *plan) one(ctx context.Context, c *webhooks.Cluster, asks bool) (f figures, err error) {
	before, err := scrape(ctx, c.Clients)
	if err != nil {
		return f, err
	}
	if f.sent, f.failed, err = p.load(ctx, c, asks); err != nil {
		return f, err
	}
	after, err := scrape(ctx, c.Clients)
	if err != nil {
		return f, err
	}
	f.review, f.request = after.review.since(before.review), after.request.since(before.request)
	if n := int64(f.review.count); asks && n < f.sent-f.failed {
		return f, fmt.Errorf("%d reviews of %d pods", n, f.sent)
	}
	return f, c.API.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(webhooks.Agents), client.GracePeriodSeconds(0))
}

// load creates pods at a constant rate, whether or not those before are done:
// the n-th is due at a time of its own, and none is left out. They are encoded
// beforehand, and what comes back is not read into an object: that would be the
// load's work on processors that the server needs.
func (p *plan) load(ctx context.Context, c *webhooks.Cluster, asks bool) (sent, failed int64, err error) {
	body, err := runtime.Encode(clientgoscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), webhooks.Pod(asks))
	if err != nil {
		return 0, 0, fmt.Errorf("encoding a pod: %w", err)
	}
	api := c.Clients.CoreV1().RESTClient()
	var failures atomic.Int64
	var running sync.WaitGroup
	between := time.Second / time.Duration(p.rate)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ; time.Duration(sent)*between < p.length && ctx.Err() == nil; sent++ {
		timer.Reset(time.Until(start.Add(time.Duration(sent) * between)))
		<-timer.C
		running.Go(func() {
			r := api.Post().Namespace(webhooks.Agents).Resource("pods").SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body)
			if r.Do(ctx).Error() != nil {
				failures.Add(1)
			}
		})
	}
	running.Wait()
	return sent, failures.Load(), nil
}

// report prints medians over the rounds, and the worst.
func (p *plan) report(out io.Writer, asking, plain []figures) {
	var sent, failed int64
	for _, f := range asking {
		sent, failed = sent+f.sent, failed+f.failed
	}
	_, _ = fmt.Fprintf(out, "%d rounds of %s at %d pods/s; %d of %d pods that ask were not created\n\n", p.rounds, p.length, p.rate, failed, sent)
	_, _ = fmt.Fprintf(out, "%-44s %-18s %-18s %-18s %s\n", "as the API server tells it", "mean (worst)", "p50 (worst)", "p99 (worst)", "within 5 ms, 25 ms")
	line := func(name string, all []figures, of func(figures) histogram) {
		var mean, p50, p99, five, twentyFive []float64
		for _, f := range all {
			h := of(f)
			mean = append(mean, 1000*h.mean())
			p50, p99 = append(p50, 1000*h.quantile(0.5)), append(p99, 1000*h.quantile(0.99))
			five, twentyFive = append(five, 100*h.within(0.005)), append(twentyFive, 100*h.within(0.025))
		}
		_, _ = fmt.Fprintf(out, "%-44s %5.1f ms (%5.1f)   %5.1f ms (%5.1f)   %5.1f ms (%5.1f)   %.1f %%, %.1f %%\n",
			name, median(mean), slices.Max(mean), median(p50), slices.Max(p50), median(p99), slices.Max(p99), median(five), median(twentyFive))
	}
	line("webhook, of pods that ask", asking, func(f figures) histogram { return f.review })
	line("whole request, of pods that ask", asking, func(f figures) histogram { return f.request })
	line("whole request, of pods that do not (control)", plain, func(f figures) histogram { return f.request })
}

func median(all []float64) float64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// until waits until wanted says yes, for at most a minute.
func until(ctx context.Context, what string, wanted func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
	return nil
}
