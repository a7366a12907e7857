# One command each: every target makes the virtual environment that it needs by itself.
PYTHON ?= python3
VENV := .venv
# Processes that run tests: most of these wait for what they started. What takes longest begins
# first (tests/conftest.py).
PARALLEL ?= 6
BIN := $(VENV)/bin
# Python keeps what it has compiled, whatever the caller's environment says: without that each of the
# several hundred processes that the tests start compiles the package again.
unexport PYTHONDONTWRITEBYTECODE
# In a terminal pip shows what it downloads and how far it is; elsewhere, as in CI, it is quiet.
QUIET := $(shell test -t 2 || echo --quiet)
# Spark comes as an archive of sources, and pip makes a wheel of it: of jars, which are compressed.
WHEELS := $(CURDIR)/$(VENV)/wheels.cfg
PIP := DIST_EXTRA_CONFIG="$(WHEELS)" $(BIN)/python -m pip --disable-pip-version-check install $(QUIET) --constraint constraints.txt
# pip keeps to itself what the build says.
NO_UI := test -f pydag_dist/web/static/index.html || \
	echo "The web interface could not be built: npm's registry was not reached. 'make ui' tries again."
BIG := half a gigabyte to download, a minute or two, once.

.PHONY: help demo up ui test test-ui test-python test-fast check format openapi bench chaos clients due-times clean

help:
	@echo "make demo       run the example pipeline on this machine, everything embedded"
	@echo "make up         start everything embedded and keep it running"
	@echo "make ui         build the web interface, if its sources have changed"
	@echo "make test       run all tests"
	@echo "make test-fast  run the tests that are neither big nor slow, in about two minutes"
	@echo "make check      formatting, lint, types and import contracts"
	@echo "make format     format the code and apply the linter's safe fixes"
	@echo "make openapi    write docs/openapi.json anew, of the code"
	@echo "make bench      run the benchmarks"
	@echo "make chaos      commit random faults while random DAGs run: N=200 SEED=1"
	@echo "make clients    dbt, pandas and Airflow's operators against the local services: 2.5 GB to install, once"
	@echo "make due-times  compare due times of ten years with Debian's cron in all time zones: half an hour"
	@echo "make clean      remove the virtual environment, the built interface and caches"

demo: $(VENV)/.local
	$(BIN)/pydag demo

up: $(VENV)/.local
	$(BIN)/pydag up

UI := $(BIN)/python ui/toolchain.py

ui: $(VENV)/.dev
	$(UI) build

PYTEST = $(BIN)/python -m pytest --parallel $(PARALLEL)

test: test-ui test-python

test-ui: $(VENV)/.dev
	$(UI) test

test-python: $(VENV)/.dev $(VENV)/.spark
	$(UI) install
	$(PYTEST) $(TESTS)

test-fast: $(VENV)/.dev
	$(PYTEST) -m "not big and not slow" $(TESTS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(UI) check

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(UI) format

openapi: $(VENV)/.dev
	$(BIN)/python -m pydag_dist.web.openapi > docs/openapi.json

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.growth

N ?= 200
SEED ?= 1
chaos: $(VENV)/.dev
	$(BIN)/python -m tests.acceptance.chaos --faults $(N) --seed $(SEED)

# Clients that other people wrote, each kind in an environment of its own.
clients: $(VENV)/.dev .venv-clients/.made .venv-airflow/.made
	CLIENTS=$(CURDIR) $(BIN)/python -m pytest tests/clients

.venv-%/.made: tests/clients/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check install $(QUIET) --requirement $<
	@touch $@

due-times: $(VENV)/.dev
	$(BIN)/python -m tests.model.due_times

clean:
	rm -rf $(VENV) .venv-clients .venv-airflow ui/node_modules pydag_dist/web/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamps: a virtual environment with what runs the product, and the same with the tools.
# The pip that Python 3.11 brings takes twice as long to find out what to install.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	@printf '[bdist_wheel]\ncompression = stored\n' > "$(WHEELS)"
	$(PIP) --upgrade 'pip>=25'

$(VENV)/.local: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing pydag_dist with its local services into $(VENV): $(BIG)"
	$(PIP) --editable '.[local]'
	@du -sh $(VENV)
	@$(NO_UI)
	@touch $@

# Java's archive of Spark's classes, for the tests.
$(VENV)/.spark: | $(VENV)/.dev
	$(BIN)/python -m tests.support.spark_java
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing pydag_dist with its development tools into $(VENV): $(BIG)"
	$(PIP) --no-compile --editable '.[dev]'  # half of the files are never imported
	@du -sh $(VENV)
	@$(NO_UI)
	@touch $@ $(VENV)/.local
