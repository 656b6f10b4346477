# Everything is set up by the target that needs it: a clean clone, Python 3.11 or later, make, and package registries.
.DEFAULT_GOAL := help
.PHONY: help run test peers fuzz check bench docs lab deb rpm deb-test clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := .run
SAMPLE := tests/data/morning
COMPILED := setup.py pyproject.toml $(wildcard agent/*.py agent/protocols/*.py)

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/installed ## Replay a hospital morning through agent, bus and detector (ONCE=1: end after the summary)
	@rm -rf $(STATE)
	@$(BIN)/nigrani up --state $(STATE) --agent-config $(SAMPLE)/agent.yaml --config $(SAMPLE)/detector.yaml \
	  --labels $(SAMPLE)/labels.yaml --replay $(SAMPLE)/capture.pcap $(SAMPLE)/ai-gateway.log $(if $(ONCE),--once)

test: $(VENV)/developing peers ## Run every test
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

peers: # what some tests run beside
	@tests/peers.sh

fuzz: $(VENV)/developing ## Fuzz every parser, five minutes each (ARGS="--seconds 60 --only tls")
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[detector,fuzz]'
	@$(BIN)/python -m tests.fuzz $(ARGS)

check: $(VENV)/developing ## Lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m nigrani.stream.schema --check config/schema
	@$(BIN)/python -m nigrani.reference --check docs/reference.md
	@$(BIN)/python -m nigrani.metrics_reference --check docs/metrics.md

bench: $(VENV)/developing ## Measure speed and memory beside peers, in one run
	@$(BIN)/python -m bench.run $(ARGS)

docs: $(VENV)/developing ## Write the generated parts: schemas, the reference and the metrics
	@$(BIN)/python -m nigrani.stream.schema --write config/schema
	@$(BIN)/python -m nigrani.reference --write docs/reference.md
	@$(BIN)/python -m nigrani.metrics_reference --write docs/metrics.md

lab: ## Record a new morning in network namespaces (root; 45 minutes)
	$(PYTHON) bench/hospital/morning.py --out $(SAMPLE)

deb: ## Build the .deb packages, for this release of Debian (python3-venv, python3-dev, gcc, binutils)
	@/usr/bin/python3 systemd/package.py deb $(ARGS)

rpm: ## Build the .rpm packages (the same, and rpm)
	@/usr/bin/python3 systemd/package.py rpm $(ARGS)

deb-test: ## Try the .deb packages in a clean root file system (root; debootstrap, systemd-container)
	@/usr/bin/python3 tests/systemd/clean_root.py $(wildcard dist/nigrani-*.deb)

clean: ## Remove what was built
	rm -rf $(VENV) .venv-bench $(STATE) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
	find agent -name '*.so' -delete

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nigrani needs Python 3.11 or later: make PYTHON=python3.11" >&2; exit 2; }
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python $(COMPILED)
	@echo "installing nigrani (a few minutes the first time: the meter is compiled where there is a C compiler)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[detector]'
	@touch $@

$(VENV)/developing: $(VENV)/bin/python $(COMPILED)
	@echo "installing nigrani and its development tools"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[detector,dissect,dev]'
	@touch $@ $(VENV)/installed
