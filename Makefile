# The commands of this project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo yes)
WORKER := $(if $(GPU),requirements-worker-gpu.txt,requirements-worker-cpu.txt)
RUN := requirements-web.txt $(WORKER)
DEV := requirements-dev.txt
# one stamp per set: a driver that comes later brings the other set
READY := .venv/run-$(if $(GPU),gpu,cpu).done
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q

# compiled modules are kept: a child that imports the framework starts in less than half the time
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test test-parts test-outside test-walks test-all test-thorough test-presets test-compose test-ui chaos chaos-long bench bench-train pictures lint format lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## set up what is missing without starting anything (for a worker on another machine)

run: $(READY) ## set up what is missing, then start the app and a worker for each device
	@exec $(BIN)/python -m app up

test: .venv/dev.done ## run every check that a change must pass: lint, types, unit tests, real processes, a browser
	$(BIN)/python tests/chromium.py
	$(MAKE) --no-print-directory -j2 -Otarget test-parts test-outside

test-outside: .venv/dev.done ## run the part of `test` that checks from outside: lint, walks, chaos
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory test-walks
	$(MAKE) --no-print-directory chaos

test-parts: .venv/dev.done ## run the part of `test` that computes, in parallel to test-outside, which mostly waits
	$(BIN)/python -m pytest -m "not compose and not presets and not thorough" tests/app tests/trainer tests/benchmarks

test-walks: .venv/dev.done ## drive the whole system from outside: commands, real processes and a browser
	$(BIN)/python -m pytest -m "not compose and not presets and not thorough and not ui" tests/e2e

test-all: test test-thorough test-presets test-compose test-ui chaos-long ## run everything: every variant and preset, the composed system, an hour of chaos

test-thorough: .venv/dev.done ## run further variants of what `test` covers already
	$(BIN)/python -m pytest -m "thorough and not presets" tests

test-presets: .venv/dev.done ## train every preset for two small epochs
	$(BIN)/python -m pytest -m presets tests/trainer

test-compose: .venv/dev.done ## build the images and drive the composed system (skipped without a Docker engine)
	$(BIN)/python -m pytest -m compose tests/e2e

test-ui: .venv/dev.done .venv/ui.done ## check every page with axe-core and Lighthouse, and every story on a dark phone (45 minutes)
	$(BIN)/python tests/chromium.py
	$(BIN)/python -m pytest -m ui tests/e2e
	$(BIN)/python -m pytest -m "browser and not thorough and not ui" --scheme dark --width 390 tests/e2e

chaos: .venv/dev.done ## cause every kind of failure in real processes (3 minutes)
	$(BIN)/python -m tests.chaos

chaos-long: .venv/dev.done ## the same for an hour, with outages of up to ten minutes
	$(BIN)/python -m tests.chaos --long

bench: .venv/dev.done ## run the benchmarks and print tables; nothing passes or fails
	$(BIN)/python tests/chromium.py
	$(BIN)/python -m benchmarks

bench-train: .venv/dev.done ## compare training speed with PyTorch and model.fit (ARGS="--help" lists the options)
	$(BIN)/python -m benchmarks.training.training.train $(ARGS)

pictures: .venv/dev.done ## create the images of the documents again, with the tests' browser
	$(BIN)/python -m pytest -q tests/e2e/pages/test_screenshots.py tests/e2e/launch/test_previews.py \
	  tests/e2e/launch/test_preset_pictures.py -k "document" --pictures docs/images

lint: .venv/dev.done ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev.done ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: .venv/dev.done ## lock the requirements again from pyproject.toml
	@# one resolution for all, so that any two files can be installed together
	$(BIN)/$(LOCK) --group web --group worker-gpu --group dev -o requirements.lock
	for group in web worker-cpu worker-gpu dev; do \
	  $(BIN)/$(LOCK) --group $$group -c requirements.lock -o requirements-$$group.txt || exit 1; done
	rm requirements.lock

clean: ## remove what setup created (never the data)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "Pitwall needs Python 3.11 or 3.12: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv is missing. Add it with: apt-get update && apt-get install -y python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

# uv if it is installed, otherwise pip: the same hashed files, seconds instead of minutes
INSTALL = if command -v uv >/dev/null 2>&1; then uv pip install --python $(BIN)/python -q --no-deps --require-hashes $(1); \
  else $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes $(1); fi

$(READY): .venv/bin/python $(RUN)
	@echo "Installing $(RUN): the framework is large, the first time takes a few minutes ..."
	@$(call INSTALL,$(foreach file,$(RUN),-r $(file)))
	@touch $@

.venv/dev.done: $(READY) $(DEV)
	@echo "Installing $(DEV) ..."
	@$(call INSTALL,-r $(DEV))
	@touch $@

.venv/ui.done: tests/e2e/package.json
	@command -v npm >/dev/null || { echo "npm is missing. Add it with: apt-get update && apt-get install -y npm"; exit 1; }
	@mkdir -p .venv/ui && cp tests/e2e/package.json .venv/ui/
	npm install --no-package-lock --no-audit --no-fund --silent --prefix .venv/ui
	@touch $@
