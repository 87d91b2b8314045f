# On a fresh machine with Python 3.11+ and make, each target does its own set-up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifdef POSTGRES
export DAGSTER_HOME ?= $(CURDIR)/.beacon-postgresql
endif
export DAGSTER_HOME ?= $(CURDIR)/.beacon
export DAGSTER_TELEMETRY_ENABLED := false
# Where Python keeps no compiled files, each of the hundreds of processes of `make test` compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run study dev dev-modal test test-long test-vllm mutation check format incident chaos bench bench-data-tests compare-dbt clean
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## install everything, pinned, into .venv
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,local]'
	touch $@

run: setup ## the main job: ask 8 questions of 3 small models in 3 regions, and show the matrix
	$(BIN)/beacon run

study: export DAGSTER_HOME := $(DAGSTER_HOME)/study
study: setup ## the demo study: three models, three regions, planted truth; what was planted is found
	$(BIN)/python -m examples.study_demo

dev: setup ## the Dagster UI with its daemon, on http://127.0.0.1:3000; POSTGRES=1: as in production
	$(BIN)/beacon dev $(if $(POSTGRES),--postgresql)

dev-modal: export DAGSTER_HOME := $(DAGSTER_HOME)/modal
dev-modal: setup ## the same with the models on a Modal of this machine: no account, no cost
	$(BIN)/python -m tests.modal_loopback.dev

test: setup ## the test suite
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-long: setup .venv-crate/.installed .venv-inspect/.installed ## the tests that take minutes each: whole lives of an instance, on both databases
	$(BIN)/pytest -n auto --dist loadfile -m long
	$(MAKE) test-vllm

mutation: setup ## a bounded sample of mutants of the pure modules: which do their tests find? MODULES="…": those
	$(BIN)/python -m tests.mutation $(MODULES)

check: setup ## lint, format, types, the floors of the house, the Compose and Helm files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/check-jsonschema --schemafile deploy/helm-values.schema.yaml deploy/helm-values.yaml

format: setup ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: setup ## five seeds of kills, outages and lies over 504 executions each; SEEDS="1 2": those
	$(BIN)/python -m tests.chaos $(SEEDS)

incident: setup ## the predecessor's incident, replayed: what was on record before and after healing
	$(BIN)/python -m tests.incident

bench: setup ## what everything but inference costs, into benchmarks/orchestration.md
	$(BIN)/python -m benchmarks.orchestration

bench-data-tests: setup .venv-dbt/.installed ## 40 data tests over 1,000,000 rows, by hand, here and by dbt
	$(BIN)/python -m benchmarks.data_tests

compare-dbt: setup .venv-dbt/.installed ## the same data tests by the real dbt and here: docs/compare-dbt.md
	$(BIN)/python -m tests.compare_dbt

# An environment of its own: dbt's pins and ours do not fit together.
.venv-dbt/.installed: tests/compare_dbt/constraints.txt
	$(PYTHON) -m venv .venv-dbt
	.venv-dbt/bin/pip install --quiet --disable-pip-version-check -c $< dbt-core dbt-duckdb
	touch $@

# An environment of its own: Inspect brings twenty libraries that nothing else here needs.
.venv-inspect/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[inspect]'
	touch $@

# An environment of its own: the validator's pins and ours do not fit together. Polars reads Parquet by itself.
.venv-crate/.installed: tests/crate/constraints.txt
	$(PYTHON) -m venv .venv-crate
	.venv-crate/bin/pip install --quiet --disable-pip-version-check -c $< roc-validator polars
	touch $@

test-vllm: .venv-vllm/.installed ## what every runtime promises, and equal answers, with vLLM on this machine's CPU
	PYTHONPATH=. .venv-vllm/bin/python -m pytest -c tests/inference/runtime/vllm.ini --rootdir=. \
		--confcutdir=tests/inference/runtime tests/inference/runtime/test_vllm.py

# An environment of its own: vLLM pins another transformers. Without dependencies, for it asks for a
# torchvision that its torch for CPUs does not load.
.venv-vllm/.installed: tests/inference/runtime/requirements-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

clean: ## forget the environment and the local instance
	rm -rf $(VENV) .venv-dbt .venv-vllm $(DAGSTER_HOME)
