# The commands that a person types. Everything else is `jali --help`.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SERVICES ?= recommend
SOURCE ?= $(if $(filter recommend,$(SERVICES)),ta-feng,shop)
ARGS ?=
WORKERS ?= 2

# Tests that run side by side, each worker with a home, ports and a database of its own; and those that start whole
# machines, kill processes or race for the last of a budget, which have this one to themselves.
TOGETHER := tests/architecture tests/unit tests/properties tests/conformance tests/mutations
ALONE := tests/fire tests/flows tests/e2e
BESIDE := -n $(WORKERS) --dist worksteal

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check up down status lock format clean help
.DEFAULT_GOAL := help

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(VENV)/.installed: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Jali needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.11."; exit 78; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the lock into $(VENV) (minutes, once)..."
	@if [ -t 1 ]; then $(BIN)/python -m pip install --progress-bar on -r requirements.lock; else $(BIN)/python -m pip install -qq -r requirements.lock; fi
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@$(BIN)/python -m pip install -qq -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.installed ## The whole way on public data: SOURCE=ta-feng, shop or movielens-100k, SERVICES=recommend (default) or all (on the shop)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jali demo --source $(SOURCE) --services $(SERVICES) $(ARGS)

test: $(VENV)/.installed-dev ## Everything, real servers included
	@$(MAKE) --no-print-directory lint
	@export PATH="$(CURDIR)/$(BIN):$$PATH"; said=$$(mktemp); trap 'rm -f "$$said"' EXIT; \
	$(BIN)/python -m pytest $(TOGETHER) $(BESIDE) $(ARGS) | tee "$$said"; together=$${PIPESTATUS[0]}; \
	$(BIN)/python -m pytest $(ALONE) $(ARGS); alone=$$?; \
	if grep -q '= short test summary info =' "$$said"; then sed -n '/= short test summary info =/,$$p' "$$said"; else tail -n 1 "$$said"; fi; \
	case $$together-$$alone in 0-0 | 0-5 | 5-0) ;; 0-* | 5-*) exit $$alone ;; *) exit $$together ;; esac # 5: none was selected

check: $(VENV)/.installed-dev ## The fast loop: lint, types, architecture, unit and property tests
	@$(MAKE) --no-print-directory lint
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/architecture tests/unit tests/properties tests/conformance -m "not slow and not e2e" $(BESIDE) $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/tmp/jali-imports.$$$$ 2>&1 || { cat /tmp/jali-imports.$$$$; rm -f /tmp/jali-imports.$$$$; exit 1; }; rm -f /tmp/jali-imports.$$$$

up: $(VENV)/.installed ## Start Prefect, a worker, MLflow and serving in the background
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jali up

down: $(VENV)/.installed ## Stop them
	@$(BIN)/jali down

status: $(VENV)/.installed ## Say what runs where
	@$(BIN)/jali status

format: $(VENV)/.installed-dev ## Format and mend what can be mended
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

# torch brings its own nvidia, cuda and triton packages where they are wanted: locked here they would make a CPU machine
# download gigabytes.
lock: ## Resolve the locks again (needs uv)
	@uv pip compile -q --universal --python-version 3.11 pyproject.toml --no-annotate --no-header | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock
	@uv pip compile -q --universal --python-version 3.11 pyproject.toml --extra dev --no-annotate --no-header | grep -vE '^(nvidia-|cuda-|triton)' > requirements-dev.lock

clean: down ## Remove what runs made in the checkout; ledger, versions and the DVC remote stay
	@rm -rf data models reports metrics plots evidence var/workspaces var/logs var/run var/prefect .dvc/cache .dvc/tmp
