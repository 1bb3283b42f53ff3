// Package revoke has the verb that cuts off the holders of a credential in a
// cluster and waits until they say so.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

const help = `Cuts off every holder of a ScopedCredential: it sets spec.suspend, waits until all
sidecars have acknowledged, and says since when nobody is served. Requests under
way end too.

A sidecar that cannot be reached goes on until its lease ends. Where one has not
acknowledged within --timeout, its pod is named with the time after which it
serves nothing, and the command fails. The credential stays suspended either way.

To serve again, set spec.suspend to false. Leave the field out of manifests in
Git, or the next synchronisation gives back what was taken.`

// owner is the field manager of what is written.
const owner = "sallyport-revoke"

// leeway is how far a sidecar's clock may be behind.
const leeway = 30 * time.Second

type options struct {
	kubeconfig, context, namespace string
	timeout                        time.Duration
}

// Command returns the verb.
func Command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Cut off the holders of a credential in a cluster, and wait until they say so",
		Long:  help,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, namespace, err := o.connect()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			return Run(ctx, api, types.NamespacedName{Namespace: namespace, Name: args[0]}, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE` of the credential; default: that of the kubeconfig")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says where the cluster is; default: as kubectl")
	f.StringVar(&o.context, "context", "", "`NAME` of a context in the kubeconfig")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait for acknowledgements")
	return c
}

// connect finds the cluster as kubectl does.
func (o *options) connect() (client.Client, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context})
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("finding the cluster: %w", err)
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = loaded.Namespace(); err != nil {
			return nil, "", fmt.Errorf("finding the namespace: %w", err)
		}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, "", fmt.Errorf("knowing our kinds: %w", err)
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("reaching the cluster: %w", err)
	}
	return api, namespace, nil
}

// Run suspends the credential and waits until status says that no sidecar
// serves it, or ctx is done: then the error says until when they may.
func Run(ctx context.Context, api client.Client, name types.NamespacedName, out io.Writer) error {
	sc := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))
	if err := api.Patch(ctx, sc, patch, client.FieldOwner(owner)); err != nil {
		return fmt.Errorf("suspending ScopedCredential %s: %w", name, err)
	}
	suspended, generation := time.Now(), sc.Generation
	_, _ = fmt.Fprintf(out, "%s is suspended: no request that a sidecar has heard of it passes\n", name)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done(sc, generation) {
		select {
		case <-ctx.Done():
			return late(sc, generation, suspended, out)
		case <-tick.C:
		}
		newest := &v1alpha1.ScopedCredential{}
		if err := api.Get(ctx, name, newest); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return fmt.Errorf("reading ScopedCredential %s: %w", name, err)
		}
		if newest.UID != sc.UID || !newest.Spec.Suspend {
			return fmt.Errorf("somebody else changed %s: it is not suspended any more", name)
		}
		sc = newest
	}
	_, err := fmt.Fprintf(out, "every sidecar has acknowledged: nobody is served since %s\n", time.Now().UTC().Format(time.RFC3339))
	return err
}

// done tells whether status speaks of what was written, and says that it is
// enforced everywhere.
func done(sc *v1alpha1.ScopedCredential, generation int64) bool {
	c := meta.FindStatusCondition(sc.Status.Conditions, v1alpha1.ConditionEnforced)
	return sc.Status.ObservedGeneration >= generation && sc.Status.Revocation == nil &&
		c != nil && c.ObservedGeneration >= generation && c.Status == metav1.ConditionTrue
}

// errLate says that some have not acknowledged.
var errLate = errors.New("not every sidecar has acknowledged: it stays suspended, and they serve nothing after the time above")

// late prints who may serve, and until when at the latest.
func late(sc *v1alpha1.ScopedCredential, generation int64, suspended time.Time, out io.Writer) error {
	r := sc.Status.Revocation
	if sc.Status.ObservedGeneration < generation || r == nil {
		// Nobody has looked yet, or at sidecars that never said what they hold.
		bound := suspended.Add(max(compile.MaxOffline(sc), leeway) + leeway)
		_, _ = fmt.Fprintf(out, "nobody has said who serves it: whoever was served by its last scope ends before %s\n", bound.UTC().Format(time.RFC3339))
		return errLate
	}
	bound := time.Time{}
	for _, p := range r.Pending {
		_, _ = fmt.Fprintf(out, "pod %s serves generation %d until %s at the latest\n", p.Pod, p.Generation, p.LeaseEnds.UTC().Format(time.RFC3339))
		if p.LeaseEnds.After(bound) {
			bound = p.LeaseEnds.Time
		}
	}
	if more := int(r.PendingTotal) - len(r.Pending); more > 0 {
		_, _ = fmt.Fprintf(out, "and %d more\n", more)
	}
	_, _ = fmt.Fprintf(out, "nobody is served after %s\n", bound.UTC().Format(time.RFC3339))
	return errLate
}
