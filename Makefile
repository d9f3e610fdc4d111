# Needs Python 3.11 or newer with venv (Debian: python3-venv) and make; everything else is set up in
# .venv by the first call.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNS := .venv/runs
READY := .venv/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The real clusters beside all else (tests/conftest.py); three, since two leave the cores idle while
# they wait. ARGS="-n 0" runs one after the other.
PYTEST := $(BIN)/python -m pytest -n 3 --no-loadscope-reorder

.PHONY: help demo test quick lint bench soak generate lock clean
.DEFAULT_GOAL := help

help: ## Show what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(RUNS) ## Play the incidents on the embedded cluster and show what the daemon finds.
	$(BIN)/probe demo $(ARGS)

test: $(READY) ## Run all tests (those that need more than Python skip and say what is missing).
	$(PYTEST) $(ARGS)

quick: $(READY) ## Run the tests without those that take seconds each or a real cluster.
	$(PYTEST) -m "not slow and not nightly" $(ARGS)

lint: $(READY) ## Formatting, lint, types and the floors of the house.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## Measure dials, memory and exposition against yardsticks of the same run.
	$(BIN)/python -m tests.bench $(ARGS)

soak: $(READY) ## Live with the daemons on real Kubernetes for half an hour, and count what they get wrong.
	$(BIN)/python -m tests.soak $(ARGS)

generate: $(READY) ## Write alerts, dashboards and manifests; RUNBOOKS=URL has them lead to your runbooks.
	$(BIN)/python -m deploy.alerts $(RUNBOOKS)
	$(BIN)/python -m deploy.dashboards $(RUNBOOKS)
	$(BIN)/python -m deploy.manifests

# What runs, and on top of it what develops it. The locks hold pins and hashes and no index address,
# so they work behind any mirror.
$(RUNS): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "probe needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(READY): $(RUNS) requirements-dev.lock
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --upgrade pyproject.toml

lock: $(READY) ## Renew both locks from pyproject.toml: what runs, and what develops it.
	$(COMPILE) --group build -o requirements.lock
	$(COMPILE) --group dev -o requirements-dev.lock

clean: ## Remove what was set up.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
