# Two commands: `make demo` runs the whole thing on this machine, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-slow disruption lint bench clean

demo: $(STAMP)
	$(BIN)/troth demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(ARGS)

# Root, and what tests/disruption/README.md names: networks with a censor in between, and a table of what got through.
disruption: $(STAMP)
	$(BIN)/python -m pytest -m "slow or not slow" tests/disruption tests/client/test_routes_packets.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m pip install -q --require-hashes -r tests/bench/requirements.lock
	$(BIN)/python tests/bench/protocol.py
	$(BIN)/python tests/bench/client.py
	$(BIN)/python tests/bench/relay.py

# The stamp is written last, so an interrupted set-up starts over. A venv made without ensurepip still leaves a
# python behind, which is why ensurepip is asked first.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "troth needs Python 3.11 or newer: try  make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is incomplete: on Debian,  apt-get install python3-venv"; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
