# `make demo` and `make test` work on a fresh Debian or Ubuntu with a C++ compiler and Python: they set up all the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
REQUIREMENTS := requirements/test.txt
BIN := $(VENV)/bin
JOBS := $(shell nproc)
# Tests run side by side, in processes of some 800 MB.
PYTEST := $(BIN)/python -m pytest -q -n $(shell n=$$(nproc); echo $$((n < 8 ? n : 8))) --dist worksteal
PHOTOS ?=
CORE := $(shell find csrc tests/cpp -name '*.cpp' -o -name '*.h') CMakeLists.txt packaging/libjpeg.cmake

VERSIONS_SHORT := $(wildcard tests/transforms/test_transform*.py tests/batches/test_parity.py tests/core/test_libjpeg.py tests/test_loader.py \
	tests/contract/test_contract_attributes.py tests/contract/test_contract_collation.py tests/contract/test_contract_iteration.py)
VERSIONS_LONG := $(filter-out $(VERSIONS_SHORT),$(wildcard tests/contract/test_contract_*.py tests/core/test_jpeg.py tests/core/test_resample.py))

.PHONY: demo test test-all test-gate test-oldest test-newest test-versions test-clients install lint asan tsan check-arm clean
.DEFAULT_GOAL := test

demo: install
	@echo "== demo: torch's loader and fastload side by side"
	@$(BIN)/python -m benchmarks.demo $(if $(PHOTOS),--data $(PHOTOS))

test: install
	@echo "== tests"
	@$(PYTEST)

# With the long forms: thousands of generated cases, leaks, stress.
test-all: install
	@echo "== all tests"
	@$(PYTEST) -m '' --timeout 1800

# The tests where nothing helps them: busy cores, any order, no terminal. ROUNDS times; TESTS: which.
ROUNDS ?= 3
TESTS ?= tests fastload
test-gate: install
	@echo "== gate"
	@tests/gate.sh $(ROUNDS) $(PYTEST) $(abspath $(TESTS))

# The oldest and the newest torch that fastload is for, each in an environment of its own: fresh batches, transforms and pixels are torch's.
# SHORT=1: without what takes longest.
test-oldest test-newest: test-%:
	@$(MAKE) --no-print-directory test-versions VENV=.venv-$* REQUIREMENTS=requirements/$*.txt

test-versions: install
	@echo "== tests with $$($(BIN)/python -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)')"
	@$(PYTEST) $(if $(SHORT),$(VERSIONS_SHORT),$(VERSIONS_SHORT) $(VERSIONS_LONG))

# The frameworks that people train with, on this loader.
test-clients: install $(VENV)/.clients
	@echo "== clients"
	@$(BIN)/python -m pytest -q tests/clients

install: $(VENV)/.installed

# What the system lacks: nasm, libjpeg-turbo's headers, and venv where the distribution ships it apart.
build/.system: packaging/system.sh
	@mkdir -p build
	@if [ -z "$(PYTHON)" ]; then echo "fastload needs Python 3.10 or newer: apt-get install python3 python3-venv"; exit 1; fi
	@bash packaging/system.sh "$(PYTHON)"
	@touch $@

$(VENV)/.requirements: $(REQUIREMENTS) | build/.system
	@echo "== making $(VENV) with torch and torchvision (some minutes and 5 GB the first time)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements $(CORE) setup.py pyproject.toml
	@echo "== building fastload"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# Pinned beside all that the other tests use, so that no framework brings another torch.
$(VENV)/.clients: requirements/test.txt pyproject.toml | $(VENV)/.installed
	@echo "== installing the clients"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation \
		-r requirements/test.txt -e '.[clients]'
	@touch $@

# mypy reads the types of the torch that is installed, and those of the core from its stub: nothing is built for it.
lint: $(VENV)/.requirements
	@echo "== ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== mypy"
	@$(BIN)/mypy

# The core alone, with warnings as errors, under sanitizers; the stress driver runs for some seconds in each.
asan: SANITIZER := address,undefined
tsan: SANITIZER := thread
asan tsan: $(VENV)/.requirements
	@echo "== $@: the core under $(SANITIZER)"
	@PATH="$(abspath $(BIN)):$$PATH"; \
	cmake -S . -B build/$@ -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFASTLOAD_PYTHON=OFF -DFASTLOAD_CPP_TESTS=ON \
		-DFASTLOAD_WERROR=ON -DFASTLOAD_SANITIZE=$(SANITIZER) -DFASTLOAD_TEST_IMAGES=$(CURDIR)/build/$@/images > build/$@.log || { cat build/$@.log; exit 1; }; \
	rm -rf build/$@/images; $(BIN)/python tests/images.py build/$@/images; \
	cmake --build build/$@ -j $(JOBS) > build/$@.log || { cat build/$@.log; exit 1; }; \
	ctest --test-dir build/$@ --output-on-failure

# Only compiled: the scalar paths must stand alone.
check-arm:
	@bash packaging/check_arm.sh

clean:
	rm -rf build dist *.egg-info fastload/*.so
