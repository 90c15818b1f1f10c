# `make demo` and `make test` work on a fresh Debian or Ubuntu with a C++ compiler and Python: they set up all the rest.
# `make help` lists every target with what stands behind its ##.
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
# For the demo; those that lie beside the checkout, if there are any.
PHOTOS ?= $(or $(FASTLOAD_PHOTOS),$(wildcard ../shared/data/photos))
CORE := $(shell find csrc tests/cpp -name '*.cpp' -o -name '*.h') CMakeLists.txt packaging/libjpeg.cmake

VERSIONS_SHORT := $(wildcard tests/transforms/test_transform*.py tests/transforms/test_wide_borders.py tests/batches/test_parity.py tests/core/test_libjpeg.py tests/test_loader.py \
	tests/batches/test_closer_to_threads.py tests/batches/test_forms_of_scripts.py \
	tests/contract/test_contract_attributes.py tests/contract/test_contract_collation.py tests/contract/test_contract_iteration.py)
VERSIONS_LONG := $(filter-out $(VERSIONS_SHORT),$(wildcard tests/contract/test_contract_*.py tests/core/test_jpeg.py tests/core/test_resample.py))
# Of these only the compiled test of a stranger's libjpeg needs a compiler.
WHEEL_TESTS := tests/core/test_libjpeg.py tests/core/test_jpeg.py tests/core/test_resample.py tests/batches/test_parity.py tests/test_loader.py \
	tests/test_install.py tests/contract/test_contract_iteration.py --deselect tests/core/test_libjpeg.py::test_a_strangers_libjpeg_is_never_called

# All targets that are no file: those that say what they are for.
.PHONY: $(shell sed -nE 's/^([a-z -]+):.*\#\# .*/\1/p' Makefile)
.DEFAULT_GOAL := test

help: ## this list
	@sed -nE 's/^([a-z -]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r names what; do \
		for name in $$names; do printf '%-14s %s\n' "$$name" "$$what"; done; done

demo: install ## torch's loader and fastload side by side: proof that the batches are equal, and a chart (PHOTOS=DIR: your own)
	@$(BIN)/python -m fastload demo $(if $(PHOTOS),--data $(PHOTOS)) --chart build/demo.svg

test: install ## the tests
	@echo "== tests"
	@$(PYTEST)

# With the long forms: thousands of generated cases, leaks, stress.
test-all: install .venv-docs/.installed ## the tests with their long forms, too
	@echo "== all tests"
	@$(PYTEST) -m '' --timeout 1800

# The tests where nothing helps them: busy cores, any order, no terminal. ROUNDS times; TESTS: which.
ROUNDS ?= 3
TESTS ?= tests fastload
test-gate: install ## the tests on busy cores, in any order, without a terminal (ROUNDS, TESTS)
	@echo "== gate"
	@tests/gate.sh $(ROUNDS) $(PYTEST) $(abspath $(TESTS))

# The oldest and the newest torch that fastload is for, each in an environment of its own: fresh batches, transforms and pixels are torch's.
# SHORT=1: without what takes longest. Their core is linked in less time: it is the Python around it that differs.
test-oldest test-newest: test-%: ## parity, contract and transforms with that torch (SHORT=1: without what takes longest)
	@CMAKE_ARGS="$${CMAKE_ARGS-} -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF" $(MAKE) --no-print-directory test-versions VENV=.venv-$* REQUIREMENTS=requirements/$*.txt

test-versions: install ## the same in the environment that there is (VENV)
	@echo "== tests with $$($(BIN)/python -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)')"
	@$(PYTEST) $(if $(SHORT),$(VERSIONS_SHORT),$(VERSIONS_SHORT) $(VERSIONS_LONG))

# An sdist and, of it, a wheel for each Python that is here (or for those that WHEEL_PYTHONS names), through all gates, into dist/.
WHEEL_PYTHONS ?=
wheel: .venv-wheel/.requirements ## self-contained wheels and an sdist through all gates, into dist/ (WHEEL_PYTHONS: for which)
	@bash packaging/make_wheels.sh .venv-wheel/bin/python $(WHEEL_PYTHONS)

.venv-wheel/.requirements: requirements/wheel.txt requirements/build.txt | build/.system
	@$(PYTHON) -m venv .venv-wheel
	@.venv-wheel/bin/python -m pip install -q --disable-pip-version-check -r requirements/wheel.txt
	@touch $@

# The wheel of dist/, where there is neither a source tree nor anything to build with: on the pinned set, the oldest and the newest.
wheel-test: $(VENV)/.requirements ## the installed wheel, where there is nothing to build with
	@bash packaging/test_wheel.sh $(VENV) $(WHEEL_TESTS)

wheel-test-oldest wheel-test-newest: wheel-test-%: ## the same with the oldest and the newest torch
	@$(MAKE) --no-print-directory wheel-test VENV=.venv-$* REQUIREMENTS=requirements/$*.txt

# The frameworks that people train with, on this loader.
test-clients: install $(VENV)/.clients ## Lightning, Accelerate, transformers, timm and Ignite train on this loader
	@echo "== clients"
	@$(PYTEST) tests/clients

# As root, on Debian, with some GB in build/image: see docs/training-image.md.
test-image: install ## docker/Dockerfile line by line in chroots, and a training in the result under hard conditions
	@if ! command -v debootstrap > /dev/null; then apt-get update -qq && apt-get install -qq -y debootstrap > /dev/null; fi
	@$(BIN)/python -m pytest -q -s tests/image

lint-image: build/lint-image/.installed ## hadolint, shellcheck and Compose's schema on docker/ and the scripts
	@build/lint-image/bin/hadolint docker/Dockerfile
	@build/lint-image/bin/shellcheck -S warning .ci/run docker/*.sh packaging/*.sh tests/*.sh
	@build/lint-image/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

build/lint-image/.installed: requirements/lint-image.txt | build/.system
	@$(PYTHON) -m venv build/lint-image
	@build/lint-image/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

install: $(VENV)/.installed ## fastload in .venv, and all that it is tested with

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

# What a script sees of our types is tests/typed_example.py; pyright is basedpyright, whose parts all come from the registry.
# mypy reads the types of the torch that is installed, and those of the core from its stub: nothing is built for it.
lint: $(VENV)/.requirements ## ruff and mypy
	@echo "== ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== mypy and pyright"
	@$(BIN)/mypy
	@$(BIN)/basedpyright --pythonpath $(BIN)/python --level error tests/typed_example.py
	@echo "== workflows"
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml && $(BIN)/zizmor --offline -q .github/workflows

# The core alone, with warnings as errors, under sanitizers; the stress driver runs for some seconds in each.
asan: SANITIZER := address,undefined
tsan: SANITIZER := thread
asan tsan: $(VENV)/.requirements ## the core alone under those sanitizers
	@echo "== $@: the core under $(SANITIZER)"
	@PATH="$(abspath $(BIN)):$$PATH"; \
	cmake -S . -B build/$@ -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFASTLOAD_PYTHON=OFF -DFASTLOAD_CPP_TESTS=ON \
		-DFASTLOAD_WERROR=ON -DFASTLOAD_SANITIZE=$(SANITIZER) -DFASTLOAD_TEST_IMAGES=$(CURDIR)/build/$@/images > build/$@.log || { cat build/$@.log; exit 1; }; \
	rm -rf build/$@/images; $(BIN)/python tests/images.py build/$@/images; \
	cmake --build build/$@ -j $(JOBS) > build/$@.log || { cat build/$@.log; exit 1; }; \
	ctest --test-dir build/$@ --output-on-failure

# The scalar paths must stand alone, and give the same bytes.
check-arm: $(VENV)/.requirements ## the core for 64-bit Arm, in an emulator: its C++ tests, and the same bytes as here
	@PATH="$(abspath $(BIN)):$$PATH" bash packaging/check_arm.sh $(BIN)/python

# _core.pyi, of the signatures in the built module.
stubs: $(VENV)/.installed ## the types of the core, fastload/_core.pyi, written anew
	@$(BIN)/python packaging/stubs.py

# The documentation as a site, build/site, in an environment of its own: it reads the sources and needs neither torch nor the core.
docs: .venv-docs/.installed ## the documentation as a site, build/site
	@.venv-docs/bin/python docs/pictures.py && .venv-docs/bin/python docs/plots.py
	@.venv-docs/bin/python -m mkdocs build --strict --quiet
	@echo "== docs: $$(find build/site -name '*.html' | wc -l) pages in build/site"

# Its pages in Chromium, as a desktop and a telephone have them.
docs-look: docs ## its pages in Chromium
	@.venv-docs/bin/python docs/look.py --shots build/site-shots

.venv-docs/.installed: requirements/docs.txt | build/.system
	@echo "== making .venv-docs"
	@[ -x .venv-docs/bin/python ] || $(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install -q --disable-pip-version-check -r requirements/docs.txt
	@touch $@

instructions: $(VENV)/.installed ## instructions that each stage of the core takes, against the baseline (REWRITE=1: write it anew)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks.instructions $(if $(REWRITE),--rewrite)

release-check: $(VENV)/.requirements ## whether version, changelog, wheels, SBOM and docs of VERSION=x are ready
	@$(BIN)/python packaging/release_check.py "$(VERSION)"

clean: ## without what was built
	rm -rf build dist *.egg-info fastload/*.so
