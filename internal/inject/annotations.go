package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Domain is the prefix of our annotations and labels.
const Domain = "sallyport.dev/"

// The annotations of a pod. Plan is ours, the others are the author's.
const (
	AnnotationCredentials = Domain + "credentials"    // names of ScopedCredentials of the namespace, 1 to 16, by comma
	AnnotationContainers  = Domain + "containers"     // names of the containers that are served; left out: all
	AnnotationClient      = Domain + "client"         // how clients are led: base-url, or proxy
	AnnotationCPU         = Domain + "sidecar-cpu"    // request of the sidecar
	AnnotationMemory      = Domain + "sidecar-memory" // limit of the sidecar
	AnnotationPlan        = Domain + "plan"
)

// LabelInjected is "true" on every pod with a sidecar.
const LabelInjected = Domain + "injected"

// ClientBaseURL leads clients by variables that hold the loopback address.
const ClientBaseURL = "base-url"

// ClientProxy leads them by proxy variables, to upstreams by their own addresses.
const ClientProxy = "proxy"

// Bounds of what annotations hold.
const (
	MaxCredentials = 16
	maxContainers  = 64
	maxQuantity    = 32 // bytes
)

var knownAnnotations = []string{
	AnnotationCredentials, AnnotationContainers, AnnotationClient, AnnotationCPU, AnnotationMemory, AnnotationPlan,
}

// What the sidecar gets, and how much an author may ask for.
var (
	defaultCPU    = resource.MustParse("10m")
	minCPU        = resource.MustParse("1m")
	maxCPU        = resource.MustParse("4")
	requestMemory = resource.MustParse("32Mi")
	defaultMemory = resource.MustParse("128Mi")
	minMemory     = requestMemory // so that the request never exceeds the limit
	maxMemory     = resource.MustParse("4Gi")
)

// Refusal says why a pod that asks for credentials is not served. Its text
// names the annotation, what is wrong and what to change.
type Refusal struct {
	Field  string // annotation, label or field of the pod
	Why    string // continues Field
	Remedy string // an instruction
}

// Error is the text of the admission response.
func (r *Refusal) Error() string {
	return fmt.Sprintf("annotation %s cannot be honoured: %s %s: %s", AnnotationCredentials, r.Field, r.Why, r.Remedy)
}

// Asked is what a pod's annotations ask for. The zero value asks for nothing.
type Asked struct {
	Credentials []string // as ordered by the author: the first named wins
	Containers  []string // nil: every container
	Client      string   // how clients are led
	CPU, Memory resource.Quantity
}

// ParseAnnotations reads a pod's annotations strictly: an unknown key of our
// domain, a list with a space, an empty, doubled or malformed name and a
// quantity out of bounds are refused with a [*Refusal]. A pod without
// [AnnotationCredentials] is refused too: callers look for it first.
func ParseAnnotations(annotations map[string]string) (Asked, error) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, Domain) && !slices.Contains(knownAnnotations, key) {
			return Asked{}, &Refusal{key, "is not an annotation of Sallyport", "remove it, or correct it to one of " + strings.Join(knownAnnotations[:5], ", ")}
		}
	}
	asked := Asked{CPU: defaultCPU.DeepCopy(), Memory: defaultMemory.DeepCopy()}
	for _, parse := range []func(map[string]string, *Asked) error{parseCredentials, parseContainers, parseClient, parseResources} {
		if err := parse(annotations, &asked); err != nil {
			return Asked{}, err
		}
	}
	return asked, nil
}

func parseCredentials(annotations map[string]string, asked *Asked) (err error) {
	asked.Credentials, err = parseList(AnnotationCredentials, annotations[AnnotationCredentials], MaxCredentials, validation.IsDNS1123Subdomain)
	return err
}

func parseContainers(annotations map[string]string, asked *Asked) (err error) {
	text, ok := annotations[AnnotationContainers]
	if !ok {
		return nil
	}
	asked.Containers, err = parseList(AnnotationContainers, text, maxContainers, validation.IsDNS1123Label)
	return err
}

func parseList(key, text string, most int, problems func(string) []string) ([]string, error) {
	remedy := fmt.Sprintf("write 1 to %d names, separated by commas alone, as in \"first,second\"", most)
	names := strings.Split(text, ",")
	if len(names) > most {
		return nil, &Refusal{key, fmt.Sprintf("holds %d names", len(names)), remedy}
	}
	for i, name := range names {
		if len(problems(name)) > 0 {
			return nil, &Refusal{key, fmt.Sprintf("holds %q, which is no name of an object", shorten(name)), remedy}
		}
		if slices.Contains(names[:i], name) {
			return nil, &Refusal{key, fmt.Sprintf("holds %q twice", name), "name it once"}
		}
	}
	return names, nil
}

// shorten bounds what is quoted of a pod in a message.
func shorten(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func parseClient(annotations map[string]string, asked *Asked) error {
	client, ok := annotations[AnnotationClient]
	switch {
	case !ok:
		client = ClientBaseURL
	case client != ClientBaseURL && client != ClientProxy:
		return &Refusal{AnnotationClient, fmt.Sprintf("is %q, which this release does not offer", shorten(client)), "set it to " + ClientBaseURL + " or " + ClientProxy + ", or remove it"}
	}
	asked.Client = client
	return nil
}

func parseResources(annotations map[string]string, asked *Asked) (err error) {
	if asked.CPU, err = parseQuantity(annotations, AnnotationCPU, asked.CPU, minCPU, maxCPU); err != nil {
		return err
	}
	asked.Memory, err = parseQuantity(annotations, AnnotationMemory, asked.Memory, minMemory, maxMemory)
	return err
}

// parseQuantity takes no exponents. The bounds need none, and holding 1E100000000 to
// them takes minutes.
func parseQuantity(annotations map[string]string, key string, unset, least, most resource.Quantity) (resource.Quantity, error) {
	text, ok := annotations[key]
	if !ok {
		return unset, nil
	}
	refusal := &Refusal{key, fmt.Sprintf("is %q", shorten(text)), fmt.Sprintf("set a quantity between %s and %s, without an exponent", least.String(), most.String())}
	if len(text) > maxQuantity || strings.ContainsAny(text, "eE") {
		return resource.Quantity{}, refusal
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Cmp(least) < 0 || q.Cmp(most) > 0 {
		return resource.Quantity{}, refusal
	}
	return q, nil
}
