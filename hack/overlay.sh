#!/usr/bin/env bash
# Writes the overlay bin/NAME, which is config/default with both images by
# digest: overlay.sh MANAGER SIDECAR NAME [EARLIER...]. The sidecar's is named in
# three places: the webhook puts it into pods, the controller hands out keys to
# it and the policy lets it in. The latter two are also told of the sidecars of
# earlier releases: without them an upgrade cuts off the pods that still run.
set -euo pipefail
cd "$(dirname "$0")/.."
manager=$1 sidecar=$2 out=bin/$3
trusted='' digests=''
for image in "$sidecar" "${@:4}"; do
	[[ $image =~ ^.+@(sha256:[0-9a-f]{64})$ ]] || { echo "name the sidecar's image by digest: $image" >&2; exit 1; }
	trusted+="
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --sidecar-image=$image}"
	digests+=", '${BASH_REMATCH[1]}'"
done
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
- target: {kind: Deployment, name: sallyport-controller}
  patch: |-
    - {op: test, path: /spec/template/spec/containers/0/args/0, value: controller}
    - {op: remove, path: /spec/template/spec/containers/0/args/1}$trusted
- target: {kind: ValidatingAdmissionPolicy, name: sallyport-pods}
  patch: |-
    - {op: test, path: /spec/variables/0/name, value: digests}
    - {op: replace, path: /spec/variables/0/expression, value: "[${digests#, }]"}
END
