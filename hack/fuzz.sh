#!/usr/bin/env bash
# Fuzzes every target of both kinds of package for a while each, one by one.
# New inputs that fail are written below the package's testdata: commit them
# with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
length=${1:-1m}
n=0
while IFS=: read -r file target; do
	n=$((n + 1))
	echo "== $target in $(dirname "$file") for $length"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$length" "./$(dirname "$file")"
done < <(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' ':!hack/cluster' | sed -E 's/:func /:/')
echo "$n targets fuzzed for $length each"
