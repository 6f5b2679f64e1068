# Everything a person or CI runs. `make help` lists the targets.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
PYTEST_ARGS ?=
COMPILED := hatch_build.py $(wildcard server/compiled/*.pyx server/compiled/*.pxd)

.DEFAULT_GOAL := help
.PHONY: help install demo up test check proto bench soak e2e wheels bench-serving bench-training bench-gate clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## make .venv with everything, pinned by constraints.txt

# The dependencies, then the project: built by what is pinned and installed then, so a recompilation asks no index.
$(VENV)/.installed: pyproject.toml constraints.txt $(COMPILED)
	@command -v $(PYTHON) >/dev/null || { echo "policyd needs Python 3.11 or newer: PYTHON=/path/to/python3 make install" >&2; exit 1; }
	@[ -e $@ ] || echo "Installing into $(VENV), once; torch is large, this takes minutes."
	@trap 'echo "Interrupted; make install starts over." >&2; exit 130' INT; \
	$(PYTHON) -m venv $(VENV) || exit 1; \
	$(PY) deploy/requirements.py pyproject.toml server trainer otel postgres dev > $(VENV)/requirements.txt || exit 1; \
	export PIP_DISABLE_PIP_VERSION_CHECK=1; \
	{ $(PY) -m pip install --quiet --constraint constraints.txt --requirement $(VENV)/requirements.txt \
	  && $(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .; } \
	  || { echo "Installing failed: is there a network, or a package index in PIP_INDEX_URL? 'make install' tries again." >&2; exit 1; }
	@$(PY) -c 'import sys; from server import compiled; sys.exit(not compiled.AVAILABLE)' \
	  || echo "Serving will be slower: server/compiled takes gcc and Python.h. Once they are there: make -B install" >&2
	@touch $@

demo: install  ## learn CartPole, serve it and play it, in under a minute
	@$(PY) -m examples.demo

up: install  ## start trainer and server for use, until Ctrl-C
	@$(PY) -m examples.stack

test: install  ## all tests (set-up included)
	$(PY) -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

check: install  ## ruff, mypy --strict, import rules, generated code up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/lint-imports
	$(PY) proto/generate.py --check

soak: install  ## kill -9 of every part at every phase of a job, several times (about 20 minutes; SOAK="REPETITIONS ENV_ID --seed N")
	$(PY) -m tests.e2e.crash $(SOAK)

proto: install  ## generate the code of the contract from the .proto files
	$(PY) proto/generate.py

e2e: install  ## build the images and live through the stack on a container engine (about 10 minutes)
	deploy/e2e $(PYTEST_ARGS)

wheels:  ## fetch the pinned torch into wheels/, which the trainer's image takes before any index
	$(PYTHON) -m pip download --disable-pip-version-check --no-deps --dest wheels $(WHEELS_ARGS) $$(grep '^torch==' constraints.txt)

bench-serving: install  ## this server, its limits, Triton and MLServer side by side (about 15 minutes; BENCH_ARGS)
	$(PY) -m benchmarks.serving --swaps 3 $(BENCH_ARGS)

bench-training: install  ## learning against Stable-Baselines3 and tianshou, installed apart (about 2 hours; BENCH_ARGS)
	$(PY) -m benchmarks.training $(BENCH_ARGS)

bench-gate: install  ## how often the gate is wrong, how soon it is right (GATE_ARGS="--trials N --seed N --env ENV_ID")
	$(PY) -m benchmarks.gate $(GATE_ARGS)

bench: bench-serving bench-training  ## both benchmarks

clean:  ## remove the virtual environment and what runs left behind
	rm -rf $(VENV) server/compiled/*.so .demo .mypy_cache .ruff_cache
