# Everything from a fresh clone with python3.11, make and git; no root. `make` alone lists the targets.

PYTHON ?= python3.11
DATA ?= .data
PACKED_DATA ?= ../shared/data

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKS := requirements.lock requirements-bootstrap.lock

.DEFAULT_GOAL := help
.PHONY: help install toolchain data test slow lint format demo bench bench-kernels lock clean distclean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

install: $(INSTALLED) ## .venv with the locked packages and this project

# pip, which every Python brings, installs only the locked uv; uv installs the rest. Both check every hash.
$(INSTALLED): pyproject.toml $(LOCKS)
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 with venv, or run: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bootstrap.lock
	@echo "installing the locked packages into $(VENV) (7 GB) ..."
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

toolchain: ## Debian's compilers for Arm and Xtensa, and QEMU for both, into .toolchain, without root
	@$(PYTHON) scripts/toolchain.py

data: $(INSTALLED) ## the real data sets into .data, where they lie packed beside the checkout
	@if [ -f $(PACKED_DATA)/unpack.py ]; then \
		echo "unpacking $(PACKED_DATA) into $(DATA) (about a minute, 800 MB) ..." && \
		$(BIN)/python $(PACKED_DATA)/unpack.py $(DATA) && echo "$(DATA) is complete"; \
	else \
		echo "no packed data at $(PACKED_DATA): CIFAR-10 and Speech Commands are downloaded when first used"; \
	fi

# Without the tool chain the tests that need it fail and say so; the others still tell something.
test: $(INSTALLED) ## style, types and all tests but the slow ones
	@$(MAKE) --no-print-directory toolchain || true
	@$(MAKE) --no-print-directory data
	$(BIN)/python -m pytest $(PYTEST_ARGS)

slow: $(INSTALLED) toolchain ## the slow tests
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(INSTALLED) ## ruff and mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## rewrite the sources in ruff's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: $(INSTALLED) ## search, train, export and validate on digits: at most five minutes
	@$(MAKE) --no-print-directory toolchain || true
	@$(BIN)/nas demo

bench: $(INSTALLED) ## every benchmark
	@for script in benchmarks/*.py; do echo "== $$script" && $(BIN)/python "$$script" || exit 1; done

bench-kernels: $(INSTALLED) ## instructions of the kernels beside other libraries'
	@$(MAKE) --no-print-directory toolchain || true
	$(BIN)/python benchmarks/kernels.py $(BENCH_ARGS)

lock: $(INSTALLED) ## resolve the locks anew, keeping what still fits (upgrade one: make lock UPGRADE=numpy)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header \
		$(if $(UPGRADE),--upgrade-package $(UPGRADE)) --output-file requirements.lock pyproject.toml
	@sed -n 's/^\(uv==[^ ]*\) .*/\1/p' requirements.lock | \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-deps --generate-hashes --no-header --no-annotate \
		--output-file requirements-bootstrap.lock -

clean: ## remove what tests and builds leave behind
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .toolchain.part-*
	find . -name __pycache__ -not -path './.venv/*' -not -path './.toolchain/*' -prune -exec rm -rf {} +

distclean: clean ## also the environment, the tool chain and the unpacked data
	rm -rf $(VENV) .toolchain $(DATA)
