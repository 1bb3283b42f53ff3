// Package crd embeds the generated definitions, so that the command line holds
// manifests to the same contract as the API server.
package crd

import "embed"

// Files holds bases/*.yaml, one CustomResourceDefinition each.
//
//go:embed bases/*.yaml
var Files embed.FS
