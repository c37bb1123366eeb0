# `make` alone lists what can be made. It needs Python 3.11 or newer; GraphiQL and the conformance checks also need npm.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
LOCKS := requirements/dev.lock requirements/runtime.lock requirements/build.lock
GRAPHIQL := kalends/server/graphiql
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

# The locks hold for every platform and for Python 3.11 and newer, and name no package index.
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --python-version 3.11 \
  --custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links $(ARGS)

.PHONY: help
help: ## List what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: serve
serve: .build/serve graphiql-if-possible ## Run the demo: environment, GraphiQL, data and a key, all made on the first run.
	@$(BIN)/kalends serve --demo $(ARGS)

.PHONY: test
test: .build/dev ## Run every test, on SQLite and on a PostgreSQL that the tests bring with them.
	$(BIN)/python -m pytest --numprocesses=auto $(ARGS)

.PHONY: check
check: .build/dev ## Check style, types, imports, the exported schema, the settings' page and the locks.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy examples/provider/example_calendar.py examples/provider/example_folders.py examples/two_way_demo.py
	$(BIN)/lint-imports
	$(BIN)/kalends schema --check schema.graphql
	$(BIN)/kalends settings --markdown | diff docs/settings.md - || { echo "docs/settings.md is out of date: run make schema"; exit 1; }
	@$(MAKE) --no-print-directory check-locks

.PHONY: check-locks
check-locks: .build/dev
	@rm -rf .build/locks && mkdir -p .build/locks && cp pyproject.toml .build/locks && cp -r requirements .build/locks
	@touch .build/locks/pyproject.toml && cd .build/locks && $(MAKE) --no-print-directory -f $(CURDIR)/Makefile BIN=$(abspath $(BIN)) compile ARGS=
	@for lock in $(LOCKS); do diff -u $$lock .build/locks/$$lock || { echo "$$lock is out of date: run make lock"; exit 1; }; done
	@echo "The locks are what pyproject.toml asks for."

.PHONY: format
format: .build/dev ## Put the code into shape.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: graphiql
graphiql: .build/graphiql ## Bundle GraphiQL, with npm.

.PHONY: schema
schema: .build/dev ## Write schema.graphql and docs/settings.md anew.
	$(BIN)/kalends schema > schema.graphql
	$(BIN)/kalends settings --markdown > docs/settings.md

.PHONY: lock
lock: .build/dev compile ## Write the locks anew for pyproject.toml; ARGS=--upgrade takes newer versions.

.PHONY: compile
compile:
	@$(COMPILE) --extra dev -o requirements/dev.lock pyproject.toml
	@$(COMPILE) -c requirements/dev.lock -o requirements/runtime.lock pyproject.toml
	@$(COMPILE) -c requirements/dev.lock -o requirements/build.lock requirements/build.in

.PHONY: conformance
conformance: .build/dev ## Ask other people's tools about the API: GraphQL over HTTP, federation, a typed client (npm).
	conformance/run.sh $(ARGS)

.PHONY: demo-two-way
demo-two-way: .build/dev ## Play two-way sync with a Radicale beside the demo, and print all that happens.
	@$(BIN)/python examples/two_way_demo.py $(ARGS)

.PHONY: faults
faults: .build/dev ## Kill the server again and again while it is written to, and count what is lost or doubled.
	$(BIN)/python -m tests.faults $(ARGS)

.PHONY: bench
bench: .build/dev ## Measure createEvent on both databases, beside a stock server and pgbench.
	$(BIN)/python -m bench $(ARGS)

.PHONY: wheel
wheel: .build/dev .build/graphiql ## Build the wheel into dist/ and check what is in it.
	@rm -rf dist
	@$(BIN)/python -m hatchling build -t wheel
	@$(BIN)/python -m zipfile -l dist/kalends-*.whl > .build/wheel.txt
	@for name in kalends/py.typed kalends/server/static/graphiql/manifest.json schema/schema.py resolvers/sync.py \
	  providers/interface.py kalends/contracts/reading_contract.py kalends/contracts/surroundings.py \
	  kalends/simulators/google/app.py storage/migrations/script.py.mako storage/migrations/versions/0001; do \
	  grep -q "^$$name" .build/wheel.txt || { echo "The wheel lacks $$name"; exit 1; }; done
	@! grep -E '^(tests|bench|examples|conformance|kalends/server/graphiql)/|node_modules|/test_' .build/wheel.txt
	@echo "The wheel has what it should."

.PHONY: clean
clean: ## Remove the environment, the bundle and every cache; the demo's data in var/ stay.
	rm -rf .build $(VENV) dist kalends/server/static/graphiql $(GRAPHIQL)/node_modules
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path '*/node_modules/*' -prune -exec rm -rf {} +

# What the targets above need. A stamp in .build/ is older than its inputs where there is something to do.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Kalends needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

.build/serve: requirements/runtime.lock requirements/build.lock pyproject.toml $(BIN)/python
	@mkdir -p .build
	@echo "Installing what Kalends needs"
	@$(PIP_INSTALL) --require-hashes -r requirements/runtime.lock -r requirements/build.lock
	@$(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

.build/dev: requirements/dev.lock pyproject.toml $(BIN)/python
	@mkdir -p .build
	@echo "Installing what Kalends and its tests need"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.lock
	@$(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

.build/graphiql: $(GRAPHIQL)/package-lock.json $(GRAPHIQL)/package.json $(GRAPHIQL)/vite.config.js $(wildcard $(GRAPHIQL)/src/*)
	@mkdir -p .build
	@echo "Bundling GraphiQL"
	@cd $(GRAPHIQL) && npm ci --loglevel=error && npm run build --loglevel=error -- --logLevel=warn
	@touch $@

.PHONY: graphiql-if-possible
graphiql-if-possible:
	@if ! command -v npm > /dev/null; then \
	  echo "There is no npm here: GraphiQL will be missing, everything else works."; \
	elif ! $(MAKE) -s .build/graphiql; then \
	  echo "GraphiQL could not be bundled and will be missing; everything else works. make graphiql tries again."; \
	fi
