// Package npm finds what tests read and run of npm packages. Make installs
// it, by version and digest; nothing here or in a test asks the network.
package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Read returns a file of a package, such as generated/api.github.com.json of
// @octokit/openapi, of the version that hack/npm/package-lock.json pins. An
// error says how to install it.
func Read(name, file string) ([]byte, error) {
	path, err := Path(name, file)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading test data: %w", err)
	}
	return text, nil
}

// Path returns where a file of a package lies, of the version that is pinned.
func Path(name, file string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w", err)
	}
	_, here, _, _ := runtime.Caller(0)
	return path(filepath.Join(cache, "sallyport", "npm"), filepath.Join(filepath.Dir(here), "..", "..", "hack", "npm", "package-lock.json"), name, file)
}

// Modules returns the folder of all packages, node_modules, for a program that
// runs one that is called name.
func Modules(name string) (string, error) {
	at, err := Path(name, "")
	if err != nil {
		return "", err
	}
	return at[:len(at)-len("/")-len(name)], nil
}

// Node returns the path of the Node.js that programs of packages are run with:
// the host's may be older than they need.
func Node() (string, error) {
	names := map[string]string{"amd64": "x64"}
	arch := runtime.GOARCH
	if name, found := names[arch]; found {
		arch = name
	}
	return Path("node-"+runtime.GOOS+"-"+arch, filepath.Join("bin", "node"))
}

func path(installed, pinned, name, file string) (string, error) {
	want, err := version(pinned, name)
	if err != nil {
		return "", err
	}
	// Make writes this copy of the list last: what it names is whole.
	if got, err := version(filepath.Join(installed, "installed.json"), name); err != nil || got != want {
		return "", errors.Join(fmt.Errorf("finding %s %s in %s: run `make packages`", name, want, installed), err)
	}
	return filepath.Join(installed, "node_modules", filepath.FromSlash(name), filepath.FromSlash(file)), nil
}

// version is that of a package and its digest, as a list of packages has them.
func version(list, name string) (string, error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return "", fmt.Errorf("reading what is pinned: %w", err)
	}
	var l struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return "", fmt.Errorf("reading what is pinned: %w", err)
	}
	p := l.Packages["node_modules/"+name]
	if p.Version == "" || p.Integrity == "" {
		return "", fmt.Errorf("%s does not pin %s by version and integrity", filepath.Base(list), name)
	}
	return p.Version + " " + p.Integrity, nil
}
