# `make run` and `make test` need Python 3.11 or newer, g++ and make; they make their own environments.
PYTHON ?= python3
VENV := .venv
REFERENCE := .venv-reference
RELEASE := .venv-release
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

NATIVE := $(shell find native -type f)
CMAKE_TESTS = $(VENV)/bin/cmake -G Ninja -DCMAKE_MAKE_PROGRAM='$(CURDIR)/$(VENV)/bin/ninja' -DPELLUCID_TESTS=ON -S native

.PHONY: run test test-native test-neon test-browser test-integrations test-reference bench docs site check wheel sbom \
  licences coverage fuzz attack mutants bench-guard clean help
.DEFAULT_GOAL := help

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .make/run  ## Install, and turn the README's texts into vectors with the real model.
	$(VENV)/bin/python examples/first_vectors.py

# Tests wait a fifth of the time, so three workers keep two cores busy.
test: .make/dev test-native  ## Run all tests that need no PyTorch.
	$(VENV)/bin/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

test-native: .make/dev  ## Test the C++ core alone, under the address and undefined-behaviour sanitizers.
	$(CMAKE_TESTS) -B build/test-native -DCMAKE_CXX_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -g1"
	$(VENV)/bin/ninja -C build/test-native
	build/test-native/tests/core_tests
	build/test-native/tests/sharing_tests
	build/test-native/tests/word_tests
	build/test-native/tests/out_of_memory

# Debian: apt install g++-aarch64-linux-gnu qemu-user-static
test-neon: .make/dev  ## Test the C++ core for Arm, cross-compiled, under an emulator, with each extension and without.
	$(CMAKE_TESTS) -B build/test-neon -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static
	$(VENV)/bin/ninja -C build/test-neon
	qemu-aarch64-static -cpu max build/test-neon/tests/core_tests
	qemu-aarch64-static -cpu neoverse-n1 build/test-neon/tests/core_tests neon_dot
	qemu-aarch64-static -cpu cortex-a53 build/test-neon/tests/core_tests neon
	qemu-aarch64-static build/test-neon/tests/sharing_tests
	qemu-aarch64-static build/test-neon/tests/word_tests

docs: .make/docs  ## Run the code on the pages and in the notebooks, write its output below it, and make the site in build/docs.
	$(VENV)/bin/python -m docs.build
	$(MAKE) site

site: .make/docs  ## Make the site from the pages as they are. A warning is an error.
	$(VENV)/bin/python -m sphinx -W --keep-going --nitpicky --quiet docs build/docs

# Debian: apt install chromium
test-browser: .make/browser  ## Test the pages of `pellucid explain --html` and of the server in chromium.
	PELLUCID_BROWSER=required $(VENV)/bin/python -m pytest tests/explain/render/test_*page.py \
	  tests/explain/render/test_download.py tests/server/http/test_page*.py tests/server/test_served_page.py $(ARGS)

test-integrations: .make/integrations  ## Test vector stores, clients of the server, programs of others, and Ray.
	PELLUCID_INTEGRATIONS=required $(VENV)/bin/python -m pytest tests/examples tests/integrations tests/programs \
	  tests/server/test_clients.py tests/batch/test_ray.py \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/integrations.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/stores.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/openai.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/ollama.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/cohere.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/voyage.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/haystack.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/llamaindex.md]' \
	  'tests/docs/test_pages.py::test_it_does_what_it_says[docs/coming-from/chroma.md]' \
	  tests/docs/test_pages.py::test_what_a_page_needs_is_here $(ARGS)

check: .make/dev  ## Check style, types and imports.
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/zizmor --offline --quiet .github

wheel: .make/release  ## Make the sdist and the wheel in dist/; inspect, install, run and weigh them.
	$(RELEASE)/bin/python release/distributions.py

sbom: wheel  ## List what the wheel installs, with versions, as CycloneDX: build/sbom.cdx.json.
	$(RELEASE)/bin/cyclonedx-py environment --output-reproducible --output-file build/sbom.cdx.json \
	  build/wheel-environment/bin/python

licences: .make/release  ## Write THIRD_PARTY.md: the licence of everything that Pellucid and its extras install.
	$(RELEASE)/bin/python release/third_party.py

# The life cycle too, because sentence-transformers brings an older huggingface_hub than `make test` has.
test-reference: .make/reference  ## Compare with live sentence-transformers and langchain-huggingface.
	$(REFERENCE)/bin/python -m pytest tests/reference tests/test_lifecycle.py $(ARGS)

bench: .make/run .make/benchmark  ## Measure speed compared with the peers (benchmarks/README.md). Slow, and needs the machine to itself.
	.venv-benchmark/bin/python benchmarks/run.py $(ARGS)
	.venv-benchmark/bin/python benchmarks/reranking.py
	.venv-benchmark/bin/python benchmarks/decoders.py
	.venv-benchmark/bin/python benchmarks/load.py

coverage: .make/dev  ## Run the tests, and list the lines of src/pellucid that none of them reaches (docs/testing.md).
	$(VENV)/bin/python -m pytest --numprocesses 2 --cov --cov-report term $(ARGS)

fuzz: .make/fuzz  ## Look for inputs that violate an invariant, a minute for each target; ARGS="--seconds 600" for longer. Linux.
	for target in model_files tokens texts documents; do \
	  $(VENV)/bin/python -W ignore -m fuzz.run $$target $(ARGS) || exit 1; done

attack: .make/dev  ## Try thousands of hostile inputs and kills, under bounds; ARGS="--short", or "models --seconds 60". Linux.
	$(VENV)/bin/python -m attack.run $(ARGS)

mutants: .make/dev  ## Mutation testing: list changed lines that no test detects; ARGS="layers/pooling" for some modules. Slow.
	nice $(VENV)/bin/python -m tests.mutants $(ARGS)

bench-guard: .make/run  ## Check that a change has not made Pellucid much slower or larger; half a minute.
	$(VENV)/bin/python benchmarks/guard.py $(ARGS)

# The extra is what the README's first block needs.
.make/run: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP_INSTALL) --editable '.[langchain]'
	mkdir -p .make && touch $@

.make/dev: .make/run requirements-dev.txt
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-dev.txt
	touch $@

.make/release: requirements-release.txt
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python $(PIP_INSTALL) --requirement requirements-release.txt
	mkdir -p .make && touch $@

.make/docs: .make/dev requirements-docs.txt
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-docs.txt
	touch $@

.make/browser: .make/dev requirements-browser.txt
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-browser.txt
	touch $@

# These programs require sentence-transformers, and so PyTorch. Here, Pellucid stands in for it.
.make/integrations: .make/dev requirements-integrations.txt requirements-programs.txt
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-integrations.txt
	$(VENV)/bin/python $(PIP_INSTALL) --no-deps --requirement requirements-programs.txt
	touch $@

# PyTorch first and pinned, from its CPU builds where pip has them: else pip fetches gigabytes of CUDA.
.make/reference: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(REFERENCE)
	$(REFERENCE)/bin/python $(PIP_INSTALL) torch==2.13.0
	$(REFERENCE)/bin/python $(PIP_INSTALL) --requirement requirements-reference.txt --editable '.[search]'
	mkdir -p .make && touch $@

# Of llama.cpp, only its library is compiled: 74 files. Its tools and what they share would be 104 more.
.make/benchmark: requirements-benchmark.txt
	$(PYTHON) -m venv .venv-benchmark
	.venv-benchmark/bin/python $(PIP_INSTALL) torch==2.13.0
	.venv-benchmark/bin/python $(PIP_INSTALL) --requirement requirements-benchmark.txt
	-CMAKE_ARGS='-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE=$(CURDIR)/benchmarks/llama_library.cmake' \
	  .venv-benchmark/bin/python $(PIP_INSTALL) 'llama-cpp-python>=0.3.16'  # If it does not compile, it takes no part.
	mkdir -p .make && touch $@

.make/fuzz: .make/dev requirements-fuzz.txt
	$(VENV)/bin/python $(PIP_INSTALL) --requirement requirements-fuzz.txt
	touch $@

clean:  ## Remove all environments and builds.
	rm -rf $(VENV) $(REFERENCE) $(RELEASE) .venv-benchmark .make build dist
