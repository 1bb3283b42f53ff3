#!/usr/bin/env bash
# Fuzzes targets one by one, keeps the inputs that are worth it below testdata,
# and writes the record docs/fuzzing.md. FUZZTIME is how long each takes
# (default 1m), PATTERN a regular expression for "package: Target" (default
# all). CORPUS=no keeps nothing but inputs that fail: commit those with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./hack/fuzz -time "${1:-${FUZZTIME:-1m}}" -pattern "${PATTERN:-.}" -corpus="$([ "${CORPUS:-yes}" = no ] && echo false || echo true)"
