// Command manager is the operator. Its role `controller` accepts our kinds and
// streams to sidecars; its role `webhook` puts sidecars into pods and has no
// access to Secrets.
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx := ctrl.SetupSignalHandler()
	if err := command(os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}
