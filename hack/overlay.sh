#!/usr/bin/env bash
# Writes the overlay bin/NAME, which is config/default with both images by
# digest: overlay.sh MANAGER SIDECAR NAME. The manager has to be told of the
# sidecar's, since it puts it into pods.
set -euo pipefail
cd "$(dirname "$0")/.."
manager=$1 sidecar=$2 out=bin/$3
mkdir -p "$out"
cat >"$out"/kustomization.yaml <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../config/default]
images:
- {name: sallyport-manager, newName: ${manager%@*}, digest: ${manager#*@}}
patches:
- target: {kind: Deployment, name: sallyport-webhook}
  patch: |-
    - {op: test, path: /spec/template/spec/containers/0/args/0, value: webhook}
    - op: replace
      path: /spec/template/spec/containers/0/args/1
      value: --sidecar-image=$sidecar
END
