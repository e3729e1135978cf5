# make demo: train on real handwritten digits at five time steps, table and figures.
# make test: lint and the whole test suite. Both set up .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test clean

$(VENV)/ready: setup.cfg constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

demo: $(VENV)/ready
	$(BIN)/bsnn sweep digits --dt-ms 0.5 1 2 4 8 --epochs 10 --out demo
	$(BIN)/bsnn plot demo --out demo/figures

test: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q

clean:
	rm -rf $(VENV) build demo *.egg-info .pytest_cache .ruff_cache .hypothesis
