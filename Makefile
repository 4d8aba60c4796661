# `make run` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint types layers unit e2e soak clean

run: $(VENV)/.run
	$(BIN)/mien image src/mien/samples --annotate out
	@echo "The annotated pictures are in out/"

test: $(VENV)/.test lint types layers unit

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

layers: $(VENV)/.test
	$(BIN)/lint-imports

unit: $(VENV)/.test
	$(BIN)/pytest -m "not e2e and not soak"

e2e: $(VENV)/.e2e
	$(BIN)/pytest -m e2e

soak: $(VENV)/.e2e
	$(BIN)/pytest -m soak

# Each stamp says what the environment holds; it is made anew when the dependencies change.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[video,web,eval,parquet,dataframe,heif]' --group dev
	@touch $@ $(VENV)/.run

$(VENV)/.e2e: $(VENV)/.test
	$(BIN)/pip install --quiet --group e2e 'torch==2.13.0' --editable '.[train]'
	@touch $@

clean:
	rm -rf $(VENV) build dist out
