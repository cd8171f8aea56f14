# `make` lists the targets. Only Rust (https://rustup.rs), a C compiler and Python 3.11 or newer have to be installed.
# Every target creates the environment it needs, as .venv-<Python>[-zarr-<version>], and builds the package in release mode.
#
#   PYTHON=python3.12     interpreter             (default: the newest on this machine)
#   ZARR_VERSION=3.1.6    zarr to test with       (default: the newest for that Python)
#   WHEEL=dist/….whl      wheel to install        (default: build this directory)

PYTEST_ARGS ?= -n auto
FUZZ_SECONDS ?= 10
# Sanitizers are an unstable feature of Rust; this variable makes them available in the stable toolchain.
CARGO_FUZZ = RUSTC_BOOTSTRAP=1 cargo fuzz
export PYTHON ZARR_VERSION WHEEL

.DEFAULT_GOAL := help
.PHONY: help demo test test-python test-rust fuzz lint format zarr-suite bench supported docs wheel clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

demo: ## Build, then write and read a volume made from a photograph, and print a table of times
	@python=$$(.ci/environment demo) && "$$python" examples/demo.py

test: test-rust test-python ## Run all tests

test-rust: ## Run the tests of the Rust layers below Python
	cargo test --locked --no-default-features

test-python: ## Run the Python tests; PYTEST_ARGS="-x tests/test_v2.py" selects some of them
	@python=$$(.ci/environment test) && "$$python" -m pytest $(PYTEST_ARGS)

fuzz: ## Fuzz every decoder for FUZZ_SECONDS each (10), or only some: make fuzz FUZZ="lz4 zstd" FUZZ_SECONDS=300
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	$(CARGO_FUZZ) build
	ASAN_OPTIONS=detect_odr_violation=0 fuzz/target/*/release/seeds fuzz/corpus
	@for target in $(or $(FUZZ),$$(ls fuzz/corpus)); do \
		echo "== $$target"; \
		$(CARGO_FUZZ) run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=20000 -rss_limit_mb=1024 -malloc_limit_mb=8192 -timeout=10 -detect_leaks=0 -verbosity=0 || exit 1; \
	done

lint: ## Check format, lints and types of the Rust and the Python code
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; else echo "cargo-deny is not installed: left out"; fi
	@python=$$(.ci/environment lint test) && set -x && \
		"$$python" -m ruff check . && \
		"$$python" -m ruff format --check . && \
		"$$python" -m mypy && \
		"$$python" -m mypy.stubtest zarrs._internal

format: ## Format the Rust and the Python code, and apply the lints' safe fixes
	cargo fmt
	@python=$$(.ci/environment lint) && "$$python" -m ruff check --fix . && "$$python" -m ruff format .

zarr-suite: ## Run zarr-python's own tests under this pipeline; SUITE_ARGS="-k indexing" selects some of them
	@python=$$(.ci/environment zarr-suite) && "$$python" tests/zarr_suite/run.py $(SUITE_ARGS)

bench: ## Compare with other pipelines and libraries; BENCH_ARGS="--small" for a smoke run (see benchmarks/README.md)
	@python=$${PYTHON:-$$(.ci/find-python)} && "$$python" benchmarks/run.py $(BENCH_ARGS)

<<<<<<< HEAD
supported: ## Bring the tables of docs/supported.md up to date with tests/support/supported*.py
=======
supported: ## Update the tables of docs/supported.md from tests/supported*.py
>>>>>>> room/docs
	@base=$${PYTHON:-$$(.ci/find-python)} && "$$base" docs/make_supported.py

docs: supported ## Update the tables and build the documentation into ./site
	@base=$${PYTHON:-$$(.ci/find-python)} && "$$base" -m venv .venv-docs && \
		.venv-docs/bin/python -m pip install --quiet 'pip>=25.1' && \
		.venv-docs/bin/python -m pip install --quiet --group docs && \
		.venv-docs/bin/python -m zensical build --strict

wheel: ## Build a wheel for this machine into ./dist
	@base=$${PYTHON:-$$(.ci/find-python)} && "$$base" -m venv .venv-build && \
		.venv-build/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist . && ls dist

clean: ## Remove environments and all build results
	rm -rf .venv-* dist site target fuzz/target
