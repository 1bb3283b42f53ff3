#!/usr/bin/env bash
# Measures what the webhook adds to the creation of pods, by the metrics of a
# real API server; the arguments are those of hack/admission. Takes about five
# minutes and wants an idle machine.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory binaries
go build -o bin/admission ./hack/admission
bin/admission "$@"
