# The two commands of the README. Each makes a virtual environment and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Unsloth's CPU backend is tested; why without dependencies: see the extra gpu in pyproject.toml
UNSLOTH := unsloth==2026.10.9 unsloth_zoo==2026.10.9
# read what an output holds for them; what else they ask for is not used (tests/test_trainers.py)
TRAINERS := llamafactory==0.9.5 axolotl==0.19.0 addict==2.4.0

.PHONY: demo test quick check docs docker-check clean

demo: $(VENV)/.installed
	$(BIN)/minimix distill examples/dolly.jsonl --budget 10% --output demo.distilled --restart

test: $(VENV)/.installed-dev check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

quick: $(VENV)/.installed-dev check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow and not long and not gpu and not network'

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# As root, with debootstrap: the steps of the Dockerfile for the CPU (docs/docker.md). Where the
# network wants certificates or an index of its own: make docker-check LENT='--env X=Y --bind PATH'
docker-check: $(VENV)/.installed-dev
	$(BIN)/python -m tests.dockerfile_steps --root /var/tmp/minimix-docker $(LENT)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing; llama.cpp is compiled the first time, which takes several minutes"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps $(UNSLOTH) $(TRAINERS)
	@touch $@

clean:
	rm -rf $(VENV) site demo.distilled .mypy_cache .ruff_cache .pytest_cache
