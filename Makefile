# Everything from a fresh clone. `make demo` runs the main job, `make test` the tests; both install what they need.

PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	command -v $$python >/dev/null 2>&1 && $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
ARGS ?=
PURE := $(addprefix keeper/,pricing protocol state risk hedging accounting market units.py errors.py compiled.py)

.DEFAULT_GOAL := help
.PHONY: help setup compile demo test lint types check fuzz soak lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready node_modules/.ready  ## install everything, pinned, into .venv and node_modules

compile: setup  ## compile the contracts
	@$(BIN)/python -m keeper.chain.artifacts

demo: setup  ## a chain, the protocol, two vaults, a keeper, a crash, and a report: make demo ARGS="--prices FILE.csv"
	@$(BIN)/keeper demo $(ARGS)

test: setup  ## the tests, at sizes that two cores finish in minutes
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

lint: setup
	@$(BIN)/ruff check keeper scripts tests

types: setup
	@$(BIN)/mypy --no-error-summary $(PURE) && echo "types: the pure rooms are clean"

check: lint types test  ## linting, types of the pure rooms, and the tests

fuzz: setup  ## property tests at full size
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -n 2 -m "fuzz or not soak" tests/properties $(ARGS)

soak: setup  ## the long runs
	@$(BIN)/pytest -m soak --timeout 7200 $(ARGS)

lock: .venv/ready  ## renew requirements.lock from pyproject.toml
	@$(BIN)/python scripts/_lock.py

clean:  ## remove everything that the other commands made, except runs
	rm -rf .venv node_modules .build-cache .build *.egg-info

# Stamps: a step runs again only when what it reads has changed.

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gamma-keeper needs Python 3.11 or 3.12 on PATH (or: make PYTHON=/path/to/python3.11)" >&2; exit 2; }
	@echo "creating .venv with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv .venv

.venv/requirements: requirements.lock | .venv/bin/python
	@echo "installing Python packages (about a minute) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@touch $@

.venv/ready: .venv/requirements pyproject.toml
	@echo "installing the keeper command ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv/node: requirements-node.lock | .venv/requirements
	@command -v node >/dev/null 2>&1 || { echo "installing Node into .venv ..." >&2; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-node.lock; }
	@$(BIN)/python scripts/_link_tools.py --node
	@touch $@

node_modules/.ready: package-lock.json scripts/solc scripts/_link_tools.py | .venv/node .venv/ready
	@echo "installing Anvil, solc, OpenZeppelin and Solady ..." >&2
	@npm ci --silent --no-progress
	@$(BIN)/python scripts/_link_tools.py
	@touch $@
