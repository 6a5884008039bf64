# The commands of the repository: `make help` lists them.
#
# Everything runs in one virtual environment, .venv, which is made and filled as needed: a stamp file says which
# extras of pyproject.toml are in it, so that the second call installs nothing.

# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
# More packages to install, for example EXTRAS="torch jax" or EXTRAS=cupy-cuda12x.
EXTRAS ?=
# More arguments, for example PYTEST="-x -k ridge", PYTEST="--durations=30" or BENCH="--budget 900".
PYTEST ?=
# How the tests are spread: one worker a core, at most eight, since each of them loads every library.
SPREAD ?= -n auto --maxprocesses 8 --dist worksteal
# For `make fuzz`: how many calls, and the seed of the first.
CALLS ?= 50000
SEED ?= 0
# For `make test-kernels`, for example KERNELS="--kernels Haswell --threads 1".
KERNELS ?=
BENCH ?= --budget 300
# For `make gpu`: seconds of this call, a Python that has all it needs (where no package index is reachable), more
# arguments such as GPU="--again bench", and EMULATED=1 to rehearse it without a GPU.
BUDGET ?= 720
GPU_PYTHON ?=
GPU ?=
EMULATED ?=

VENV := .venv
OLDEST := .venv-oldest
NVRTC := .venv-nvrtc
RECORD := build/kernels.jsonl
BIN := $(VENV)/bin
# The name of a stamp holds what EXTRAS were: other packages are another stamp.
with = $(VENV)/.installed-$(1)-$(shell echo '$(EXTRAS)' | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help bench test fuzz gpu gpu-packages installed-test test-kernels test-oldest test-nvrtc test-readme test-package docs lint clean
.NOTPARALLEL:

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

bench: $(call with,bench)  ## measure on every backend there is, and write the report (five minutes)
	$(BIN)/xpsolve bench --report $(BENCH)

test: $(call with,test)  ## run the tests, and the examples in the documentation
	$(BIN)/python -m pytest --doctest-modules $(SPREAD) $(PYTEST)

fuzz: $(call with,test)  ## call everything with hostile input, CALLS=50000 times (minutes)
	PYTHONPATH=tests/helpers $(BIN)/python tests/helpers/fuzz.py $(CALLS) $(SEED)

gpu:  ## all that a GPU can show, BUDGET=720 seconds a call, and continue where it was stopped; EMULATED=1 rehearses it
	$(if $(GPU_PYTHON),,@$(MAKE) --no-print-directory $(if $(EMULATED),installed-test,gpu-packages))
	$(or $(GPU_PYTHON),$(BIN)/python) tests/gpu/run.py --budget $(BUDGET) $(if $(EMULATED),--emulated) $(GPU)

test-kernels: $(call with,test)  ## the tests that compute, under the code for each kind of processor, as a table
	$(BIN)/python tests/kernels.py $(KERNELS) -- $(SPREAD) $(PYTEST)

test-oldest: $(OLDEST)/.installed  ## the tests with the oldest supported version of every library, without torch and JAX
	$(OLDEST)/bin/python -m pytest $(SPREAD) $(PYTEST)

test-nvrtc: $(RECORD) $(NVRTC)/.installed  ## compile the CUDA kernels with NVIDIA's compiler, without a GPU
	$(NVRTC)/bin/python tests/helpers/check_nvrtc.py $(RECORD) 80 90 100

test-readme: $(call with,test)  ## run every command of the README and of the pages, in a scratch clone (some minutes)
	XPSOLVE_TEST_README=1 $(BIN)/python -m pytest tests/test_readme.py $(PYTEST)

test-package: $(call with,test)  ## build wheel and sdist, and try both in empty environments (minutes)
	XPSOLVE_TEST_PACKAGE=1 $(BIN)/python -m pytest tests/test_package.py $(PYTEST)

docs: $(call with,docs)  ## build the site into build/docs/html; any warning fails
	$(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --jobs auto --quiet -d build/docs/doctrees docs build/docs/html
	$(BIN)/python tests/helpers/check_links.py build/docs/html
	@echo "Open build/docs/html/index.html"

lint: $(call with,lint)  ## style, types, and which folder may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the environment and all caches (measurements in .asv/results are kept)
	rm -rf $(VENV) $(OLDEST) $(NVRTC) build dist docs/gallery docs/reference/generated .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .asv/env
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { \
		echo "No Python 3.11 or newer with the venv module was found." >&2; \
		echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv)," >&2; \
		echo "or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/.made
	@echo "Installing xpsolve[$(firstword $(subst -, ,$*))] $(EXTRAS) into $(VENV); the first time this takes a while."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable ".[$(firstword $(subst -, ,$*))]" $(EXTRAS)
	@touch $@

# CuPy, and the toolkit with CUPTI, which counts launches, both for the CUDA that the driver offers.
gpu-packages:
	@cuda=$$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p'); major=$${cuda%%.*}; \
	test -n "$$cuda" || { \
		echo "nvidia-smi finds no NVIDIA driver.  Install one, or rehearse without: make gpu EMULATED=1" >&2; exit 1; }; \
	$(MAKE) --no-print-directory EXTRAS="$(EXTRAS) cupy-cuda$${major}x[ctk] cuda-toolkit[cupti]==$$cuda.*" installed-test

installed-test: $(call with,test)

# The kernels that the tests run on the emulated CuPy, which writes them down; so does a run of all tests for which the
# environment variable names this file.
$(RECORD): $(shell find xpsolve tests -name '*.py') | $(call with,test)
	@mkdir -p $(@D) && rm -f $@
	CUPY_ON_CPU_RECORD=$@ $(BIN)/python -m pytest -q $(SPREAD) tests -k "emulated or kernel" || { rm -f $@; exit 1; }

# CUDA 13, whose compiler knows Ampere (80), Hopper (90) and Blackwell (100).
$(NVRTC)/.installed: Makefile
	$(PYTHON) -m venv $(NVRTC)
	$(NVRTC)/bin/python -m pip install --quiet --disable-pip-version-check \
		"cupy-cuda13x==14.2.0" "nvidia-cuda-nvrtc==13.*" "nvidia-cuda-runtime==13.*"
	@touch $@

# The oldest NumPy has wheels for these two.
$(OLDEST)/.installed: pyproject.toml .ci/oldest.py
	@for python in python3.12 python3.11 python3 none; do \
		$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && break; done; \
	test $$python != none || { echo "The oldest NumPy needs Python 3.11 or 3.12: neither was found." >&2; exit 1; }; \
	echo "Installing the oldest supported versions into $(OLDEST); the first time this takes a while."; \
	$$python -m venv $(OLDEST) && $$python .ci/oldest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(OLDEST)/constraints.txt --editable ".[test]"
	@touch $@
