#!/usr/bin/env bash
# Installs the npm packages that tests read and run into the directory $1:
# once, by version and digest of hack/npm/package-lock.json. Installing runs no
# code of theirs, and what no test needs is not kept: most of half a gigabyte.
set -euo pipefail
cd "$(dirname "$0")/npm"
to=$1
if cmp -s package-lock.json "$to/installed.json"; then
	touch "$to/installed.json"
	exit 0
fi
echo "== installing packages of npm for tests (once)"
mkdir -p "$to"
cp package.json package-lock.json "$to"
npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
find "$to/node_modules/@octokit/openapi/generated" -name '*.json' ! -name api.github.com.json -delete
rm -rf "$to"/node_modules/node-linux-*/{include,share}
cp package-lock.json "$to/installed.json"
