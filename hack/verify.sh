#!/usr/bin/env bash
# Generates anew and fails where a committed file was not current.
set -euo pipefail
cd "$(dirname "$0")/.."

generated=(api/v1alpha1/zz_generated.deepcopy.go config/crd/bases)
sums() { find "${generated[@]}" -type f -print0 | sort -z | xargs -0 sha256sum; }

echo "== generated files"
before=$(sums)
make --no-print-directory generate manifests
if ! diff <(printf '%s\n' "$before") <(sums); then
	echo "generated files were not current: commit what 'make generate manifests' has just written" >&2
	exit 1
fi
echo "$(find "${generated[@]}" -type f | wc -l) generated files are current"
