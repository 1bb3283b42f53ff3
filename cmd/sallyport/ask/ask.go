// Package ask has the verbs that answer questions about manifests: what a
// change widens, why a request is decided as it is, what an author may not have
// meant, which operations of an API are reached. They change nothing, and need
// neither a cluster nor a key.
package ask

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Ended says that a command ended with a status of its own. Err is what went
// wrong; nil where the status is the answer.
type Ended struct {
	Status int
	Err    error
}

// Error is what went wrong, or the status.
func (e *Ended) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("ended with status %d", e.Status)
}

// Unwrap returns what went wrong.
func (e *Ended) Unwrap() error { return e.Err }

// Commands returns the verbs.
func Commands() []*cobra.Command {
	return []*cobra.Command{newDiff(), newExplain(), newCheck(), newReach()}
}

// output is how an answer is written.
type output struct{ format string }

func (o *output) flag(c *cobra.Command) {
	c.Flags().StringVarP(&o.format, "output", "o", "text", "write the answer as `FORMAT`: text or json")
}

func (o *output) validate() error {
	if o.format != "text" && o.format != "json" {
		return errors.New("write -o text or -o json")
	}
	return nil
}

// write writes an answer: as JSON, or as text says it.
func (o *output) write(w io.Writer, answer any, text func(w io.Writer)) error {
	if o.format != "json" {
		text(w)
		return nil
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(answer); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// question is one about the manifests in some files.
type question struct {
	output
	files []string
}

func (q *question) flags(c *cobra.Command) {
	q.flag(c)
	c.Flags().StringArrayVarP(&q.files, "filename", "f", nil, "`FILE` with manifests, or - for standard input; may be given many times")
}

// world reads what the question is about.
func (q *question) world(c *cobra.Command) (*world, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	return readWorld(c.Context(), q.files, c.InOrStdin())
}

// line writes a line of text.
func line(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
