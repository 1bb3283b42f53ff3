#!/usr/bin/env bash
# Brings the local cluster up, builds the images of this commit, loads them and
# installs Sallyport as a user would. Prints the environment to continue with.
# The stages' times go to standard error, since they are what a run is made of.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '%7.1fs  %s\n' "$(awk "BEGIN {print ($(date +%s%N) - $start) / 1e9}")" "$*" >&2; }
start=$(date +%s%N)

# What the host lacks. Debian's package lists may be empty on a new host.
missing=()
command -v git >/dev/null || missing+=(git)
[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 2>/dev/null)" ] || apt-get update -qq >&2
[ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2

go -C hack/cluster run . up >&2
kubeconfig=$(go -C hack/cluster run . kubeconfig)
bin=$(go -C hack/cluster run . binaries kubectl 2>/dev/null)
export KUBECONFIG=$kubeconfig PATH=$bin:$PATH
say "cluster up"

make --no-print-directory build >&2
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./test/intruder
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/upstream ./test/upstream/cmd
image() { # VERB NAME ARGS...: assembles and prints the archive
	go -C hack/cluster run ./image "$1" -name "sallyport.local/$2:dev" -o "$PWD/bin/$2.tar" "${@:3}" >/dev/null
	echo "$PWD/bin/$2.tar"
}
archives=(
	"$(image binary manager "$PWD/bin/manager")"
	"$(image binary sidecar "$PWD/bin/sidecar")"
	"$(image debian agent -add "$PWD/bin/intruder" bash curl git ca-certificates)"
	"$(image debian upstream -add "$PWD/bin/upstream" git)"
)
if [ -n "${CLIENTS:-}" ]; then # programs of others, for tests of proxy mode
	make --no-print-directory packages >&2
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./test/clients/goclient
	node=$(echo "${XDG_CACHE_HOME:-$HOME/.cache}"/sallyport/npm/node_modules/node-*/bin/node)
	archives+=("$(image debian clients -add "$PWD/bin/goclient" -add "$bin/kubectl" -add "$node" bash curl git ca-certificates python3-requests libstdc++6)")
fi
refs=$(go -C hack/cluster run . load "${archives[@]}")
ref() { grep "^sallyport.local/$1@" <<<"$refs"; }
say "images built and loaded"

hack/overlay.sh "$(ref manager)" "$(ref sidecar)" local
kubectl apply -k bin/local >&2
for role in controller webhook; do
	if ! kubectl rollout status -n sallyport-system "deployment/sallyport-$role" --timeout=180s >&2; then
		kubectl get pods,events -n sallyport-system >&2
		kubectl logs -n sallyport-system -l "app.kubernetes.io/component=$role" --tail=40 >&2 || true
		exit 1
	fi
done
say "Sallyport installed"
cat <<END
export KUBECONFIG=$kubeconfig
export PATH=$bin:\$PATH
export SALLYPORT_AGENT_IMAGE=$(ref agent)
export SALLYPORT_UPSTREAM_IMAGE=$(ref upstream)
export SALLYPORT_CLIENTS_IMAGE=${CLIENTS:+$(ref clients)}
END
