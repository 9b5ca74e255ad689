# Every target makes .venv first. That needs Python 3.11 or later, make, and the network once.
PYTHON ?= python3
WORKDIR ?= runs/demo
ARGS ?=

BIN := .venv/bin
LOCK := .ci/requirements.lock
DOCS_LOCK := .ci/docs.lock
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed
PIP_COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
  --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
# A file's tests share what they build. A test process that dies is not replaced: its replacement would wait for ever.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

.DEFAULT_GOAL := help
.PHONY: help demo figures suptickets faults two-hosts full-disk lint check test docs wheel format lock

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## Find and pool tickets on small images; WORKDIR=runs/demo, ARGS="--config.seeds=0,1"
	@$(BIN)/python -m lpjax.main --config=configs/digits_resnet8.py --workdir=$(WORKDIR) $(ARGS)

figures: $(INSTALLED)  ## Make every figure of the Lottery Pools paper on small images; ARGS=--preset=laptop
	@$(BIN)/python -m experiments.lottery_pools $(ARGS)

suptickets: $(INSTALLED)  ## Make every table and figure of Sup-tickets on small images; ARGS=--preset=cifar
	@$(BIN)/python -m experiments.sup_tickets $(ARGS)

faults: $(INSTALLED)  ## Kill runs at random moments until they finish, and compare; ARGS="--kills=50 --seed=1"
	@$(BIN)/python -m experiments.faults.kill $(ARGS)

full-disk: $(INSTALLED)  ## Let runs find their disk full, and compare; ARGS=--factor=1.1
	@$(BIN)/python -m experiments.faults.full_disk $(ARGS)

two-hosts: $(INSTALLED)  ## Run on several processes, kill them, and compare
	@$(BIN)/python -m experiments.faults.two_hosts $(ARGS)

lint: $(INSTALLED)  ## Check form, types and imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint  ## Check form, types, imports and the fast tests
	$(PYTEST) -m "not slow"

test: $(INSTALLED)  ## Run the whole suite
	$(PYTEST)

docs: $(DOCS_INSTALLED)  ## Build the site of the documentation, docs/_build/html/index.html, and run its notebooks
	$(BIN)/python -m sphinx -E -a -W --keep-going -n -q -c docs . docs/_build/html

wheel: $(INSTALLED)  ## Build dist/lpjax-*.whl and try it in an empty environment; ARGS=run tries the command too
	PYTHON=$(BIN)/python .ci/wheel $(ARGS)

format: $(INSTALLED)  ## Put the code into form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(INSTALLED)  ## Choose the newest versions anew; they become .ci/requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(PIP_COMPILE) --upgrade --extra dev --output-file $(LOCK)
	$(PIP_COMPILE) --upgrade --extra docs --constraint $(LOCK) --output-file $(DOCS_LOCK)

$(INSTALLED): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "lpjax needs Python 3.11 or later, '$(PYTHON)' is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.13" >&2; \
	  exit 1; }
	@echo "installing into .venv: once, a few minutes"
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --requirement $(LOCK)
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(DOCS_INSTALLED): $(DOCS_LOCK) $(INSTALLED)
	@$(PIP_INSTALL) --requirement $(DOCS_LOCK)
	@touch $@
