# Needs Python 3.11 or newer and make; everything else is set up in .venv by the first call.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready
# The real clusters beside all else (tests/conftest.py). ARGS="-n 0" runs one after the other.
PYTEST := $(BIN)/python -m pytest -n 2 --no-loadscope-reorder

.PHONY: demo test quick lint bench soak lock clean
.DEFAULT_GOAL := help

help: ## Show what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## Play the incidents on the embedded cluster and show what the daemon finds.
	$(BIN)/probe demo $(ARGS)

test: $(READY) ## Run all tests (those that need more than Python skip and say what is missing).
	$(PYTEST) $(ARGS)

quick: $(READY) ## Run the quick tests: under a minute, no cluster.
	$(PYTEST) -m "not slow" $(ARGS)

lint: $(READY) ## Formatting, lint, types and the floors of the house.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## Measure dials, memory and exposition against yardsticks of the same run.
	$(BIN)/python -m tests.bench $(ARGS)

soak: $(READY) ## Live with the daemons on real Kubernetes for half an hour, and count what they get wrong.
	$(BIN)/python -m tests.soak $(ARGS)

# The locks hold pins and hashes and no index address, so they work behind any mirror.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "probe needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --upgrade pyproject.toml

lock: $(READY) ## Renew both locks from pyproject.toml: what runs, and what develops it.
	$(COMPILE) --group build -o requirements.lock
	$(COMPILE) --group dev -o requirements-dev.lock

clean: ## Remove what was set up.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
