# Each target sets up what it needs; only Python 3.11+ and make are assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints.txt
OLDEST := .venv-oldest
# 2.6.0, the oldest of pyproject.toml, comes with CUDA alone (6 GB): make integrations TORCH=2.6.0
TORCH  ?= 2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test check docs bench integrations browser clean

help:                ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tocsin needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[studies,lightning,transformers,docs,dev]'
	@touch $@

setup: $(STAMP)      ## Create .venv with everything that the other targets need

demo: $(STAMP)       ## Train a small study, healthy and with a planted silent fault, and show both verdicts
	$(BIN)/python examples/demo.py

test: $(STAMP)       ## All tests
	$(BIN)/python -m pytest -n 2 -m "not browser"

check: $(STAMP)      ## Lint, types, generated docs in sync
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

docs: $(STAMP)       ## Build the HTML documentation into docs/_build
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/transcripts.py
	$(BIN)/python docs/pictures.py
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

bench: $(STAMP)      ## Slower evidence: overhead, memory, readers against their peers and on damaged files, detection over seeds
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/readers.py
	$(BIN)/python benchmarks/fuzz_readers.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/studies
	$(BIN)/python benchmarks/studies/constellation.py --page
	$(BIN)/python benchmarks/constellation_faults.py --page
	$(BIN)/python benchmarks/detection --split all --json benchmarks/results/detection.json
	$(BIN)/python benchmarks/preflight --json benchmarks/results/preflight.json

$(OLDEST)/.torch-$(TORCH): pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip --disable-pip-version-check -q install -c constraints-oldest.txt torch==$(TORCH) \
		-e '.[lightning,transformers]' lightning-fabric pytest pytest-xdist
	@touch $@

integrations: $(OLDEST)/.torch-$(TORCH)  ## Tests of integrations with the oldest supported versions; make test has the newest
	$(OLDEST)/bin/python -m pytest -n 2 -p no:cacheprovider tests/integrations

browser: $(STAMP)    ## Report in headless Chromium; skipped with a reason where there is none
	$(BIN)/python -m pytest -m browser -rs

clean:               ## Remove the environment and generated files
	rm -rf $(VENV) $(OLDEST) docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
