# Needs Python 3.11+ and make; everything else is installed into .venv, from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080

.PHONY: run test lint audit bench load docs lock clean

run: $(VENV)/installed ## serve the provider against an embedded cluster and AWS
	@$(BIN)/python -m provider.demo --port $(PORT)

test: $(VENV)/installed
	$(BIN)/pytest

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

audit: $(VENV)/installed ## look the locked dependencies up among known vulnerabilities
	$(BIN)/python -m tests.audit

bench: $(VENV)/installed ## measure what questions cost, into bench-results/; e.g. BENCH="--only cold,hot" or --quick
	$(BIN)/python -m tests.bench $(BENCH)

load: $(VENV)/installed ## hold 64 callers for a minute beside a slow AWS, and print figures
	$(BIN)/python -m tests.load

docs: $(VENV)/installed ## renew the README's reference tables from the code
	$(BIN)/python -m tests.documentation

# `uv` resolves for every supported Python and platform at once; addresses of registries stay out of the files.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header pyproject.toml
lock: $(VENV)/installed ## renew both lock files from pyproject.toml
	$(LOCK) --upgrade --output-file requirements.lock
	$(LOCK) --upgrade --all-extras --output-file requirements-dev.lock

$(VENV)/installed: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
