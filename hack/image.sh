#!/usr/bin/env bash
# Builds both images, pushes them to the reader's registry and prints how to
# install them: image.sh registry/name:tag pushes registry/name-manager:tag and
# registry/name-sidecar:tag. Credentials are those of the Docker configuration.
# A second argument names the overlay below bin/, which is install by default.
# EARLIER holds the sidecars, by digest, of releases whose pods still run.
set -euo pipefail
cd "$(dirname "$0")/.."
img=${1:-} out=${2:-install}
if [[ ! $img =~ ^[^/]+/.+:[^/:]+$ ]]; then
	echo "name the images: make image IMG=registry.example.com/team/sallyport:v0.1.0" >&2
	exit 1
fi
push() {
	go -C hack/cluster run ./image binary -name "${img%:*}-$1:${img##*:}" -push "$PWD/bin/$1"
}
manager=$(push manager)
sidecar=$(push sidecar)
read -ra earlier <<<"${EARLIER:-}"
hack/overlay.sh "$manager" "$sidecar" "$out" "${earlier[@]}"
printf "\nInstall it with\n\n    kubectl apply -k bin/%s\n" "$out"
