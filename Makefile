# SPDX-License-Identifier: Apache-2.0

# nova-sqlcore: `make help` tells what can be made.

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
export PYTHON

# two workers: more only contend on the servers of a small machine
WORKERS ?= 2
ARGS ?=
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help .venv demo test test-core-road test-one-by-one test-matrix mutants test-galera test-replicas test-proxies test-stress test-odd-servers fuzz bench bench-scale bench-threads bench-pools bench-archive bench-observers statements lint docs servers clean

help:  ## Show this text
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'demo, test, test-core-road, mutants and bench take ARGS="...", for example: make test ARGS="-k quota --backends sqlite"'

.venv: $(VENV)/installed  ## Make the virtual environment that everything below uses (Python >= 3.11)

$(VENV)/installed: pyproject.toml tools/make-venv
	@tools/make-venv $(VENV) test lint bench
	@touch $@

$(VENV)/docs-installed: $(VENV)/installed
	@tools/make-venv $(VENV) docs
	@touch $@

$(VENV)/green-installed: $(VENV)/installed
	@tools/make-venv $(VENV) green
	@touch $@

$(VENV)/mutants-installed: $(VENV)/installed
	@tools/make-venv $(VENV) mutants
	@touch $@

demo: $(VENV)/installed  ## Show the library at work on a fresh sqlite file
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(VENV)/bin/nova-sqlcore demo --url "sqlite:///$$scratch/demo.sqlite" $(ARGS)

test: $(VENV)/installed  ## Run the tests on sqlite, MariaDB, MySQL and PostgreSQL
	$(PYTHON_IN_VENV) -m pytest -n $(WORKERS) $(ARGS)

test-core-road: $(VENV)/installed  ## Run the tests with every statement on SQLAlchemy's road (sqlite only by default)
	NOVA_SQLCORE_ROAD=core CI= $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --backends sqlite $(ARGS)

test-one-by-one: $(VENV)/installed  ## Run the tests of the core and the queries with no two statements in one trip
	NOVA_SQLCORE_BATCH=off CI= $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) tests/core tests/queries $(ARGS)

test-galera: $(VENV)/installed  ## Run the tests of a Galera cluster: three MariaDB nodes that all take writes
	CI= $(PYTHON_IN_VENV) -m pytest tests/galera $(ARGS)

test-replicas: $(VENV)/installed  ## Run the tests of a primary with a replica, on MariaDB, MySQL and PostgreSQL
	CI= $(PYTHON_IN_VENV) -m pytest tests/replicas $(ARGS)

test-proxies: $(VENV)/green-installed  ## Run the tests of PgBouncer, HAProxy, TLS, and green threads of eventlet and gevent
	CI= $(PYTHON_IN_VENV) -m pytest tests/proxies $(ARGS)

test-stress: $(VENV)/installed  ## Let eight processes claim, count and merge the same things, on every server and on Galera
	$(PYTHON_IN_VENV) -m tests.stress $(ARGS)

test-matrix: $(VENV)/installed  ## Try the wheel on every Python found, and some tests on other servers, drivers, SQLAlchemys
	NOVA_SQLCORE_TEST_PYTHONS=all CI= $(PYTHON_IN_VENV) -m pytest tests/personas/test_newcomer.py
	$(PYTHON_IN_VENV) -m tests.matrix $(ARGS)

mutants: $(VENV)/mutants-installed  ## Put small faults into the core, one at a time, and list those that no test notices
	$(PYTHON_IN_VENV) -m tests.mutants $(ARGS)

test-odd-servers: $(VENV)/installed  ## Run a part of the tests on private servers with hostile settings
	CI= $(PYTHON_IN_VENV) -m tests.odd_servers $(ARGS)

fuzz: $(VENV)/installed  ## Make hostile calls of every function for MINUTES=10 on all back-ends at the same time
	$(PYTHON_IN_VENV) -m tests.fuzz --minutes $(MINUTES) $(ARGS)

bench: $(VENV)/installed  ## Time hot calls against hand-written code and an ORM, on private servers, over a slow link too
	$(PYTHON_IN_VENV) -m benchmarks --link 0.5 --link 1 $(ARGS)

bench-scale: $(VENV)/installed  ## Time hot calls among 1,000 to 1,000,000 instances, on private servers
	$(PYTHON_IN_VENV) -m benchmarks.scale $(ARGS)

bench-threads: $(VENV)/installed  ## Count calls per second with 1 to 64 threads, ours and by hand, on private servers
	$(PYTHON_IN_VENV) -m benchmarks.threads $(ARGS)

bench-pools: $(VENV)/installed  ## Time allocations from address pools of three sizes, on private servers
	$(PYTHON_IN_VENV) -m benchmarks.pools $(ARGS)

bench-archive: $(VENV)/installed  ## Time the archive of instances with twenty rows each, on private servers
	$(PYTHON_IN_VENV) -m benchmarks.archive $(ARGS)

bench-observers: $(VENV)/installed  ## Time calls while somebody watches and while nobody does, on private servers
	$(PYTHON_IN_VENV) -m benchmarks.observers $(ARGS)

statements: $(VENV)/installed  ## Record what every function sends, on private servers, for the command nova-sqlcore sql
	$(PYTHON_IN_VENV) -m tests.recorded.statements

lint: $(VENV)/installed  ## Check style, format and types
	@status=0; set -x; \
	$(VENV)/bin/ruff check . || status=1; \
	$(VENV)/bin/ruff format --check . || status=1; \
	$(VENV)/bin/mypy || status=1; \
	exit $$status

docs: $(VENV)/docs-installed  ## Build the documentation into docs/_build/html
	$(PYTHON_IN_VENV) -m sphinx -W --keep-going -b html docs docs/_build/html

servers: $(VENV)/installed  ## Run private MariaDB, MySQL and PostgreSQL servers until Ctrl-C; prints their URLs
	@$(PYTHON_IN_VENV) -m tests.servers $(ARGS)

clean:  ## Remove everything that was made here
	rm -rf $(VENV) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .mutants .matrix
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
