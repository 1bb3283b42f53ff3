// Command clients does what its arguments say with AWS's own SDK, as an agent
// would: it is told nothing but the environment.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does one thing for each argument, words separated by vertical bars, and
// prints what came of it on a line.
func run(ctx context.Context, arguments []string, stdout io.Writer) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	c := newClients(settings)
	for _, argument := range arguments {
		words := strings.Split(argument, "|")
		result, err := c.do(ctx, words[0], words[1:])
		if err != nil {
			result = "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Fprintln(stdout, words[0]+": "+result); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}
