# `make demo` runs the main job, `make test` runs all the tests; each sets up what it needs.
# Needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOJO := .venv-agentdojo
VALIDATORS := .venv-validators
RAY := .venv-ray
OPA := github.com/open-policy-agent/opa@v1.22.2
PIP := -m pip --disable-pip-version-check --quiet

# A lock file is whole: with --no-deps nothing is resolved again, whatever has been published since.

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("guardrail needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## the virtual environment, from requirements.lock

demo: $(READY) ## three agents, guarded: allowed, denied, approved, halted, crashed; leaves guardrail-demo/
	@$(BIN)/guardrail demo $(ARGS)

test: $(READY) opa ## all the tests
	@$(BIN)/python -m pytest $(ARGS)

# Tests that need an OPA server are skipped where there is neither opa nor Go, and say so.
opa: ## a real OPA for the tests: that on PATH, else built into .tools with Go (two minutes, once)
	@command -v opa >/dev/null 2>&1 || test -x .tools/opa || ! command -v go >/dev/null 2>&1 || { \
	  echo "Building $(OPA) (about two minutes) …"; \
	  GOBIN="$$PWD/.tools" go install $(OPA) || echo "OPA was not built: tests that need it are skipped"; }

engines: $(READY) opa ## write docs/engines.md: how OPA and the embedded interpreter compare
	@$(BIN)/python tests/opa/engines.py $(ARGS)

faults: $(READY) opa ## write docs/faults.md: every fault under load, and what became of every call (needs root)
	@$(BIN)/python -m tests.faults.page $(ARGS)

soak: $(READY) opa ## the long campaigns of the same tests (500 kills, hours of racing)
	@GUARDRAIL_SOAK=1 $(BIN)/python -m pytest --timeout=3600 $(ARGS)

lint: $(READY) ## format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(READY) ## mypy strict and pyright strict
	@$(BIN)/mypy
	@$(BIN)/pyright

format: $(READY) ## let ruff rewrite what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## the ratios of docs/benchmarks.md, paired with their raw baselines
	@$(BIN)/python bench $(ARGS)

$(DOJO)/.ready: examples/requirements-agentdojo.lock pyproject.toml
	@echo "Setting up $(DOJO) …"
	@test -x $(DOJO)/bin/python || $(PYTHON) -m venv $(DOJO)
	@$(DOJO)/bin/python $(PIP) install --require-hashes --no-deps -r examples/requirements-agentdojo.lock
	@$(DOJO)/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

agentdojo: $(DOJO)/.ready ## AgentDojo through the real adapter; ARGS="--every 10" for a sample
	@$(DOJO)/bin/python examples/agentdojo $(ARGS)

$(VALIDATORS)/.ready: tests/validators/requirements.lock
	@echo "Setting up $(VALIDATORS) …"
	@test -x $(VALIDATORS)/bin/python || $(PYTHON) -m venv $(VALIDATORS)
	@$(VALIDATORS)/bin/python $(PIP) install --require-hashes --no-deps -r tests/validators/requirements.lock
	@touch $@

validators: $(VALIDATORS)/.ready $(READY) ## the tests of guardrails-ai's own validators, which need 330 MB of their own
	@$(BIN)/python -m pytest -n 0 tests/validators $(ARGS)

$(RAY)/.ready: tests/replay/requirements.lock pyproject.toml
	@echo "Setting up $(RAY) …"
	@test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	@$(RAY)/bin/python $(PIP) install --require-hashes --no-deps -r tests/replay/requirements.lock
	@$(RAY)/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

ray: $(RAY)/.ready ## the tests of replays on a Ray cluster, which needs 200 MB of its own
	@$(RAY)/bin/python -m pytest -n 0 tests/replay/test_cluster.py $(ARGS)

lock: $(READY) ## resolve the lock files anew (needs uv)
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
	  --extra export --extra langgraph --extra opa --extra serve --extra slack --group dev pyproject.toml -o requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
	  --extra langgraph --group dev --group agentdojo pyproject.toml -o examples/requirements-agentdojo.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
	  --group validators -o tests/validators/requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  -c requirements.lock --extra ray --extra export --extra langgraph --extra serve --extra slack --group dev pyproject.toml \
	  -o tests/replay/requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  -c requirements.lock --extra opa --extra otel --extra postgres --extra serve --extra slack pyproject.toml -o examples/deploy/requirements.lock

clean: ## everything that can be made again
	rm -rf $(VENV) $(DOJO) $(VALIDATORS) $(RAY) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup demo test soak lint types format bench opa engines faults agentdojo validators ray lock clean
