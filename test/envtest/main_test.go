package envtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// api speaks to the API server in bytes, so that tests see what is on the wire.
var api *rest.RESTClient

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	config, stop, err := Start()
	if err != nil {
		return 1, err
	}
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	api, err = rest.RESTClientFor(config)
	if err != nil {
		return 1, err
	}
	return m.Run(), stop()
}

// resources are the plural names by kind.
var resources = map[string]string{
	"UpstreamSecret":   "upstreamsecrets",
	"ScopedCredential": "scopedcredentials",
}

// try asks the API server what it would store, strictly, and stores nothing.
func try(t *testing.T, m manifest) ([]byte, error) {
	t.Helper()
	return send(t, http.MethodPost, m, "", "All")
}

// create stores m and returns what was stored.
func create(t *testing.T, m manifest) []byte {
	t.Helper()
	stored, err := send(t, http.MethodPost, m, "", "")
	if err != nil {
		t.Fatalf("creating %s: %v", m.name(), err)
	}
	return stored
}

// update replaces the object or, with a subresource, that part of it.
func update(t *testing.T, m manifest, subresource string) ([]byte, error) {
	t.Helper()
	return send(t, http.MethodPut, m, subresource, "")
}

func send(t *testing.T, verb string, m manifest, subresource, dryRun string) ([]byte, error) {
	t.Helper()
	req := api.Verb(verb).Namespace("default").Resource(resources[m.kind()]).
		SetHeader("Content-Type", "application/json").
		Param("fieldValidation", "Strict").
		Body(m.json(t))
	if verb == http.MethodPut {
		req = req.Name(m.name()).SubResource(subresource)
	}
	if dryRun != "" {
		req = req.Param("dryRun", dryRun)
	}
	return answer(req)
}

// answer does a request. A refusal is an error in the API server's words.
func answer(req *rest.Request) ([]byte, error) {
	body, err := req.Do(context.Background()).Raw()
	var status metav1.Status
	if err != nil && json.Unmarshal(body, &status) == nil && status.Message != "" {
		return nil, errors.New(status.Message)
	}
	return body, err
}
