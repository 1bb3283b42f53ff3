# Every target works on a fresh Debian host with Go and root: what else is
# needed is installed by apt or built from Go modules into $(CACHE).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sallyport
TOOLS := $(CACHE)/tools
CLIENTS := $(CACHE)/clients
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w
BINARIES := manager sidecar sallyport
CLUSTER := go -C hack/cluster run .
export CGO_ENABLED ?= 0

##@ Use
.PHONY: demo
demo: ## Play the story on a real cluster: with and without Sallyport
	@hack/demo.sh

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Build
.PHONY: build
build: ## Build manager, sidecar and sallyport into bin/
	@for b in $(BINARIES); do \
	  go build -trimpath -ldflags '$(LDFLAGS)' -o bin/$$b ./cmd/$$b; done
	@ln -sf sallyport bin/kubectl-sallyport

.PHONY: image
image: build ## Build and push both images: make image IMG=registry/sallyport:tag
	@hack/image.sh "$(IMG)"

.PHONY: generate
generate: ## Generate deep-copy functions
	@go tool controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: ## Generate the CRDs
	@go tool controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	@go run ./hack/crd config/crd/bases/*.yaml

.PHONY: binaries
binaries: ## Build the programs of a cluster (once; about 13 minutes on two cores)
	@$(CLUSTER) binaries >/dev/null

##@ Test
.PHONY: test
test: verify lint unit ## Check generated files, lint, run all tests but e2e with the race detector

.PHONY: unit
unit: host binaries packages clients $(TOOLS)/gotestsum
	@echo "== tests, race detector on"
	@CGO_ENABLED=1 $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -race -timeout 20m ./...
	@echo "== tests of memory and of order, race detector off: it takes some and shuffles"
	@$(TOOLS)/gotestsum --format pkgname-and-test-fails -- -count=1 -run 'Alloc|IdleConnections|InOrder' ./sidecar/http1 ./sidecar/limit ./sidecar/proxy ./sidecar/socket ./test/faults
	@echo "== tests of hack/cluster"
	@cd hack/cluster && $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -timeout 20m ./...

.PHONY: packages
packages: host $(CACHE)/npm/installed.json ## Install the npm packages that tests read and run (once)
$(CACHE)/npm/installed.json: hack/npm/package-lock.json
	@hack/npm.sh $(CACHE)/npm

.PHONY: clients
clients: $(CLIENTS)/gh $(CLIENTS)/github-mcp-server $(CLIENTS)/versitygw ## Build programs of others that tests run (once)

.PHONY: verify
verify: ## Check that generated files are current
	@hack/verify.sh

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Lint all modules
	@echo "== lint"
	@$(TOOLS)/golangci-lint run ./...
	@cd hack/cluster && $(TOOLS)/golangci-lint run -c ../../.golangci.yml ./...
	@for m in test/git/gogit test/mcp/gosdk test/aws/clients; do (cd $$m && $(TOOLS)/golangci-lint run -c ../../../.golangci.yml ./...); done

.PHONY: corpus
corpus: ## Run the attack corpus against the built binary, each case printed
	@go test -count=1 -v ./test/corpus

.PHONY: e2e
e2e: ## Run the story in real pods on a real cluster
	@hack/e2e.sh

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (default 1m) each; PATTERN chooses some
	@PATTERN='$(PATTERN)' hack/fuzz.sh "$(or $(FUZZTIME),1m)"

.PHONY: bench
bench: ## Measure beside HAProxy, nginx and ReverseProxy, into docs/benchmarks.md
	@hack/bench.sh

.PHONY: bench-scale
bench-scale: ## Measure how fast changes reach 1,000 sidecars on a real API server
	@hack/bench-scale.sh

.PHONY: load
load: build ## Run the data plane beside hostile agents for ten minutes of fifteen: LOADTIME changes the length
	@go run ./hack/load -length "$(or $(LOADTIME),10m)"

.PHONY: bench-webhook
bench-webhook: ## Measure what admission of 100 pods/s costs on a real API server
	@hack/bench-webhook.sh

##@ Cluster
.PHONY: up down logs
up: ## Bring the local cluster up
	@$(CLUSTER) up
down: ## Take it down and remove all it made
	@$(CLUSTER) down
logs: ## List its logs; make logs C=kubelet prints one
	@$(CLUSTER) logs $(C)

# The race detector needs a C compiler, the demo's agent curl and git, the data
# of tests npm, tests of certificates openssl, those of signed pushes ssh-keygen, those of clients Python's requests and Java;
# all else is built. Packages are installed where a command is missing.
.PHONY: host
host:
	@missing=(); for p in gcc:gcc gcc:libc6-dev curl:curl git:git npm:npm openssl:openssl ssh-keygen:openssh-client javac:default-jdk-headless; do \
	  command -v "$${p%:*}" >/dev/null || missing+=("$${p#*:}"); done; \
	/usr/bin/python3 -c 'import requests' 2>/dev/null || missing+=(python3-requests); \
	[ $${#missing[@]} -eq 0 ] || { echo "== installing $${missing[*]}"; apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$${missing[@]}" >/dev/null; }

$(TOOLS)/%: hack/tools/go.mod hack/tools/go.sum
	@echo "== building $* (once)"
	@mkdir -p $(TOOLS)
	@cd hack/tools && go build -o $@ $$(go list -f '{{.ImportPath}}' tool | grep '/$*$$')
	@touch $@

$(CLIENTS)/%: hack/clients/go.mod hack/clients/go.sum
	@echo "== building $* (once)"
	@mkdir -p $(CLIENTS)
	@cd hack/clients && go build -o $@ $$(go list -f '{{.ImportPath}}' tool | grep '/$*$$')
	@touch $@

$(CLIENTS)/versitygw: test/aws/server/go.mod test/aws/server/go.sum
	@echo "== building versitygw (once)"
	@mkdir -p $(CLIENTS)
	@cd test/aws/server && go build -o $@ $$(go list -f '{{.ImportPath}}' tool)
	@touch $@
