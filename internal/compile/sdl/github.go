package sdl

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
)

// The schema of GitHub's GraphQL API, as hack/schema makes it of version 15.26.1
// of @octokit/graphql-schema (MIT; see data/README). What is not about types,
// fields and arguments is not in it.
//
//go:embed data/github.graphql.gz
var packed []byte

// mustGitHub reads the schema. A mistake in the data is a mistake in the
// program.
func mustGitHub() *Schema {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	s, err := Parse(string(text))
	if err != nil {
		panic(err)
	}
	return s
}
