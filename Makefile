# Needs Python 3.11+ and make; everything else is installed into .venv, from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080

# Keep compiled modules, whatever the shell says: the tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test test-all real traffic check lint audit bench docs lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "make %-9s %s\n", $$1, $$2}'

run: $(VENV)/installed-run ## serve the provider against an embedded cluster and AWS (PORT=8080)
	@$(BIN)/python -m tests.world --port $(PORT)

# Four processes, since many tests wait. Each has a moto of its own; the tests of a file share its world.
PYTEST := $(BIN)/pytest --numprocesses 4 --dist loadfile

test: $(VENV)/installed ## run the tests (about two and a half minutes)
	$(PYTEST)

test-all: $(VENV)/installed ## run every test, the long ones and all repetitions too, as CI does
	LONG_TESTS=1 $(PYTEST) --numprocesses 2 -m ''

real: $(VENV)/installed ## run every scenario with real Argo Rollouts and a real API server, built once (needs Go, etcd, kubectl)
	@$(BIN)/python -m tests.real.build
	REAL=1 $(BIN)/pytest --numprocesses 0 tests/real

traffic: $(VENV)/installed ## send real requests through every switch, into docs/strategies.md (root, HAProxy, vegeta; QUICK=1)
	@$(BIN)/python -m tests.real.build
	@$(BIN)/python -m tests.traffic $(if $(QUICK),--quick) $(TRAFFIC)

check: lint ## lint, types, and the tests of the files changed since the last commit
	$(BIN)/python -m tests.changed

lint: $(VENV)/installed ## check format, style, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/zizmor --offline --quiet .github/workflows

audit: $(VENV)/installed ## look the locked dependencies up among known vulnerabilities
	$(BIN)/python -m tests.repository.audit

bench: $(VENV)/installed ## measure what queries cost, into bench-results/; e.g. BENCH="--only again" or --quick
	$(BIN)/python -m tests.bench $(BENCH)

docs: $(VENV)/installed ## write the generated parts of docs/ from the code
	$(BIN)/python -m tests.repository.documentation

# `uv` resolves for every supported Python and platform at once; addresses of registries stay out of the files.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --upgrade pyproject.toml
lock: $(VENV)/installed ## renew the lock files from pyproject.toml
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

# The lock files name every package, so pip need not resolve; Python compiles what it imports.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile

# What `make run` needs. The other targets install the rest into the same environment.
$(VENV)/installed-run: pyproject.toml requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PYTHON) -m tests.world.locked > $(VENV)/world.lock
	@$(INSTALL) --require-hashes --requirement requirements.lock --requirement $(VENV)/world.lock
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/installed: $(VENV)/installed-run
	@echo "Installing the development tools into $(VENV) (once) ..."
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

clean: ## remove what was installed and cached
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
