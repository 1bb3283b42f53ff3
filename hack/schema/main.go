// Command schema makes the file of a GraphQL schema that is compiled into
// Sallyport, of one in GraphQL's schema definition language:
//
//	go run ./hack/schema -in schema.graphql -out internal/compile/sdl/data/github.graphql.gz
//
// The same schema gives the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"

	"github.com/sallyport-dev/sallyport/internal/compile/sdl"
)

func main() {
	in := flag.String("in", "schema.graphql", "`FILE` with the schema")
	out := flag.String("out", "", "`FILE` to write")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	text, err := os.ReadFile(in) //nolint:gosec // G304: the one who runs it names the file
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	schema, err := sdl.Parse(string(text))
	if err != nil {
		return fmt.Errorf("reading %s: %w", in, err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	if _, err = z.Write([]byte(schema.String())); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return os.WriteFile(out, b.Bytes(), 0o644) //nolint:gosec // G306: it is no secret
}
