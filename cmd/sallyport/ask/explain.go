package ask

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/compile/explain"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/sidecar/graphql"
)

const explainHelp = `Say which grants decide a request, or which come nearest and what they lack.

REQUEST is written as in the examples of a scope: '[endpoint ]METHOD /path?query',
with the endpoint where there are several. Headers are given by -H, and a body by
-d; where a grant looks into the body and none is given, that is said.

The judge that runs beside the agent is asked. The exit status is 0 whether the
request is allowed or not, 2 where the manifests do not compile.`

func newExplain() *cobra.Command {
	var q question
	var headers []string
	var body string
	c := &cobra.Command{
		Use:   "explain -f FILE... REQUEST",
		Short: "Say which grants decide a request, or what the nearest lack",
		Long:  explainHelp,
		RunE: func(c *cobra.Command, args []string) error {
			request, err := readRequest(args, headers)
			if err != nil {
				return err
			}
			if c.Flags().Changed("data") {
				request.Body = []byte(body)
			}
			w, err := q.world(c)
			if err != nil {
				return err
			}
			answers, err := explainAll(w, request)
			if err != nil {
				return err
			}
			return q.write(c.OutOrStdout(), answers, func(out io.Writer) { explained(out, answers) })
		},
	}
	q.flags(c)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a `HEADER` of the request, as 'Name: value'; may be given many times")
	c.Flags().StringVarP(&body, "data", "d", "", "the `BODY` of the request")
	return c
}

// readRequest reads '[endpoint ]METHOD /path?query', in one argument or in
// several.
func readRequest(args, headers []string) (explain.Request, error) {
	words := strings.Fields(strings.Join(args, " "))
	q := explain.Request{GraphQL: new(graphql.Reader).Read}
	if len(words) == 3 {
		q.Endpoint, words = words[0], words[1:]
	}
	if len(words) != 2 {
		return q, errors.New("write the request as 'METHOD /path?query', with the endpoint before it where there are several")
	}
	q.Method, q.Target = words[0], words[1]
	for _, h := range headers {
		name, value, found := strings.Cut(h, ":")
		if !found {
			return q, fmt.Errorf("reading the header %q: write it as 'Name: value'", h)
		}
		q.Fields = append(q.Fields, scope.Field{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return q, nil
}

// answer is what one credential says to a request.
type answer struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	explain.Answer
	Assumed string `json:"assumed,omitempty"`
}

func explainAll(w *world, q explain.Request) ([]answer, error) {
	all, err := w.credentials()
	if err != nil {
		return nil, err
	}
	var out []answer
	for i := range all {
		c := &all[i]
		v, assumed := c.strict()
		decided, err := explain.Decide(&v.compiled, q)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.title(), err)
		}
		out = append(out, answer{c.object.GetNamespace(), c.object.GetName(), decided, assumed})
	}
	if len(out) == 0 {
		return nil, errors.New("the files hold no ScopedCredential")
	}
	return out, nil
}

func explained(w io.Writer, answers []answer) {
	for i := range answers {
		a := &answers[i]
		if a.Allowed {
			line(w, "%s/%s: allowed by %s, forwarded as %s", a.Namespace, a.Name, strings.Join(a.Grants, ", "), a.Forwarded)
			for _, name := range a.Dropped {
				line(w, "  the header %s does not go upstream: list it under headers of the grant", name)
			}
		} else {
			line(w, "%s/%s: refused, %s: %s", a.Namespace, a.Name, a.Reason, a.Detail)
		}
		for _, near := range a.Nearest {
			line(w, "  grant %s:", near.Grant)
			if len(near.Missing) == 0 {
				line(w, "    it allows this; the ceiling does not")
			}
			for _, missing := range near.Missing {
				line(w, "    %s", missing)
			}
		}
		if a.Assumed != "" {
			line(w, "  note: %s", a.Assumed)
		}
	}
}
