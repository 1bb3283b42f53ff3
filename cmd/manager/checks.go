package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sallyport-dev/sallyport/controllers/authority"
)

// addChecks makes a replica ready once its caches are filled and it has a
// certificate to serve sidecars with.
func addChecks(mgr manager.Manager, leaf *authority.Leaf) error {
	filled := &waiter{wait: mgr.GetCache().WaitForCacheSync}
	if err := mgr.Add(filled); err != nil {
		return fmt.Errorf("adding a wait for the caches: %w", err)
	}
	checks := map[string]healthz.Checker{
		"caches": filled.check,
		"certificate": func(*http.Request) error {
			_, err := leaf.Get(nil)
			return err
		},
	}
	for name, check := range checks {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding check %s: %w", name, err)
		}
	}
	if err := mgr.AddHealthzCheck("process", healthz.Ping); err != nil {
		return fmt.Errorf("adding a check: %w", err)
	}
	return nil
}

// waiter knows whether what it waits for has come. It is a Runnable of every
// replica.
type waiter struct {
	wait func(context.Context) bool
	done atomic.Bool
}

// NeedLeaderElection is false: every replica has caches.
func (w *waiter) NeedLeaderElection() bool { return false }

// Start waits.
func (w *waiter) Start(ctx context.Context) error {
	w.done.Store(w.wait(ctx))
	return nil
}

func (w *waiter) check(*http.Request) error {
	if !w.done.Load() {
		return errors.New("the caches are not filled yet")
	}
	return nil
}
