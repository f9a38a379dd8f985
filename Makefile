# Every target sets up what it needs in .venv (see .ci/setup.sh) and then does its job.
#
#   PYTHON=python3.12            the Python to use, 3.11 to 3.13
#   TORCH_INDEX_URL=...          an index with the torch build for this machine (CPU, CUDA, ROCm)
#   TORCH_SPEC=torch==2.13.0+cpu the build to take from it
#   BROWSER_PATH=...             the Chromium or Chrome that the tests drive
#   WORKERS=4  ARGS='-k gru'     for make test;  ARGS=--quick for make bench

PY := .venv/bin/python
WORKERS ?= $(shell $(PY) -c 'import os; print(min(4, os.cpu_count() or 1))' 2>/dev/null || echo 2)
export PYTHON TORCH_INDEX_URL TORCH_SPEC BROWSER_PATH

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench clean runtime dev browser

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: runtime  ## open a page with real Python source, coloured by a unit of a trained LSTM
	@.venv/bin/interp demo $(ARGS)

test: browser  ## run all tests, style and types among them, with a real browser
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: dev  ## check style, imports, docstrings, banned calls; types and mistakes of the scripts
	@$(PY) -m ruff check .
	@$(PY) .ci/javascript.py check

types: dev  ## check the type annotations
	@$(PY) -m mypy

bench: dev browser  ## measure every bar, write benchmarks/results.json, fail on a missed one
	@$(PY) -m benchmarks.run $(ARGS)

clean:  ## remove .venv and everything that tools have written
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@.ci/setup.sh runtime

dev:
	@.ci/setup.sh dev
	@$(PY) .ci/javascript.py install

browser: dev
	@$(PY) .ci/browser.py
