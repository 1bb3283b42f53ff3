// Command crd finishes what controller-gen has generated: crd FILE...
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := finish(path); err != nil {
			fmt.Fprintf(os.Stderr, "finishing %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func finish(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	keepNullMatchers(crd)
	text, err = yaml.Marshal(crd)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte("---\n"), text...), 0o644)
}

// keepNullMatchers gives every map of matchers a default for its values, which
// no marker of controller-gen can. The API server drops a null without a
// default before anybody validates it, and "where: {repo: null}", a forgotten
// value, would let repo match anything. With the default it becomes the
// matcher {}, which bounds nothing and is refused when compiling.
func keepNullMatchers(node any) {
	switch n := node.(type) {
	case map[string]any:
		values, _ := n["additionalProperties"].(map[string]any)
		if properties, _ := values["properties"].(map[string]any); properties["glob"] != nil {
			values["default"] = map[string]any{}
		}
		for _, child := range n {
			keepNullMatchers(child)
		}
	case []any:
		for _, child := range n {
			keepNullMatchers(child)
		}
	}
}
