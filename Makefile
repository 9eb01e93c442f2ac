# The two commands of the README. Each makes a virtual environment and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# each file must have its hash in locks/, also those that a source is built with: docs/dependencies.md
LOCKED := $(PIP) --require-hashes --build-constraint locks/build.txt -c locks/cuda.txt
OWN := $(PIP) --no-deps --build-constraint locks/build.txt -e .
# PyTorch's CPU build where pip is offered it: by the hashes alone pip would prefer the index's own.
TORCH := $(PIP) --require-hashes --no-deps -r locks/torch-cpu.txt 2>$(VENV)/torch.log || { \
	grep -q 'No matching distribution' $(VENV)/torch.log || { cat $(VENV)/torch.log; exit 1; }; \
	echo "No CPU build of PyTorch is offered here: the index's own (on Linux, several GB of CUDA)"; }
TOOLS := .venv-tools/bin

.PHONY: demo test quick check docs docker-check lock audit sbom clean

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

# locks/ again, after a change to pyproject.toml; make lock MORE='--upgrade-package NAME', or --upgrade
lock: .venv-tools/.installed
	$(TOOLS)/python -m tests.locks $(MORE)

# What is known against the locked versions; says so where the advisories cannot be reached
audit: .venv-tools/.installed
	$(TOOLS)/python -m tests.audit $(MORE)

# What the demo's environment is made of, in CycloneDX
sbom: $(VENV)/.installed .venv-tools/.installed
	$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file sbom.cdx.json $(BIN)/python

$(VENV)/.installed: pyproject.toml locks/pip.txt locks/base.txt locks/torch-cpu.txt locks/cuda.txt locks/build.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing; llama.cpp is compiled the first time, which takes several minutes"
	$(PIP) --require-hashes -r locks/pip.txt
	@$(TORCH)
	$(LOCKED) -r locks/base.txt
	$(OWN)
	$(BIN)/python -m pip check
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed locks/dev.txt locks/trainers.txt
	$(LOCKED) -r locks/dev.txt
	$(LOCKED) --no-deps -r locks/trainers.txt
	@touch $@

.venv-tools/.installed: locks/tools.txt
	$(PYTHON) -m venv .venv-tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/tools.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-tools sbom.cdx.json site demo.distilled .mypy_cache .ruff_cache .pytest_cache
