package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Flags that both roles have: what one puts into pods, the other looks for.
const (
	defaultBroker = "sallyport-broker.sallyport-system.svc:9443"
	tolerateUsage = "let containers beside a sidecar have this power, as NET_ADMIN or hostPath, by which they could reach its keys; may be repeated, and is to be given to both roles"
	tunnelUsage   = "let the sidecars of pods in proxy mode lead to hosts that no credential is for, unread and without any; is to be given to both roles"
)

// command returns the command line: one verb for each role.
func command(stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "manager",
		Short:         "The Sallyport operator",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			limitMemory(memoryMax, os.Getenv)
			ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(stderr, nil)))
		},
	}
	root.AddCommand(controllerCommand(), webhookCommand())
	return root
}

// scheme knows the kinds of Kubernetes and ours.
func scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("registering the kinds of Kubernetes: %w", err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("registering our kinds: %w", err)
	}
	return s, nil
}
