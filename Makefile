# make demo   creates .venv, installs, builds the sample shop and runs every stage
# make faults the long sweeps: kill -9 at random moments
# make test   creates .venv, installs with the test extras, checks style and types, runs the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without an NVIDIA driver the CPU builds are chosen; all in one resolve, or pip replaces torch.
CPU := $(if $(wildcard /proc/driver/nvidia/version),,./packaging/cpu)

.PHONY: demo test lint faults clean

demo: $(VENV)/.installed
	$(BIN)/recsys demo

test: $(VENV)/.installed-test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

faults: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml $(wildcard packaging/cpu/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(CPU) -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml $(wildcard packaging/cpu/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(CPU) -e '.[test]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist
