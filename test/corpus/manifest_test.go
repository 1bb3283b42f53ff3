package corpus

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// manifest is the objects of one file, as their author wrote them.
type manifest []map[string]any

// readManifest reads a scope's manifest.
func readManifest(t *testing.T, file string) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("scopes", file))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		m = append(m, object)
	}
	return m
}

func (m manifest) object(kind string) map[string]any {
	for _, object := range m {
		if object["kind"] == kind {
			return object
		}
	}
	return map[string]any{}
}

func (m manifest) spec(kind string) map[string]any {
	spec, _ := m.object(kind)["spec"].(map[string]any)
	return spec
}

func (m manifest) credential() string {
	return m.object("ScopedCredential")["metadata"].(map[string]any)["name"].(string)
}

// secret is the real credential: the canary.
func (m manifest) secret() string {
	return m.object("Secret")["stringData"].(map[string]any)["token"].(string)
}

// upstream is the host and the host:port that the credential belongs to.
func (m manifest) upstream() (host, hostPort string) {
	endpoint := m.spec("UpstreamSecret")["endpoints"].([]any)[0].(map[string]any)
	u, err := url.Parse(endpoint["url"].(string))
	if err != nil {
		return "", ""
	}
	return u.Host, net.JoinHostPort(u.Host, "443")
}

// lead sets the URL of the upstream.
func (m manifest) lead(url string) {
	m.spec("UpstreamSecret")["endpoints"].([]any)[0].(map[string]any)["url"] = url
}

// replace puts other texts in the place of values, and says how many there were.
func (m manifest) replace(from, to string) (found int) {
	for _, object := range m {
		found += replaceIn(object, from, to)
	}
	return found
}

func replaceIn(value any, from, to string) (found int) {
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			if one == from {
				v[name] = to
				found++
			}
			found += replaceIn(one, from, to)
		}
	case []any:
		for i, one := range v {
			if one == from {
				v[i] = to
				found++
			}
			found += replaceIn(one, from, to)
		}
	}
	return found
}

func (m manifest) expire(at time.Time) {
	m.spec("ScopedCredential")["expiresAt"] = at.UTC().Format(time.RFC3339)
}

func (m manifest) without(kind string) manifest {
	return slices.DeleteFunc(slices.Clone(m), func(object map[string]any) bool { return object["kind"] == kind })
}

// write replaces the file at once, as editors and GitOps tools do.
func (m manifest) write(t *testing.T, path string) {
	t.Helper()
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	for _, object := range m {
		if err := encoder.Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path+".new", text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
