# make demo: train on real handwritten digits at five time steps, table and figures.
# make test: lint and the whole test suite.
# make test-fast: lint, and the tests that compile nothing and take five seconds or less.
# make lint: style alone.
# make docs: the site, in build/docs; runs every page and example on the way.
# make bench: speed and memory here, beside stock Brian2.
# make study: the runs, tables and figures of docs/results.md; takes hours, can be resumed.
# make study-quick: a ten-minute version of it.
# make fuzz: read 140,000 damaged files and spikes, guided by coverage where atheris installs.
# make sanitize: spikes, events and gradients with compiled code that checks itself.
# make soak: train for SOAK_SECONDS (3600) and watch memory and file descriptors: soak.csv.
# All set up .venv by themselves.

PYTHON ?= python3
SOAK_SECONDS ?= 3600
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 8 --dist loadfile
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# The study's run folders, outside the repository; it reads the data sets in BSNN_DATA.
STUDY ?= ../bsnn-study

.PHONY: demo lint test test-fast docs bench study study-quick fuzz sanitize soak clean

$(VENV)/ready: setup.cfg constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,docs]"
	touch $@

demo: $(VENV)/ready
	$(BIN)/bsnn sweep digits --dt-ms 0.5 1 2 4 8 --epochs 10 --out demo
	$(BIN)/bsnn one-neuron demo
	$(BIN)/bsnn plot demo --out demo/figures

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	$(PYTEST)

test-fast: lint
	$(PYTEST) -m "not slow and not cpp"

docs: $(VENV)/docs-ready
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs build/docs
	@echo "open build/docs/index.html"

bench: $(VENV)/ready
	$(BIN)/bsnn bench

study: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/study.sh $(STUDY) docs/results

study-quick: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/study.sh $(STUDY)-quick $(STUDY)-quick/results quick

fuzz: $(VENV)/ready
	-$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	$(BIN)/python -m tests.reliability.fuzz

sanitize: $(VENV)/ready
	$(BIN)/python -m tests.reliability.sanitize

soak: $(VENV)/ready
	$(BIN)/python -m tests.reliability.soak --seconds $(SOAK_SECONDS) --out soak.csv

clean:
	rm -rf $(VENV) build docs/gallery docs/reference/generated demo fuzz soak.csv *.egg-info .pytest_cache .ruff_cache .hypothesis
