# The front door. `make` prints the targets; `make demo` and `make test` install what they need.
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/bash
.DEFAULT_GOAL := help
OPA_VERSION := 1.19.1
TEST_REPORT := .tools/test-report.txt
KUBERNETES_VERSION := $(shell sed -nE 's|^\s+k8s.io/kubernetes v([0-9.]+).*|\1|p' tools/kubernetes/go.mod)
CLUSTER := .tools/cluster/$(KUBERNETES_VERSION)
# Tests start hundreds of processes; compiled code of one serves the next.
test test-long test-net cluster-test kill-test: export NODE_COMPILE_CACHE := $(CURDIR)/.tools/compile-cache
# What people run is what is tested, and it starts in half the time.
test test-long cluster-test kill-test: export EGRET_TEST_PROGRAM := $(CURDIR)/dist/egret.mjs

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: node_modules/.stamp ## install Node 24 and the packages

# Not `npm ci`: it fails where a registry lacks the optional packages of other platforms. Versions come from the lock.
node_modules/.stamp: package.json package-lock.json
	npm install --no-save --no-audit --no-fund --loglevel=error
	@node --version | grep -qE '^v(2[4-9]|[3-9][0-9])' || { echo "expected Node 24 from node_modules/.bin, found $$(node --version)"; exit 1; }
	@touch $@

tools: .tools/bin/opa ## build OPA, the policy compiler, from its Go module

.tools/bin/opa: tools/opa/go.mod tools/opa/go.sum
	@mkdir -p .tools/bin
	@if command -v go >/dev/null; then \
	  echo "building OPA $(OPA_VERSION) (about 100 seconds, once)"; \
	  CGO_ENABLED=0 go build -C tools/opa -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/.tools/bin/opa" github.com/open-policy-agent/opa; \
	elif command -v opa >/dev/null; then ln -sf "$$(command -v opa)" .tools/bin/opa; \
	else echo "SKIPPED: neither go nor opa is on PATH, so nothing that compiles policies is tested"; fi

conformance: install .tools/conformance/$(OPA_VERSION)/cases.jsonl ## run OPA's own cases on our engines and print the score
	@if [ -s .tools/conformance/$(OPA_VERSION)/cases.jsonl ]; then node test/conformance/main.ts .tools/conformance/$(OPA_VERSION) $(CONFORMANCE); fi

conformance-cases: .tools/conformance/$(OPA_VERSION)/cases.jsonl

# The cases ship inside OPA's Go module; compiling all of them takes 40 seconds and 300 MB, once for a version.
.tools/conformance/$(OPA_VERSION)/cases.jsonl: tools/conformance/main.go tools/conformance/go.mod tools/conformance/go.sum
	@mkdir -p .tools/conformance
	@if command -v go >/dev/null; then set -e; \
	  echo "compiling the conformance cases of OPA $(OPA_VERSION) (once)"; \
	  rm -rf $(@D) $(@D).partial; \
	  CGO_ENABLED=0 go build -C tools/conformance -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/.tools/conformance/compiler" .; \
	  .tools/conformance/compiler "$$(go list -C tools/conformance -mod=readonly -m -f '{{.Dir}}' github.com/open-policy-agent/opa)/v1/test/cases/testdata/v1" $(@D).partial; \
	  mv $(@D).partial $(@D); \
	else echo "SKIPPED: no go on PATH, so OPA's conformance cases are not run"; fi

# Beside OPA, for those who check policies: the linter of Rego.
tools-lint: .tools/bin/regal ## build Regal, the linter of policies, from its Go module

.tools/bin/regal: tools/regal/go.mod tools/regal/go.sum
	@mkdir -p .tools/bin
	@if command -v go >/dev/null; then \
	  echo "building Regal (about a minute, once)"; \
	  CGO_ENABLED=0 go build -C tools/regal -mod=readonly -trimpath -ldflags "-s -w" -o "$(CURDIR)/.tools/bin/regal" github.com/open-policy-agent/regal; \
	elif command -v regal >/dev/null; then ln -sf "$$(command -v regal)" .tools/bin/regal; \
	else echo "SKIPPED: neither go nor regal is on PATH, so policies are not linted"; fi

# A real control plane, for the tests of what talks to Kubernetes. One program after the other: each fills two cores.
tools-cluster: $(addprefix $(CLUSTER)/,etcd kube-apiserver kube-controller-manager kubectl helm) ## build etcd, the Kubernetes control plane and Helm from their Go modules

# $(1): folder of the module, $(2): package, $(3): seconds it takes on 2 idle cores, $(4): linker flags.
define go-program
	@mkdir -p $(@D)
	@if command -v go >/dev/null; then set -e; \
	  echo "building $(@F) for the cluster tests (about $(3) s on 2 idle cores, once for a version)"; started=$$SECONDS; \
	  CGO_ENABLED=0 go build -C $(1) -mod=readonly -trimpath -ldflags "-s -w $(4)" -o "$(CURDIR)/$@" $(2); \
	  echo "built $(@F) in $$((SECONDS - started)) s"; \
	else echo "SKIPPED: no go on PATH to build $(@F), so nothing is tested against a real Kubernetes API server"; fi
endef

# Clients and servers compare these to tell how far apart they are.
KUBERNETES_FLAGS := $(foreach package,component-base/version client-go/pkg/version, \
  -X k8s.io/$(package).gitVersion=v$(KUBERNETES_VERSION) \
  -X k8s.io/$(package).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES_VERSION))) \
  -X k8s.io/$(package).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES_VERSION))))

$(CLUSTER)/etcd: tools/etcd/go.mod tools/etcd/go.sum
	$(call go-program,tools/etcd,go.etcd.io/etcd/server/v3,30)

$(CLUSTER)/kube-apiserver: tools/kubernetes/go.mod tools/kubernetes/go.sum | $(CLUSTER)/etcd
	$(call go-program,tools/kubernetes,k8s.io/kubernetes/cmd/kube-apiserver,170,$(KUBERNETES_FLAGS))

$(CLUSTER)/kube-controller-manager: tools/kubernetes/go.mod tools/kubernetes/go.sum | $(CLUSTER)/kube-apiserver
	$(call go-program,tools/kubernetes,k8s.io/kubernetes/cmd/kube-controller-manager,60,$(KUBERNETES_FLAGS))

$(CLUSTER)/kubectl: tools/kubernetes/go.mod tools/kubernetes/go.sum | $(CLUSTER)/kube-controller-manager
	$(call go-program,tools/kubernetes,k8s.io/kubernetes/cmd/kubectl,20,$(KUBERNETES_FLAGS))

$(CLUSTER)/helm: tools/helm/go.mod tools/helm/go.sum | $(CLUSTER)/kubectl
	$(call go-program,tools/helm,helm.sh/helm/v4/cmd/helm,75)

build: install ## bundle the command into dist/egret.mjs, which is also the plugin dist/kubectl-egret
	@esbuild src/main.ts --bundle --platform=node --target=node24 --format=esm --outfile=dist/egret.mjs \
	  --sourcemap=external --log-level=warning --legal-comments=none \
	  --banner:js=$$'#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 node --max-semi-space-size=4 --disable-proto=throw\nimport { createRequire } from "node:module"; const require = createRequire(import.meta.url);'
	@chmod +x dist/egret.mjs
	@ln -sf egret.mjs dist/kubectl-egret

demo: build ## play the receipts story with real parts; KEEP=1 leaves it running
	@node examples/receipts/demo.ts $(if $(KEEP),--keep)

test: build tools tools-wire ## run every test of the data plane
	@mkdir -p .tools
	@set -o pipefail; node --test --test-concurrency=3 --test-reporter=spec 'test/**/*.test.ts' | tee $(TEST_REPORT)

test-long: build tools ## run tests that take too long for every change, such as replays of recorded decisions
	@mkdir -p .tools
	@set -o pipefail; node --test --test-concurrency=2 --test-reporter=spec 'test/**/*.long.ts' | tee .tools/test-long-report.txt

kill-test: build ## kill -9 at 50 random moments under load
	@EGRET_TEST_ROUNDS=50 node --test --test-reporter=spec test/e2e/kill.test.ts

fuzz-answers: install ## 200,000 mutated answers of bad tools; SEED=… repeats a run
	@EGRET_FUZZ_ANSWERS=200000 $(if $(SEED),EGRET_FUZZ_SEED=$(SEED)) node --test --test-reporter=spec test/wire/response-fuzz.test.ts

fuzz-requests: install tools-wire ## 1,000,000 mutated requests before three servers; REQUESTS=… fewer, SEED=… repeats a run
	@EGRET_FUZZ_REQUESTS=$(or $(REQUESTS),1000000) $(if $(SEED),EGRET_FUZZ_SEED=$(SEED)) node --test --test-reporter=spec test/wire/request-fuzz.test.ts

fuzz-policies: install tools ## 1,000,000 inputs to every policy on three engines; INPUTS=… fewer, SEED=… repeats a run
	@EGRET_FUZZ_POLICIES=$(or $(INPUTS),1000000) $(if $(SEED),EGRET_FUZZ_SEED=$(SEED)) node --test --test-reporter=spec test/agreement/policies.test.ts

nightly: fuzz-requests fuzz-answers fuzz-policies ## what takes too long for every change

test-net: install tools-net ## attack the fence in real network namespaces (root)
	@mkdir -p .tools
	@set -o pipefail; node --test --test-concurrency=1 --test-reporter=spec 'test/net/*.net.ts' | tee .tools/test-net-report.txt

cluster-test: build tools-cluster ## run what talks to Kubernetes against a real API server
	@mkdir -p .tools
	@set -o pipefail; node --test --test-concurrency=1 --test-reporter=spec 'test/cluster/*.cluster.ts' | tee .tools/cluster-test-report.txt

# $(1): PROGRAM:PACKAGE pairs, $(2): what is not tested without them.
define programs
	@missing=; for program in $(1); do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $${program%%:*} >/dev/null || missing="$$missing $${program#*:}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
	    || echo "SKIPPED:$$missing could not be installed, so $(2) not tested"; \
	else echo "SKIPPED:$$missing not installed and not installable here, so $(2) not tested"; fi
endef

# Programs of the kernel's side: rules, namespaces, users, questions to name servers.
tools-net:
	$(call programs,nft:nftables ip:iproute2 setpriv:util-linux dig:dnsutils curl:curl python3:python3,parts of the fence are)

# Servers of other makes, for tools that must understand a request as it is on record.
tools-wire:
	$(call programs,nginx:nginx-light python3:python3,servers of these makes are)

check: install ## types, formatting, lint, dead code
	tsc
	biome ci
	oxlint --type-aware src test bench examples
	knip

fmt: install ## format and fix what can be fixed
	biome check --write

rego-test: tools ## format, check and test the Rego library, the packs and the demo policies
	@command -v opa >/dev/null || { echo "SKIPPED: no opa on PATH and no go to build it"; exit 0; }; \
	opa fmt --fail --list rego && opa check --strict rego/egret rego/packs && \
	opa test --timeout 60s rego/egret && \
	for tests in rego/packs/*/*_test.rego; do \
	  pack=$$(dirname $$tests); echo "$$pack:"; \
	  opa test --timeout 60s --ignore '*.yaml' --ignore '*.json' --run "^data\.$$(sed -n 's/^package //p' $$tests)\." rego/egret $$pack || exit 1; \
	done

bundles: install tools ## rebuild the committed bundles under rego/dist
	node rego/build.ts

bench: build ## measure beside direct, nginx, Envoy and a remote OPA; writes docs/benchmarks.md
	@node bench/main.ts $(BENCH)

bench-fleet: build tools-cluster ## measure a fleet of 500 sidecars with a real API server; QUICK=1 for 50
	@node bench/fleet.ts $(if $(QUICK),--quick)

docs: install ## render the generated references
	node src/docs/main.ts

docs-check: install ## fail when a generated reference is out of date
	node src/docs/main.ts --check

ci: test check rego-test docs-check ## what CI runs before the demo and the bench

.PHONY: help install tools tools-lint tools-cluster conformance conformance-cases build demo test test-long fuzz-answers fuzz-requests fuzz-policies nightly test-net cluster-test tools-net tools-wire kill-test check fmt rego-test bundles bench bench-fleet docs docs-check ci
