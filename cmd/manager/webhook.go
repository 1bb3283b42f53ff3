package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sallyport-dev/sallyport/controllers/podwebhook"
)

// A replica that is told to stop says that it is not ready, and goes on serving
// until every API server knows: none meets a closed door. Then it asks those
// that are connected to go elsewhere, and ends what is under way.
const (
	drain       = 15 * time.Second
	endUnderWay = 10 * time.Second
)

// webhookOptions are the command line of the role webhook.
type webhookOptions struct {
	podwebhook.Options
	healthAddress string
}

func webhookCommand() *cobra.Command {
	var o webhookOptions
	c := &cobra.Command{
		Use:   "webhook",
		Short: "Put sidecars into pods that ask for credentials",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runWebhook(c.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.Image, "sidecar-image", "", "image of the sidecar, by digest")
	f.StringVar(&o.Broker, "broker", defaultBroker, "host:port that sidecars connect to")
	f.StringVar(&o.CertDir, "cert-dir", "/etc/sallyport/webhook-tls", "directory of tls.crt, tls.key and ca.crt")
	f.StringVar(&o.Host, "host", "", "address to serve on; empty: all")
	f.IntVar(&o.Port, "port", 9443, "port to serve on")
	f.StringArrayVar(&o.Tolerate, "dangerously-tolerate", nil, tolerateUsage)
	f.BoolVar(&o.Tunnel, "tunnel", false, tunnelUsage)
	f.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	return c
}

func runWebhook(ctx context.Context, o webhookOptions) error {
	if err := o.Validate(); err != nil {
		return err
	}
	growMemory(webhookGrowth, os.Getenv)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	s, err := scheme()
	if err != nil {
		return err
	}
	grace := endUnderWay
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                  s,
		HealthProbeBindAddress:  o.healthAddress,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		WebhookServer:           podwebhook.NewServer(o.Options),
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("process", healthz.Ping); err != nil {
		return fmt.Errorf("adding a check: %w", err)
	}
	if err := mgr.AddReadyzCheck("stopping", func(*http.Request) error { return ctx.Err() }); err != nil {
		return fmt.Errorf("adding a check: %w", err)
	}
	if err := podwebhook.SetupWithManager(ctx, mgr, o.Options); err != nil {
		return err
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drain, end) })()
	return mgr.Start(serving)
}
