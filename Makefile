# `make help` lists the targets. Everything happens in .venv and .marketstream; `make up` needs Python and Java, no more.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
MARKETSTREAM := $(BIN)/marketstream
STAMP := $(VENV)/.installed
# Found by infra/setup.sh unless named: make PYTHON=/usr/bin/python3.12 setup
PYTHON ?=
# Passed on to the command behind a target: make status ARGS=--json
ARGS ?=
JOB ?= bars

.PHONY: help setup servers up down status logs clean-data demo submit check format test test-fast test-long test-chaos test-crash bench bench-latency bench-ingest bench-streaming bench-storage bench-timescale bench-api bench-websocket bench-screen lock

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with everything from the lock file
	@:

$(STAMP): requirements.lock pyproject.toml infra/setup.sh
	@PYTHON="$(PYTHON)" sh infra/setup.sh $(VENV)
	@touch $@

servers: setup ## Fetch and build ahead of time what the servers need
	@$(BIN)/python -m marketstream.launch.obtain

up: setup ## Start the platform; returns when it is healthy
	@$(MARKETSTREAM) up $(ARGS)

down: setup ## Stop the platform; the data stays
	@$(MARKETSTREAM) down $(ARGS)

status: setup ## Tell how every service is (ARGS=--json)
	@$(MARKETSTREAM) status $(ARGS)

logs: setup ## Show what the services say (ARGS="bars -f")
	@$(MARKETSTREAM) logs $(ARGS)

clean-data: setup ## Remove all data, logs and passwords
	@$(MARKETSTREAM) clean-data $(ARGS)

demo: setup ## Start the platform on the bundled market, whatever the network offers
	@MARKETSTREAM_PROVIDERS=binance \
	 MARKETSTREAM_BINANCE__WEBSOCKET_URL="ws://127.0.0.1:$${MARKETSTREAM_REPLAY__PORT:-8765}" \
	 MARKETSTREAM_BINANCE__REST_URL="http://127.0.0.1:$${MARKETSTREAM_REPLAY__PORT:-8765}" \
	 $(MARKETSTREAM) up $(ARGS)

submit: setup ## Run a Spark job in front (JOB=bars; ARGS are the job's own)
	@$(MARKETSTREAM) submit $(JOB) $(ARGS)

check: setup ## Lint, format, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MARKETSTREAM) schemas

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# What waits for itself alone runs two at a time; what loads the machine, or measures itself against it, one by one.
SIDE_BY_SIDE := tests/unit tests/property tests/contract \
 $(addprefix tests/integration/,bus producers providers serving storage testing)

test: setup ## Run every test that takes no minutes (ARGS=-x)
	@$(BIN)/pytest -n 2 --dist loadfile $(SIDE_BY_SIDE) $(ARGS)
	@$(BIN)/pytest $(SIDE_BY_SIDE:%=--ignore=%) $(ARGS)

test-fast: setup ## Run the tests that need neither network nor JVM
	@$(BIN)/pytest tests/unit tests/property -m "not servers" $(ARGS)

test-long: setup ## Run every test, also those that show in minutes what others show in seconds
	@$(MAKE) test ARGS="--long $(ARGS)"

test-chaos: setup ## Break the feed of a whole platform in 30 ways over 10 minutes, for two providers
	@$(BIN)/pytest tests/chaos/test_feed_faults.py -s --chaos-faults 30 --chaos-seconds 600 --chaos-rate 1000 \
	 --chaos-providers binance,polygon $(ARGS)

test-crash: setup ## Kill processes and broker of a whole platform 20 times over 5 minutes; compare every store
	@$(BIN)/pytest tests/chaos/test_crashes.py -s --crash-rounds 20 --crash-seconds 300 --crash-trades 100000 $(ARGS)

bench: setup ## Run every benchmark
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

bench-latency: setup ## Measure socket to store and screen at 1,000 ticks/s
	@$(BIN)/python benchmarks/latency.py $(ARGS)

bench-ingest: setup ## Measure socket to Kafka as fast as it goes (ARGS=--soak: a steady load for 5 minutes)
	@$(BIN)/python benchmarks/ingest.py $(ARGS)

bench-timescale: setup ## Measure TimescaleDB beside PostgreSQL (ARGS="--timescale-bin DIR")
	@$(BIN)/python benchmarks/timescale.py $(ARGS)

bench-api: setup ## Measure REST: the newest tick from the cache, 500 bars from the database
	@$(BIN)/python benchmarks/api.py $(ARGS)

bench-streaming: setup ## Measure the bars query, beside other engines (ARGS="--peer-python PATH", ARGS=--growth)
	@$(BIN)/python benchmarks/streaming.py $(ARGS)

bench-websocket: setup ## Measure socket to 1,000 WebSocket clients at 1,000 ticks/s (ARGS="--deaf 50")
	@$(BIN)/python benchmarks/websocket.py $(ARGS)

bench-storage: setup ## Measure writes into the stores (ARGS="--catch-up 10000000": a writer that was away)
	@$(BIN)/python benchmarks/storage.py $(ARGS)

bench-screen: setup ## Keep the Market page open at 200 ticks/s; its memory and update times by fifths (ARGS="--minutes 30")
	@$(BIN)/python benchmarks/screen.py $(ARGS)

lock: setup ## Choose versions anew and write the lock files
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --all-extras \
	 --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-header --no-annotate \
	 --constraint requirements.lock pyproject.toml -o infra/docker/requirements.lock
