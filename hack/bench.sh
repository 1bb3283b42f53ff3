#!/usr/bin/env bash
# Measures the built sidecar beside its peers; the arguments are those of
# hack/bench. Takes some 25 minutes, wants an idle machine, and writes
# docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
if [ ${#missing[@]} -gt 0 ]; then
	echo "== installing ${missing[*]}"
	apt-get update -qq
	# The packages would start services of their own: nothing may.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
		trap 'rm -f $policy' EXIT
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
make --no-print-directory build
go build -o bin/bench ./hack/bench
bin/bench -sidecar bin/sidecar -document docs/benchmarks.md "$@"
