# One command for each thing that one does here; `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
WHEEL_TEST := build/wheel-test
MIRADOR_SHA256 := ac2423944bd52ffb5a0fc02ff280c117fe39433fac56e50c0b79f0d1ca7c57e6
MIRADOR := build/mirador/package/dist/mirador.min.js

# Where `make line-model` works: 1.5 GB for its packages, and 50 MB for each 80 pages.
LINE_WORK ?= $(HOME)/.cache/bec-line-model
LINE_PYTHON = $(LINE_WORK)/venv/bin/python
LINE_PAGES ?= 2880
LINE_STEPS ?= 3000
LINE_SEED ?= 1

# Where `make recogniser` works: the packages are those of `make line-model`, in the same place.
READER_WORK ?= $(LINE_WORK)/reader
READER_PICTURES ?= 400000
READER_MINUTES ?= 180
READER_SEED ?= 1
READER_FONTS ?=
READER_RUN = $(READER_WORK)/run-$(READER_SEED)
READER_MODEL = $(READER_WORK)/bec-uchen-$(READER_SEED).onnx

# Any of these that is 3.11 or newer; `make PYTHON=/path/to/python demo` names another one.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	--custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo test faults fuzz line-model recogniser model shots mirador readers mutants lint packages check lock clean

help:  ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.run  ## install what a run needs, and run the sample volumes
	$(BIN)/bec demo

test: $(VENV)/.dev  ## run all tests on this checkout
	$(BIN)/pytest -n auto --dist worksteal

faults: $(VENV)/.dev  ## inject every fault on both back-ends and print what was lost; ARGS='--minutes 30' adds random pairs
	$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(VENV)/.dev  ## give mutated input to what reads input from outside, a minute each; ARGS='--seconds 600' for longer
	$(BIN)/python -m tests.fuzz $(ARGS)
	$(BIN)/python -m tests.hostile.mutated

model: $(VENV)/.dev  ## play many more histories of tasks than the tests do, and shorten one that fails
	MODEL_HISTORIES=300 $(BIN)/pytest -n auto tests/model

line-model: $(VENV)/.dev  ## compose pages, train the line network on them, export and judge it: see training/lines/README.md
	$(PYTHON) -m venv $(LINE_WORK)/venv
	$(LINE_PYTHON) -m pip install --quiet --disable-pip-version-check --requirement training/requirements.txt
	$(BIN)/python -m training.lines.compose --out $(LINE_WORK)/crops --pages $(LINE_PAGES)
	$(BIN)/python -m training.lines.compose --out $(LINE_WORK)/held-out --pages 240 --seed 1000
	$(LINE_PYTHON) -m training.lines.train --data $(LINE_WORK)/crops --out $(LINE_WORK)/run-$(LINE_SEED) \
		--steps $(LINE_STEPS) --seed $(LINE_SEED) --resume
	$(LINE_PYTHON) -m training.lines.export $(LINE_WORK)/run-$(LINE_SEED)/last.pt --out $(LINE_WORK)/lines-$(LINE_SEED).onnx \
		--held-out $(LINE_WORK)/held-out
	$(BIN)/python -m training.lines.judge $(LINE_WORK)/lines-$(LINE_SEED).onnx --out $(LINE_WORK)/judged-$(LINE_SEED)

recogniser: $(VENV)/.dev  ## compose lines, train the recogniser on them, export and judge it: see training/reader/README.md
	$(PYTHON) -m venv $(LINE_WORK)/venv
	$(LINE_PYTHON) -m pip install --quiet --disable-pip-version-check --requirement training/requirements.txt
	$(LINE_PYTHON) -m training.reader.train --out $(READER_RUN) --seed $(READER_SEED) --pictures $(READER_PICTURES) \
		--minutes $(READER_MINUTES) --resume $(if $(READER_FONTS),--fonts $(READER_FONTS))
	$(BIN)/python -m training.reader.language --out $(READER_WORK)/bec-uchen.lm.npz
	$(LINE_PYTHON) -m training.reader.export $(READER_RUN)/last.pt --out $(READER_MODEL)
	$(BIN)/python -m training.reader.judge $(READER_MODEL) --confidence $(READER_RUN)/confidence.json
	$(LINE_PYTHON) -m training.reader.export $(READER_RUN)/last.pt --out $(READER_MODEL) \
		--confidence $(READER_RUN)/confidence.json

shots: $(VENV)/.dev  ## take the pictures of the viewer and the dashboard that the README has; needs Chromium
	$(BIN)/python -m samples.shots $(ARGS)

mirador: $(MIRADOR)  ## fetch Mirador by npm: with it, a test opens manifests in it

$(MIRADOR):
	mkdir -p build/mirador
	cd build/mirador && npm pack --silent mirador@4.0.0
	cd build/mirador && $(PYTHON) -c "import hashlib, sys; sys.exit(hashlib.sha256(open('mirador-4.0.0.tgz', 'rb').read()).hexdigest() != '$(MIRADOR_SHA256)')"
	cd build/mirador && tar -xzf mirador-4.0.0.tgz
	touch $@

readers: $(VENV)/.dev  ## have OCR-D, kraken, archive-hocr-tools and iiif-prezi3 read what is exported; ARGS='--reader ocrd'
	$(BIN)/python -m bench.other_readers $(ARGS)

mutants: $(VENV)/.dev  ## take each guard of the program away, and see that a test notices
	$(BIN)/python -m tests.mutants

lint: $(VENV)/.dev  ## lint, formatting, security, types and import rules
	$(BIN)/ruff check
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml bec_orch
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

packages: $(VENV)/.dev  ## look the locks up in a database of known vulnerabilities
	.ci/audit-packages

check: lint packages  ## all that a change must pass: lint, then all tests on the built wheel, with the coverage gate
	rm -rf $(WHEEL_TEST)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEEL_TEST) .
	.ci/test-wheel $(WHEEL_TEST)

lock: $(VENV)/.dev  ## take the newest versions into the lock files
	$(PIP_INSTALL) uv
	$(COMPILE) --extra ldv1 --extra ocr --extra aws --extra web --output-file requirements.txt
	$(COMPILE) --extra ldv1 --extra ocr --extra aws --extra web --extra heif --extra openvino --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt
	echo 'onnxruntime-gpu[cuda,cudnn]; sys_platform == "linux"' | $(subst pyproject.toml,-,$(COMPILE)) \
		--constraint requirements.txt --output-file deploy/requirements-gpu.txt

clean:  ## remove what these commands made, but no results
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed, and none was found." >&2; \
		echo "hint: apt install python3 python3-venv, or name one: make PYTHON=/path/to/python3.12 demo" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments." >&2; \
		echo "hint: sudo apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements.txt pyproject.toml
	@echo "Installing the packages of requirements.txt: about half a minute, 500 MB."
	$(PIP_INSTALL) --require-hashes --no-deps -r requirements.txt
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(PIP_INSTALL) --require-hashes --no-deps -r requirements-dev.txt
	@touch $@
