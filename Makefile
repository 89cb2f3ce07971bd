# `make help` lists the targets. CI calls the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ENVIRONMENT ?= dev
# Two workers: the suite starts database servers and Node processes of its own.
PYTEST_WORKERS ?= 2

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed node_modules/.installed mariadb ## Install everything: Python, Node and MariaDB

$(VENV)/.installed: requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: mariadb
mariadb: ## Install the MariaDB server, for the tests, where it is missing
	@scripts/install_mariadb.sh

.PHONY: test
test: setup ## Run every test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup

.PHONY: test-unit
test-unit: setup ## Run the tests that need neither a database nor the CDK
	$(BIN)/python -m pytest tests/unit

.PHONY: lint
lint: setup ## Check the format, the style and the types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/update_rds_ca_bundle.py --check

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: synth
synth: setup ## Synthesise the app for ENVIRONMENT=dev|prod into cdk.out
	PATH="$(abspath $(BIN)):$$PATH" npx cdk synth --quiet -c environment=$(ENVIRONMENT)

.PHONY: diff
diff: setup ## Compare the app with what is deployed
	PATH="$(abspath $(BIN)):$$PATH" npx cdk diff -c environment=$(ENVIRONMENT)

.PHONY: deploy
deploy: setup ## Deploy ENVIRONMENT=dev|prod
	PATH="$(abspath $(BIN)):$$PATH" npx cdk deploy -c environment=$(ENVIRONMENT)

.PHONY: snapshots
snapshots: setup ## Accept the synthesised templates as the new snapshots; read the diff
	$(BIN)/python -m pytest tests/infrastructure/test_snapshots.py --snapshot-update

.PHONY: bench
bench: setup ## Measure settlements, cold start and synth; rewrites docs/benchmarks.md
	$(BIN)/python -m benchmarks

.PHONY: wheel
wheel: setup ## Build the wheel and the sdist into dist
	$(BIN)/python -m build --no-isolation

.PHONY: lock
lock: $(VENV)/.installed ## Pin requirements*.txt anew from the *.in files
	$(BIN)/$(LOCK) lambdas/requirements.in -o lambdas/requirements.txt
	$(BIN)/$(LOCK) -c lambdas/requirements.txt requirements-dev.in -o requirements-dev.txt
	$(BIN)/$(LOCK) -c requirements-dev.txt requirements.in -o requirements.txt

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf cdk.out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
