# The commands that people and CI run. `make help` lists them.
# The newest installed Python is used; PYTHON=/path/to/python chooses another one.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
            $$python -c 'import ensurepip' >/dev/null 2>&1 && echo $$python && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
PYTEST_ARGS ?=
STORES := $(addprefix tests/,policyd/repository policyd/experience policyd_server/models policyd_trainer/jobs/runs policyd_trainer/service)
COMPILED := hatch_build.py $(wildcard server/policyd_server/compiled/*.p[yx][xd] server/policyd_server/front/*.pyx trainer/policyd_trainer/compiled/*.p[yx][xd] trainer/policyd_trainer/compiled/core/* server/policyd_server/front/core/* policyd/client/wire/*.p[yx][xd] policyd/client/wire/core/*)

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-long check proto map bench soak live-crash live-soak fuzz browser stores ray e2e wheels bench-serving bench-training bench-gate bench-evidence bench-live bench-gpu clean world

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## make .venv with everything, pinned by constraints.txt

# First the dependencies, then the project. It is built with the packages that are pinned and
# installed by then, so a recompilation needs no index.
$(VENV)/.installed: pyproject.toml constraints.txt $(COMPILED)
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "policyd needs Python 3.11, 3.12 or 3.13: make install PYTHON=/path/to/python3" >&2; exit 1; }
	@[ -e $@ ] || echo "Installing into $(VENV), once; torch is large, this takes minutes."
	@trap 'echo "Interrupted; make install starts over." >&2; exit 130' INT; \
	$(PYTHON) -m venv $(VENV) || exit 1; \
	$(PY) deploy/requirements.py pyproject.toml server trainer http otel postgres ray dev > $(VENV)/requirements.txt || exit 1; \
	export PIP_DISABLE_PIP_VERSION_CHECK=1; \
	{ $(PY) -m pip install --quiet --constraint constraints.txt --requirement $(VENV)/requirements.txt \
	  && $(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .; } \
	  || { echo "Installing failed: is there a network, or a package index in PIP_INDEX_URL? 'make install' tries again." >&2; exit 1; }
	@$(PY) -c 'import sys; from policyd_server import compiled; sys.exit(not compiled.AVAILABLE)' \
	  || echo "Serving will be slower: server/policyd_server/compiled takes gcc and Python.h. Once they are there: make -B install" >&2
	@# As pip does for packages that are not editable. Each start of a process would compile it all, where bytecode is not written.
	@$(PY) -m compileall -q -j 0 policyd server trainer proto examples || true
	@touch $@

demo: install  ## learn CartPole, serve it and play it, in under a minute
	@$(PY) -m examples.demo

up: install  ## start trainer and server for use, until Ctrl-C
	@$(PY) -m examples.stack

test: install  ## the tests, but for the long ones (set-up included)
	$(PY) -m pytest -n 2 --dist worksteal -m "not long" $(PYTEST_ARGS)

test-long: install  ## the long tests: grpcio, attacks on the front, wheels, fuzzing, crashes, learning to an optimum
	$(PY) -m pytest -n 2 --dist worksteal -m long $(PYTEST_ARGS)

check: install  ## ruff, mypy --strict, import rules, generated code and map up to date, prose, manifests
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/lint-imports
	$(PY) proto/generate.py --check
	$(PY) docs/file_map.py --check
	$(PY) docs/prose.py
	$(PY) deploy/kubernetes/validate.py

fuzz: install  ## odd requests to every method, then odd frames and requests to what is compiled under ASan and UBSan (FUZZ="--seconds 600", FUZZ_FRONT="--inputs N")
	$(PY) -m tests.contract.fuzz $(FUZZ)
	$(PY) -m tests.policyd_server.front.fuzz $(FUZZ_FRONT)
	$(PY) -m tests.policyd_server.compiled.fuzz $(FUZZ_FRONT)
	$(PY) -m tests.policyd.client.wire.fuzz $(FUZZ_FRONT)

world: install  ## environments that do not behave, as jobs through the trainer's service (about 20 minutes; WORLD="HABIT ...")
	$(PY) -m tests.world $(WORLD)

soak: install  ## kill -9 of every part at every phase of a job, several times (about 20 minutes; SOAK="REPETITIONS ENV_ID --seed N")
	$(PY) -m tests.e2e.crash $(SOAK)

live-crash: install  ## kill -9 of worker, trainer and server while clients teach a policy (about 10 minutes; LIVE="TRIALS --seed N")
	$(PY) -m tests.e2e.crash.live $(LIVE)

live-soak: install  ## clients at full rate while a job learns: memory, open files and disk (30 minutes; SOAK_MINUTES=N)
	$(PY) -m benchmarks.live soak --minutes $(or $(SOAK_MINUTES),30)

proto: install  ## generate the code of the contract from the .proto files
	$(PY) proto/generate.py

map: install  ## write the map of files in ARCHITECTURE.md from the modules' docstrings
	$(PY) docs/file_map.py

browser: install  ## the page in Chromium, with axe-core (apt-get install chromium npm; about 3 minutes)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt playwright
	npm install --silent --no-save --no-package-lock --prefix .browser axe-core@4.14.1
	POLICYD_BROWSER=1 POLICYD_AXE=.browser/node_modules/axe-core/axe.min.js $(PY) -m pytest tests/browser $(PYTEST_ARGS)

stores: install  ## the tests of object storage on Azure's emulator, and on Google's if POLICYD_GCS is its URL (apt-get install npm; about 10 minutes)
	npm install --silent --no-save --no-package-lock --prefix .stores azurite@3.37.0
	POLICYD_AZURITE=.stores/node_modules/.bin/azurite-blob $(PY) -m pytest $(STORES) -k "azurite or gcs" -m "" $(PYTEST_ARGS)

ray: install  ## jobs on a Ray cluster of two nodes on loopback, with kills (about 8 minutes)
	POLICYD_RAY=1 $(PY) -m pytest -q -p no:xdist tests/e2e/ray $(PYTEST_ARGS)

e2e: install ray  ## the Ray tests; then build the images and live through the stack on a container engine (about 10 minutes more)
	deploy/e2e $(PYTEST_ARGS)

wheels:  ## fetch the pinned torch into wheels/, which the trainer's image takes before any index
	$(PYTHON) -m pip download --disable-pip-version-check --no-deps --dest wheels $(WHEELS_ARGS) $$(grep '^torch==' constraints.txt)

bench-serving: install  ## this server, its limits, Triton and MLServer side by side (about 15 minutes; BENCH_ARGS="--runs 2")
	$(PY) -m benchmarks.serving --swaps 3 $(BENCH_ARGS)

bench-training: install  ## learning against Stable-Baselines3 and tianshou, installed apart (about 2 hours; BENCH_ARGS)
	$(PY) -m benchmarks.training $(BENCH_ARGS)

bench-gate: install  ## how often the gate is wrong, how soon it is right (GATE_ARGS="--trials N --seed N --env ENV_ID")
	$(PY) -m benchmarks.gate $(GATE_ARGS)

bench-evidence: install  ## how often estimates from logs and canaries are wrong (EVIDENCE_ARGS="--logs N --canaries N")
	$(PY) -m benchmarks.evidence $(EVIDENCE_ARGS)

bench-live: install  ## what policies learn from clients over gRPC (about an hour; LIVE_ARGS="learn cartpole --seeds N", "lag", "network", "forgers", "endings")
	$(PY) -m benchmarks.live $(or $(LIVE_ARGS),learn cartpole)

bench-gpu:  ## learning on one GPU beside this machine's CPU (6 minutes; installs nothing; BENCH_ARGS="--quick")
	$(or $(wildcard $(PY)),python3) -m benchmarks.gpu $(BENCH_ARGS)

bench: bench-serving bench-training  ## both benchmarks

clean:  ## remove the virtual environment and what runs left behind
	rm -rf $(VENV) .editable .demo .mypy_cache .ruff_cache
	find policyd server trainer -name "*.so" -delete
