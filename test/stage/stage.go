// Package stage sets the story up in a cluster: two upstreams, one agent
// that holds their keys and one that has an annotation instead. The demo shows
// what becomes of it, the end-to-end tests hold it to that.
package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/certs"
	"github.com/sallyport-dev/sallyport/test/kube"
	"github.com/sallyport-dev/sallyport/test/story"
)

// Half is one of two that are alike: an agent, and an upstream with a
// repository of its own.
type Half struct{ Agents, Upstream string } // namespaces

// The halves.
var (
	Without = Half{"agents-unguarded", "github-unguarded"}
	With    = Half{"agents", "github"}
)

// Secrets is the namespace where the platform team keeps keys.
const Secrets = "sallyport-secrets"

// Images are the names of the images, by digest.
type Images struct{ Agent, Upstream string }

// Stage is the story, set up. It may be used concurrently.
type Stage struct {
	Cluster kube.Cluster
	// Key and ClusterKey are the real keys of the two upstreams.
	Key, ClusterKey string

	images   Images
	upstream certs.Pair // what the upstreams serve with
	ca       string
	progress func(format string, args ...any)
}

//go:embed manifests/*.yaml
var files embed.FS

// quote writes a text as JSON does, which YAML reads alike.
func quote(s string) (string, error) {
	text, err := json.Marshal(s)
	return string(text), err
}

var manifests = template.Must(template.New("").Option("missingkey=error").
	Funcs(template.FuncMap{"quote": quote}).ParseFS(files, "manifests/*.yaml"))

// view is what the manifests of one half are filled in with.
type view struct {
	Half
	Images                                 Images
	Key, ClusterKey, ServerCert, ServerKey string
	UpstreamCA, ClusterCA, Roots, Script   string
	GitHeader                              string // by which git shows the key
}

// New makes the keys of a stage. progress gets a line for each step.
func New(c kube.Cluster, images Images, progress func(format string, args ...any)) (*Stage, error) {
	now := time.Now()
	authorities, err := certs.Keep(certs.Authorities{}, now)
	if err != nil {
		return nil, fmt.Errorf("making the upstreams' authority: %w", err)
	}
	// By the last, programs reach it through a proxy: .svc is what they go straight to.
	names := []string{"api." + Without.Upstream + ".svc", "api." + With.Upstream + ".svc", "api." + With.Upstream}
	leaf, err := certs.KeepLeaf(authorities, certs.Pair{}, names, now)
	if err != nil {
		return nil, fmt.Errorf("making the upstreams' certificate: %w", err)
	}
	return &Stage{
		Cluster: c, Key: "ghp_" + rand.Text() + rand.Text(), images: images,
		upstream: leaf, ca: string(authorities.Bundle), progress: progress,
	}, nil
}

// Upstreams starts both upstreams and makes the keys.
func (s *Stage) Upstreams(ctx context.Context) error {
	s.progress("starting two upstreams, each with a git repository")
	for _, half := range []Half{Without, With} {
		if err := s.apply(ctx, half, "upstream.yaml"); err != nil {
			return err
		}
	}
	if err := s.apply(ctx, With, "account.yaml"); err != nil {
		return err
	}
	if err := s.clusterKey(ctx); err != nil {
		return err
	}
	for _, half := range []Half{Without, With} {
		if _, err := s.Cluster.Run(ctx, "rollout", "status", "-n", half.Upstream, "deployment/api", "--timeout=120s"); err != nil {
			return err
		}
	}
	return nil
}

// clusterKey waits for the token of the account that may do anything.
func (s *Stage) clusterKey(ctx context.Context) error {
	return kube.Until(ctx, time.Minute, "the token of the account almighty", func(ctx context.Context) error {
		var secret corev1.Secret
		if err := s.Cluster.Get(ctx, &secret, "secret", "kubernetes-token", "-n", Secrets); err != nil {
			return err
		}
		if s.ClusterKey = string(secret.Data[corev1.ServiceAccountTokenKey]); s.ClusterKey == "" {
			return errors.New("it is not there yet")
		}
		return nil
	})
}

// Unguarded starts the agent that holds the keys.
func (s *Stage) Unguarded(ctx context.Context) error {
	s.progress("starting the agent that holds the keys")
	return s.apply(ctx, Without, "workspace.yaml", "without.yaml")
}

// Guarded starts the agent that has an annotation. Its manifests go in in the
// wrong order, as those of a directory might.
func (s *Stage) Guarded(ctx context.Context) error {
	s.progress("starting the agent that has an annotation instead")
	if err := s.apply(ctx, With, "workspace.yaml", "with.yaml"); err != nil {
		return err
	}
	if err := s.Cluster.Apply(ctx, story.Scope+"---\n"+story.KubernetesScope); err != nil {
		return fmt.Errorf("applying the scopes: %w", err)
	}
	return s.apply(ctx, With, "keys.yaml")
}

func (s *Stage) apply(ctx context.Context, half Half, names ...string) error {
	for _, name := range names {
		text, err := s.render(ctx, half, name)
		if err != nil {
			return err
		}
		if err := s.Cluster.Apply(ctx, text); err != nil {
			return fmt.Errorf("applying %s: %w", name, err)
		}
	}
	return nil
}

// render fills one manifest in for a half.
func (s *Stage) render(ctx context.Context, half Half, name string) (string, error) {
	var roots corev1.ConfigMap
	if err := s.Cluster.Get(ctx, &roots, "configmap", "kube-root-ca.crt", "-n", "kube-system"); err != nil {
		return "", err
	}
	clusterCA := roots.Data["ca.crt"]
	var out bytes.Buffer
	err := manifests.ExecuteTemplate(&out, name, view{
		Half: half, Images: s.images, Key: s.Key, ClusterKey: s.ClusterKey,
		ServerCert: string(s.upstream.Cert), ServerKey: string(s.upstream.Key),
		UpstreamCA: s.ca, ClusterCA: clusterCA, Roots: s.ca + clusterCA, Script: story.Agent,
		GitHeader: "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+s.Key)),
	})
	if err != nil {
		return "", fmt.Errorf("filling in %s: %w", name, err)
	}
	return out.String(), nil
}

// Strike removes what a stage has made, so that the next one starts afresh.
func Strike(ctx context.Context, c kube.Cluster) error {
	for _, args := range [][]string{
		{"namespace", Without.Agents, With.Agents, Without.Upstream, With.Upstream},
		{"clusterrolebinding/story-almighty"},
		{"-n", Secrets, "upstreamsecret/github", "upstreamsecret/kubernetes",
			"secret/github-token", "secret/kubernetes-token", "serviceaccount/almighty"},
	} {
		if _, err := c.Run(ctx, append([]string{"delete", "--ignore-not-found", "--timeout=120s"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// UpstreamCA is the authority of the upstreams' certificate, in PEM.
func (s *Stage) UpstreamCA() string { return s.ca }
