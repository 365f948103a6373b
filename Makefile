# The project's commands; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
STORE ?= models/store
RECIPE ?= digits
DOCKER ?= docker
TESTS_AT_ONCE ?= 3

export ORT_DISABLE_TELEMETRY ?= 1
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SERVICE = $(VENV)/.installed-service
TRAINING = $(VENV)/.installed-training
DEV = $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help serve train test check format fuzz bench bench-peers bench-folding constraints image clean

help:  ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "make %-12s %s\n", $$1, $$2}'

serve: $(SERVICE)  ## Serve the store over HTTP (PORT=8000 STORE=models/store)
	$(VENV)/bin/bnserve --port $(PORT) --store $(STORE)

train: $(TRAINING)  ## Train a recipe and publish its next version (RECIPE=digits STORE=models/store)
	$(VENV)/bin/bntrain fit $(RECIPE) --store $(STORE)

# as many threads as tests at once would wait for one another
test: export OMP_NUM_THREADS ?= 1
test: $(DEV)  ## Run all tests, several at once, with branch coverage (TESTS_AT_ONCE=3)
	$(VENV)/bin/python -m pytest --numprocesses $(TESTS_AT_ONCE) --dist worksteal --cov --cov-report=term

check: $(DEV)  ## Format, lint, types, and the arrows between rooms
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(DEV)  ## Format the code and mend what lint can mend
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

fuzz: $(DEV)  ## Ask the service whatever its OpenAPI document allows, and what it does not, at length (ten minutes)
	BNSERVE_FUZZ_EXAMPLES=500 $(VENV)/bin/python -m pytest tests/service/test_fuzzed.py

bench: $(DEV)  ## Measure the service against what its parts can do alone, into benchmarks/results.md (17 minutes)
	for command in client serve observe decode start; do $(VENV)/bin/python -m benchmarks.serving $$command || exit 1; done
	$(VENV)/bin/python -m benchmarks.serving page --output benchmarks/results.md

bench-peers: $(DEV)  ## Measure it against other servers, which are installed under runs/, into the same page (15 minutes)
	$(VENV)/bin/python -m benchmarks.serving peers
	$(VENV)/bin/python -m benchmarks.serving page --output benchmarks/results.md

bench-folding: $(DEV)  ## Measure folding over many architectures, into docs/folding-results.md (two hours)
	for command in verify speed bounds rules; do \
	  $(VENV)/bin/python -m benchmarks.folding $$command --results runs/folding.jsonl --output runs/$$command.md; done
	$(VENV)/bin/python -m benchmarks.folding page --results runs/folding.jsonl --output docs/folding-results.md

constraints: $(DEV)  ## Write the installed versions into constraints.txt
	{ head -n 1 constraints.txt; $(VENV)/bin/python -m pip freeze --exclude-editable --disable-pip-version-check \
	  | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; } > constraints.new && mv constraints.new constraints.txt

image:  ## Build both container images
	$(DOCKER) build --target service --tag bnserve .
	$(DOCKER) build --target training --tag bntrain .

clean:  ## Delete the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) was found: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(SERVICE): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[service]'
	@touch $@

$(TRAINING): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[training]'
	@touch $@

$(DEV): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ $(SERVICE) $(TRAINING)
