package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/hack/cluster/config"
)

const (
	waitStep    = 100 * time.Millisecond
	readyWait   = 90 * time.Second
	requestTime = 5 * time.Second
	tailLines   = 15
)

// await polls check until it returns nil. It gives up when the time is over or
// when one of the named processes ends, and then shows the ends of their logs.
func (c *Cluster) await(ctx context.Context, what string, names []string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		for _, n := range names {
			if !c.table.Running(n) {
				return fmt.Errorf("waiting for %s: %s has ended\n%s", what, n, c.tail(n))
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w\n%s", what, ctx.Err(), err, c.tail(names...))
		case <-time.After(waitStep):
		}
	}
}

// tail returns the last lines of the named logs.
func (c *Cluster) tail(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		data, err := os.ReadFile(c.table.LogPath(n))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
		lines = lines[max(0, len(lines)-tailLines):]
		fmt.Fprintf(&b, "--- last lines of %s\n%s\n", c.table.LogPath(n), strings.Join(lines, "\n"))
	}
	return b.String()
}

// An api is a client of the API server, as the administrator.
type api struct{ http http.Client }

func (c *Cluster) client() (*api, error) {
	p := c.certs()
	cert, err := tls.LoadX509KeyPair(p.Cert(admin), p.Key(admin))
	if err != nil {
		return nil, fmt.Errorf("loading the administrator's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	data, err := os.ReadFile(p.Cert(ca))
	if err != nil || !roots.AppendCertsFromPEM(data) {
		return nil, errors.Join(errors.New("loading the cluster's authority"), err)
	}
	return &api{http.Client{
		Timeout: requestTime,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS13,
		}},
	}}, nil
}

// get reads path into v, unless v is nil.
func (a *api) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Server+path, nil)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	const limit = 4 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading %s: %s: %s", path, resp.Status, body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

// object is the part of nodes and deployments that tells whether they work.
type object struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64 `json:"observedGeneration"`
		UpdatedReplicas    int   `json:"updatedReplicas"`
		AvailableReplicas  int   `json:"availableReplicas"`
		Conditions         []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// nodeReady returns nil once the node can run pods.
func (a *api) nodeReady(ctx context.Context) error {
	var node object
	if err := a.get(ctx, "/api/v1/nodes/"+config.NodeName, &node); err != nil {
		return err
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == "Ready" {
			if cond.Status == "True" {
				return nil
			}
			return fmt.Errorf("the node is not ready: %s", cond.Message)
		}
	}
	return errors.New("the node has not reported yet")
}

// kubeletReady returns nil once the kubelet serves and knows its pods, of which
// there is always the name server. The node's condition says nothing of a
// kubelet that has just been started again.
func (a *api) kubeletReady(ctx context.Context) error {
	var pods struct {
		Items []struct{} `json:"items"`
	}
	if err := a.get(ctx, "/api/v1/nodes/"+config.NodeName+"/proxy/pods", &pods); err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return errors.New("the kubelet has not learned of its pods yet")
	}
	return nil
}

// dnsReady returns nil once the newest name server answers.
func (a *api) dnsReady(ctx context.Context) error {
	var d object
	if err := a.get(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/dns", &d); err != nil {
		return err
	}
	s := d.Status
	if s.ObservedGeneration < d.Metadata.Generation || s.UpdatedReplicas < 1 || s.AvailableReplicas < 1 {
		return errors.New("the name server has no ready pod: look at pods in kube-system")
	}
	return nil
}
