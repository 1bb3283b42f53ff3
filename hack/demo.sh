#!/usr/bin/env bash
# Plays the story on the local cluster, with and without Sallyport.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(hack/deploy.sh)
eval "$environment"
go run ./hack/demo
echo
echo "The cluster is still there. To look around: export KUBECONFIG=$KUBECONFIG"
echo "To remove it: make down"
