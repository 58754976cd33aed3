# `make run` and `make test` need Python 3.11 or newer and make; they make their own environments.
PYTHON ?= python3
VENV := .venv
REFERENCE := .venv-reference
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

.PHONY: run test test-reference check clean

run: .make/run  ## Install, and turn the README's texts into vectors with the real model.
	$(VENV)/bin/python examples/first_vectors.py

test: .make/dev  ## Everything that needs no PyTorch.
	$(VENV)/bin/python -m pytest --numprocesses 2 $(ARGS)

check: .make/dev  ## Style, types and layers.
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The life cycle too, because sentence-transformers brings an older huggingface_hub than `make test` has.
test-reference: .make/reference  ## Parity with live sentence-transformers and langchain-huggingface.
	$(REFERENCE)/bin/python -m pytest tests/reference tests/test_lifecycle.py $(ARGS)

.make/run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	mkdir -p .make && touch $@

.make/dev: .make/run
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-dev.txt --editable .
	touch $@

# PyTorch first and pinned, from its CPU builds where pip has them: else pip fetches gigabytes of CUDA.
.make/reference: pyproject.toml
	$(PYTHON) -m venv $(REFERENCE)
	$(REFERENCE)/bin/python $(PIP_INSTALL) torch==2.13.0
	$(REFERENCE)/bin/python $(PIP_INSTALL) --requirement requirements-reference.txt --editable .
	mkdir -p .make && touch $@

clean:  ## Remove the environments.
	rm -rf $(VENV) $(REFERENCE) .make
