package ask

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/compile/lint"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

const checkHelp = `Look for what the author of a scope may not have meant.

Manifests that do not compile are told with status 2. Of those that do, this
finds captures that nothing bounds, matchers that let everything pass, operations
of the upstream that people regret, parts of a request that are not looked at,
sets that nothing names, grants that others contain and grants that allow
nothing. Each finding says what to write instead. The exit status is 1 where
there is a warning; notes alone are no reason for that.`

func newCheck() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "check -f FILE...",
		Short: "Find what the author of a scope may not have meant",
		Long:  checkHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := q.world(c)
			if err != nil {
				return err
			}
			found, err := findings(w)
			if err != nil {
				return err
			}
			if err := q.write(c.OutOrStdout(), found, func(out io.Writer) { told(out, found) }); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f finding) bool { return f.Severity == lint.Warning }) {
				return &Ended{Status: 1}
			}
			return nil
		},
	}
	q.flags(c)
	return c
}

// finding is one thing that was found, with its place in the files.
type finding struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	lint.Finding
	at *manifest.Error
}

func findings(w *world) ([]finding, error) {
	all, err := w.credentials()
	if err != nil {
		return nil, err
	}
	out := []finding{}
	for i := range all {
		c := &all[i]
		var told []lint.Finding
		for k := range c.views {
			v := &c.views[k]
			for _, f := range lint.Findings(lint.Scope{Written: c.written, Compiled: &v.compiled, Profiles: v.profiles}) {
				if !slices.Contains(told, f) { // under every profile once
					told = append(told, f)
				}
			}
		}
		for _, f := range told {
			at := c.object.ErrorAt(f.Field, fmt.Sprintf("%s: %s: %s", f.Severity, f.Message, f.Fix))
			out = append(out, finding{c.object.GetNamespace(), c.object.GetName(), at.File, at.Line, f, at})
		}
	}
	return out, nil
}

func told(w io.Writer, found []finding) {
	for _, f := range found {
		line(w, "%s", f.at)
	}
	if len(found) == 0 {
		line(w, "nothing found")
	}
}
