#!/usr/bin/env bash
# Measures how fast changes reach many sidecars on a real API server, and beside
# that how fast as many bytes reach as many streams with nothing judged; the
# arguments are those of hack/scale. Takes about three minutes and wants an idle
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory binaries
ulimit -n "$(ulimit -Hn)"
go build -o bin/scale ./hack/scale
bin/scale "$@"
