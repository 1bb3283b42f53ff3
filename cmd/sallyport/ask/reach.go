package ask

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/reach"
)

const reachHelp = `Say which operations of an API a scope reaches, and under which conditions.

DOC is an OpenAPI description in JSON or YAML; large ones are read faster in
JSON. Its paths are taken to be relative to the url of the endpoint. An operation
is reached if some request that a grant allows is one for it, and no other
operation has a path that says more. Each is shown by a request.`

func newReach() *cobra.Command {
	var q question
	var description, endpoint string
	c := &cobra.Command{
		Use:   "reach -f FILE... --openapi DOC",
		Short: "Say which operations of an API a scope reaches",
		Long:  reachHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := q.world(c)
			if err != nil {
				return err
			}
			operations, err := readOperations(description)
			if err != nil {
				return err
			}
			reports, err := reachAll(w, endpoint, operations)
			if err != nil {
				return err
			}
			return q.write(c.OutOrStdout(), reports, func(out io.Writer) { reached(out, reports) })
		},
	}
	q.flags(c)
	c.Flags().StringVar(&description, "openapi", "", "the description of the API, `DOC`")
	c.Flags().StringVar(&endpoint, "endpoint", "", "the `ENDPOINT` that has this API, where there are several")
	return c
}

func readOperations(file string) ([]reach.Operation, error) {
	if file == "" {
		return nil, errors.New("name a description with --openapi")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	return reach.Read(text)
}

// report is what one credential reaches.
type report struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Endpoint  string `json:"endpoint"`
	reach.Report
	Assumed string `json:"assumed,omitempty"`
}

func reachAll(w *world, endpoint string, operations []reach.Operation) ([]report, error) {
	all, err := w.credentials()
	if err != nil {
		return nil, err
	}
	var out []report
	for i := range all {
		c := &all[i]
		v, assumed := c.strict()
		name, err := oneEndpoint(&v.compiled, endpoint)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.title(), err)
		}
		out = append(out, report{c.object.GetNamespace(), c.object.GetName(), name, reach.Of(&v.compiled, name, operations), assumed})
	}
	if len(out) == 0 {
		return nil, errors.New("the files hold no ScopedCredential")
	}
	return out, nil
}

func oneEndpoint(c *bundle.Credential, name string) (string, error) {
	var names []string
	for i := range c.Endpoints {
		if e := c.Endpoints[i].Name; e == name || name == "" && len(c.Endpoints) == 1 {
			return e, nil
		}
		names = append(names, c.Endpoints[i].Name)
	}
	return "", fmt.Errorf("say which endpoint has this API: --endpoint %s", strings.Join(names, " or "))
}

func reached(w io.Writer, reports []report) {
	for i := range reports {
		r := &reports[i]
		line(w, "%s/%s reaches %d of %d operations at %s", r.Namespace, r.Name, len(r.Reached), r.Operations, r.Endpoint)
		for _, op := range r.Reached {
			line(w, "  %s %s", op.Method, op.Path)
			for _, through := range op.Through {
				line(w, "      grant %s: %s", through.Grant, strings.Join(append(through.When, "such as "+through.Example), "; "))
			}
		}
		for _, op := range r.Unknown {
			line(w, "  ? %s %s: it takes too much work to find out", op.Method, op.Path)
		}
		if r.Assumed != "" {
			line(w, "  note: %s", r.Assumed)
		}
	}
}
