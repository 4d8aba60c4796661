# `make run` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
CLIENT := src/mien/web/static/dist/.built

.PHONY: run test lint types layers unit e2e soak package heroku-check clean

run: $(VENV)/.run $(CLIENT)
	$(BIN)/mien serve

test: $(VENV)/.test lint types layers unit

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

layers: $(VENV)/.test
	$(BIN)/lint-imports

unit: $(VENV)/.test
	$(BIN)/pytest -n auto --maxprocesses 4 -m "not e2e and not soak"

# What needs a browser, databases, torch, or minutes: Chromium, PostgreSQL and Redis come from the
# system's packages, and what is missing is skipped by name.
e2e: $(VENV)/.e2e $(CLIENT)
	npm --prefix client test
	$(BIN)/pytest -m e2e

# Runs for an hour or more; its results are committed in benchmarks/results.
soak: $(VENV)/.e2e
	$(BIN)/pytest -m soak

package: $(VENV)/.test $(CLIENT)
	$(BIN)/python tools/check_package.py

heroku-check: $(CLIENT)
	$(PYTHON) bin/heroku_check.py

# The browser client needs Node 20. Without it everything but the live page works, and the live
# page says what it needs.
$(CLIENT): $(shell find client/src -type f) client/package-lock.json client/vite.config.ts
	@if command -v npm > /dev/null; then \
		npm --prefix client ci --no-fund --no-audit && npm --prefix client run build && touch $@; \
	else \
		echo "Node 20 is not here: the live page is left out"; \
	fi

# Each stamp says what the environment holds; it is made anew when the dependencies change.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[web,parquet]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[web,eval,parquet,dataframe,heif]' --group dev
	@touch $@ $(VENV)/.run

# torch is pinned here alone: plain `torch` brings gigabytes of CUDA, which tests do not need.
$(VENV)/.e2e: $(VENV)/.test
	$(PIP) --group e2e 'torch==2.13.0' --editable '.[train]'
	@touch $@

clean:
	rm -rf $(VENV) build dist out client/node_modules src/mien/web/static/dist
