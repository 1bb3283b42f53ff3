#!/usr/bin/env bash
# Plays the story and its variations in real pods, of images of this commit, on
# the local cluster, and takes Sallyport out of it in the end. The cluster itself
# is left as it is: make down removes it.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(CLIENTS=1 hack/deploy.sh)
eval "$environment"
echo "== end-to-end tests"
go test -count=1 -tags=e2e -timeout=25m -v ./test/e2e
echo "== removal, as the README says"
go test -count=1 -tags=e2e -timeout=10m -v ./test/removal
