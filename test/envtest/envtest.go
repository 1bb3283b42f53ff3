// Package envtest starts a real API server with our CustomResourceDefinitions
// for tests that need one and no pods. It listens on loopback alone.
package envtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// version of Kubernetes that the programs are built from; hack/cluster builds
// them and names the same one.
const version = "v1.37.2"

// assetsVariable names a directory with other programs, as in every project
// that uses controller-runtime.
const assetsVariable = "KUBEBUILDER_ASSETS"

// Assets returns the directory that holds etcd and kube-apiserver. An error
// says how to make them.
func Assets() (string, error) {
	dir := os.Getenv(assetsVariable)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding the programs of a cluster: %w", err)
		}
		dir = filepath.Join(cache, "sallyport", "bin-"+version)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		_, err := os.Stat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("finding %s in %s: run `make binaries`, or set %s", name, dir, assetsVariable)
		}
		if err != nil {
			return "", fmt.Errorf("finding the programs of a cluster: %w", err)
		}
	}
	return dir, nil
}

// Root returns the top of this repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Start starts etcd and an API server, and installs the definitions of
// config/crd. The caller calls stop at the end, whatever its tests said. The
// config is that of a cluster administrator.
func Start() (config *rest.Config, stop func() error, err error) {
	assets, err := Assets()
	if err != nil {
		return nil, nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err = env.Start()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("starting an API server: %w", err), env.Stop())
	}
	return config, env.Stop, nil
}
