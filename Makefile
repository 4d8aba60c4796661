# `make run` starts the web application, `make test` runs the checks of a change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
CLIENT := src/mien/web/static/dist/.built

# The end-to-end tests have a separate environment. The CPU builds of torch for this Python are
# small; those for newer versions include gigabytes of CUDA, which the tests do not need.
E2E_PYTHON ?= $(shell python3.11 --version > /dev/null 2>&1 && echo python3.11 || echo $(PYTHON))
E2E := .venv-e2e

.PHONY: run test lint types layers unit e2e soak package docs figures audit heroku-check dockerfile-check clean

run: $(VENV)/.run $(CLIENT)
	MIEN_DOCS_DIR="$${MIEN_DOCS_DIR-$(wildcard build/site)}" $(BIN)/mien serve

test: $(VENV)/.test lint types layers unit

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

layers: $(VENV)/.test
	$(BIN)/lint-imports

# `make docs` runs the notebooks and the code of the pages.
unit: $(VENV)/.test
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal \
		--ignore tests/docs/test_notebooks.py --ignore tests/docs/test_pages.py

# Tests that need a browser, databases, torch, or minutes. Chromium, PostgreSQL and Node are system
# packages. Tests with missing requirements are skipped, but fail if CI=true is set.
e2e: $(E2E)/.made $(CLIENT)
	@if command -v npm > /dev/null; then npm --prefix client test; \
	else echo "skipped: the client tests need Node 20"; test "$(CI)" != true; fi
	$(E2E)/bin/pytest -m 'e2e and not soak' -n 2 --dist loadfile

# Runs for over an hour; the results are committed in benchmarks/results.
soak: $(E2E)/.made
	$(E2E)/bin/pytest -m soak

package: $(VENV)/.test $(CLIENT)
	$(BIN)/python tools/check_package.py

# The site of the documentation, in build/site; it needs no network once it is built. Broken links
# are errors. Also runs the notebooks and the code of the pages.
docs: $(VENV)/.docs
	$(BIN)/python tools/stage_docs.py
	$(BIN)/zensical build --strict
	$(BIN)/pytest -n 2 --dist loadfile tests/docs/test_notebooks.py tests/docs/test_pages.py

# The plots in docs/images, from benchmarks/results.
figures: $(VENV)/.docs
	$(BIN)/python tools/make_figures.py

# Known vulnerabilities of the dependencies, from online services.
audit: $(VENV)/.test
	$(PIP) 'pip-audit>=2.7'
	$(BIN)/python tools/audit.py

heroku-check: $(CLIENT)
	$(PYTHON) tools/heroku_check.py

# The steps of the Dockerfile in a minimal Debian; needs root and debootstrap, but not Docker.
dockerfile-check:
	$(PYTHON) tools/dockerfile_check.py

# The browser client needs Node 20. Without it, everything except the live page works.
$(CLIENT): $(shell find client/src client/mien-web -type f) client/package-lock.json client/vite.config.ts client/compress.js
	@if command -v npm > /dev/null; then \
		npm --prefix client ci --no-fund --no-audit && npm --prefix client run build && touch $@; \
	else \
		echo "Node 20 not found: skipping the live page"; test "$(CI)" != true; \
	fi

# Stamp files record the installed extras; they are rebuilt when the dependencies change.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[web,parquet]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[web,eval,parquet,dataframe,heif,osc]' --group dev
	@touch $@ $(VENV)/.run

$(VENV)/.docs: $(VENV)/.test
	$(PIP) --group docs
	@touch $@

$(E2E)/bin/python:
	$(E2E_PYTHON) -m venv $(E2E)
	$(E2E)/bin/pip install --quiet --disable-pip-version-check --upgrade pip

$(E2E)/.made: pyproject.toml | $(E2E)/bin/python
	$(E2E)/bin/pip install --quiet --disable-pip-version-check 'torch==2.13.0' --group dev \
		--group e2e --editable '.[web,eval,parquet,dataframe,heif,osc,train,cluster]'
	@touch $@

clean:
	rm -rf $(VENV) $(E2E) build dist out client/node_modules src/mien/web/static/dist
