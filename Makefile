# On a fresh machine with Python 3.11+ and make, each target does its own set-up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export BEACON_HOME ?= $(CURDIR)/.beacon

.PHONY: help setup test check format clean
help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.installed ## install everything, pinned, into .venv
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

test: setup ## the test suite
	$(BIN)/pytest -n auto

check: setup ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## forget the environment and the local instance
	rm -rf $(VENV) $(BEACON_HOME)
