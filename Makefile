# Everything a newcomer needs: `make train`, `make test`. Everything a contributor needs: `make check`.

PYTHON  ?= python3
MINUTES ?= 5
VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: train test check format lint types test-slow test-peers clean

## The main job: `nano` on Shakespeare, for MINUTES (5).
train: $(VENV)/.package
	$(BIN)/oneblock train nano --minutes $(MINUTES)

## The tests, all but the slow ones and those that need other packages.
test: $(VENV)/.dev
	$(BIN)/pytest

## What must be clean before anything lands: format, lint, types, tests.
check: $(VENV)/.dev lint types test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## Proofs that take minutes.
test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

## Comparisons with other packages (transformers, x-transformers).
test-peers: $(VENV)/.peers
	$(BIN)/pytest -m peers

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.package: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[gguf]'
	touch $@

$(VENV)/.dev: $(VENV)/.package
	$(INSTALL) -e '.[dev]'
	touch $@

$(VENV)/.peers: $(VENV)/.dev
	$(INSTALL) -e '.[peers]'
	touch $@
