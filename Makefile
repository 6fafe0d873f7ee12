# The two commands: `make demo` and `make test`. Everything else is a part of them.
PYTHON ?= python3
PY := .venv/bin/python

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory  # the last line of `make demo ONCE=1` is its result
.PHONY: help setup demo phone test faults soak bench providers check lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 16

setup:  ## install the locked packages into .venv and get a media server
	@$(PYTHON) scripts/setup.py

demo: setup  ## hold a real spoken conversation on this machine; ONCE=1 exits after it
	@$(PY) agent.py demo

phone: setup  ## answer the telephone on this machine: prints the address to dial; HOST=address for other machines
	@$(PY) -m demo.phone

test: setup  ## lint, types and all tests: unit, wire, real rooms and real telephone calls
	@$(PY) scripts/test_parts.py & parts=$$!; \
	  $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy; checked=$$?; \
	  wait $$parts && exit $$checked
	@$(PY) scripts/test_parts.py bridge & bridge=$$!; \
	  { $(PY) -m pytest tests/unit -n 2 && \
	    $(PY) -m pytest tests/wire tests/fault -n 4 -m "not alone"; } || { kill $$bridge; exit 1; }; \
	  wait $$bridge
	@$(PY) -m pytest tests/wire -m alone
	@$(PY) -m pytest tests/room
	@$(PY) -m pytest tests/browser
	@$(PY) -m pytest tests/phone

faults: setup  ## put every fault into real calls, write docs/faults.md; ONLY=F01,F19 for some; PROFILE=gateflow
	@$(PY) -m drills $(if $(ONLY),--only $(ONLY),--write) $(if $(PROFILE),--profile $(PROFILE))

soak: setup  ## hold 200 calls with faults by chance; ROOMS=20 for calls in real rooms, SEED=n to repeat one
	@$(PY) -m drills soak $(if $(ROOMS),--rooms $(ROOMS)) $(if $(SEED),--seed $(SEED))

bench: setup  ## measure Parley beside its peers on a quiet machine and write docs/benchmarks.md; QUICK=1: under 5 minutes
	@$(PY) -m bench $(if $(QUICK),--quick,--document)

providers: setup  ## ask the local gateway what each provider can do and write docs/providers.md
	@$(PY) -m bench.providers --write

check: setup  ## lint, types and unit tests only (seconds)
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	@$(PY) -m pytest tests/unit

lock:  ## write the lock files anew (needs uv)
	uv pip compile pyproject.toml plugins/*/pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-package livekit-plugins-gatewaykit --no-header --quiet --output-file requirements/worker.lock
	uv pip compile pyproject.toml plugins/*/pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-package livekit-plugins-gatewaykit --no-header --quiet --output-file requirements/all.lock

clean:  ## remove what set-up and runs have made
	rm -rf .venv .parley recordings .mypy_cache .ruff_cache .pytest_cache .hypothesis
