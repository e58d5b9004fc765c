# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-sudoku demo-graph demo-protein edit test test-all fuzz lint format docs bench clean

# Exit code 6 is an infill in doubt, such as one that did not settle: shown like any other.
demo: $(VENV)/installed
	$(BIN)/dgedit fill demo/inventory.py || test $$? -eq 6

# One puzzle each, by the small model of its domain, which is part of the package.
demo-sudoku: $(VENV)/installed
	$(BIN)/dgedit fill demo/sudoku/medium.sudoku --model sudoku || test $$? -eq 6

demo-graph: $(VENV)/installed
	$(BIN)/dgedit fill demo/graph.dot --model graph || test $$? -eq 6

demo-protein: $(VENV)/installed
	$(BIN)/dgedit fill demo/protein.fasta --model protein || test $$? -eq 6

edit: $(VENV)/installed
	$(BIN)/dgedit demo/inventory.py

# Each process takes half a gigabyte; a file's tests stay together, for what they share.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/dev
	$(PYTEST)

test-all: $(VENV)/dev
	$(PYTEST) -m ""

# New inputs for each door and reader, two minutes by default: docs/security.md.
FUZZED := tests/dgedit/test_fuzz*.py tests/dgedit/tui/test_random_keys.py
fuzz: $(VENV)/dev
	FUZZ_SECONDS=$${FUZZ_SECONDS:-120} $(PYTEST) -m "" -rP $(FUZZED)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The reference of all commands, from the program itself.
docs: $(VENV)/dev
	$(BIN)/python docs/reference.py > docs/commands.md

bench: $(VENV)/dev
	$(BIN)/python -m dgedit_engine.bench

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

# With the base of nano, 253 MB.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) '.[nano]'
	touch $@

# Where the base cannot be had, the tests that need it are skipped, and say so.
$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) '.[dev]'
	touch $@
	if $(PIP) '.[nano]'; then touch $(VENV)/installed; fi
