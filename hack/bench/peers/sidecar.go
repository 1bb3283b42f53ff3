package peers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Where a pod's sidecar has its volumes.
const (
	identityDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"
	identityToken     = identityDirectory + "/token"
	privateDirectory  = "/var/run/sallyport-private"
	agentDirectory    = "/var/run/sallyport"
)

// lease is how long what the broker gave out is good.
const lease = time.Hour

// sidecar starts the program of agents' pods, with empty volumes as a new pod
// has them, and has the broker ready for it.
func sidecar(ctx context.Context, s Setup) (command, error) {
	for _, dir := range []string{identityDirectory, privateDirectory, agentDirectory} {
		if err := os.RemoveAll(dir); err != nil {
			return command{}, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return command{}, err
		}
	}
	if err := os.WriteFile(identityToken, []byte(s.Broker.identity), 0o600); err != nil {
		return command{}, err
	}
	c, err := s.compiled(ctx)
	if err != nil {
		return command{}, err
	}
	if err := s.Broker.serve(c); err != nil {
		return command{}, err
	}
	return command{
		args: []string{
			s.Sidecar, "--broker=" + s.Broker.address, "--health=127.0.0.1:0",
			"--listen=bench/api=" + strconv.Itoa(int(s.Listen.Port())),
		},
		env: []string{
			"POD_NAME=" + podName, "POD_NAMESPACE=bench", "POD_UID=" + podUID, "SALLYPORT_ROOTS=" + s.Broker.trust.PEM(),
		},
	}, nil
}

// compiled is what the operator makes of the manifests.
func (s Setup) compiled(ctx context.Context) (bundle.Credential, error) {
	text, err := s.rendered("sallyport.yaml")
	if err != nil {
		return bundle.Credential{}, err
	}
	objects, err := manifest.Read(ctx, "sallyport.yaml", text)
	if err != nil {
		return bundle.Credential{}, err
	}
	ups, scs := manifest.Select[*v1alpha1.UpstreamSecret](objects), manifest.Select[*v1alpha1.ScopedCredential](objects)
	if len(ups) != 1 || len(scs) != 1 {
		return bundle.Credential{}, fmt.Errorf("reading sallyport.yaml: %d and %d objects, not one of each", len(ups), len(scs))
	}
	c, err := compile.Credential(scs[0], ups[0])
	if err != nil {
		return bundle.Credential{}, err
	}
	c.Object, c.Upstream = bundle.Object{UID: credentialUID, Generation: 1}, bundle.Object{UID: "u1", Generation: 1}
	c.Token = s.Token
	c.Secret, c.SecretVersion = secret.New(s.Key), "v1"
	c.MaxOffline, c.LeaseEnds = lease, time.Now().Add(lease).UTC().Truncate(time.Second)
	return c, nil
}

// WithToken is s with a token that the sidecar takes for its scope. The others
// are told the same one.
func (s Setup) WithToken(ctx context.Context) (Setup, error) {
	c, err := s.compiled(ctx)
	if err != nil {
		return s, err
	}
	s.Token, err = s.Broker.mint(c.ScopeHash)
	return s, err
}

// ExtraGrants number the grants that match nothing that is asked.
func (s Setup) ExtraGrants() []int {
	all := make([]int, s.Grants)
	for i := range all {
		all[i] = i
	}
	return all
}
