# Every target sets itself up: the virtual environment .venv, with the pinned versions of constraints.txt.
#   make PYTHON=python3.12 install     chooses the Python (3.11 to 3.13) that the environment is made from

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
OUTSIDE ?= .venv-outside
OUTSIDE_STAMP := $(OUTSIDE)/.installed
WORKERS ?= 2

# One thread a process: the tests and the demo run several processes, and results do not depend on the machine.
export OMP_NUM_THREADS ?= 1
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help install test test-slow test-outside check demo bench clean

help:  ## lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

install: $(STAMP)  ## makes .venv and installs everything that was tested (a second call does nothing)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11 ...")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (minutes, the first time)"
	@$(RUN) -m pip install --quiet -c constraints.txt setuptools
	@$(RUN) -m pip install --quiet --no-build-isolation -c constraints.txt -e ".[all]"
	@touch $@

test: $(STAMP)  ## runs the tests that are not slow (11 minutes on 2 cores)
	$(RUN) -m pytest -q -m "not slow" -n $(WORKERS) --dist loadfile

test-slow: $(STAMP)  ## runs the slow tests: training, a local cluster, building wheels
	$(RUN) -m pytest -q -m slow --durations=15 -n $(WORKERS) --dist loadgroup

$(OUTSIDE_STAMP): pyproject.toml setup.py constraints.txt
	@test -x $(OUTSIDE)/bin/python || $(PYTHON) -m venv $(OUTSIDE)
	@echo "installing into $(OUTSIDE) (minutes, the first time)"
	@$(OUTSIDE)/bin/python -m pip install --quiet -c constraints.txt setuptools
	@$(OUTSIDE)/bin/python -m pip install --quiet --no-build-isolation -c constraints.txt -e ".[dev]" open_spiel==2.0.2 matplotlib curvlinops-for-pytorch==3.0.1
	@touch $@

test-outside: $(OUTSIDE_STAMP)  ## compares with OpenSpiel and curvlinops, in an environment of its own (optional; minutes)
	$(OUTSIDE)/bin/python -m pytest -q tests/outside

check: $(STAMP)  ## formatting, lint, types and the arrows between packages
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m pyright
	$(RUN) -m pytest -q tests/test_architecture.py

demo: $(STAMP)  ## trains dynamics, DGNOpt, double oracle, PSRO and two controls on six environments, into results/quick
	$(RUN) -m strategic_envs.scripts.cli benchmark --preset quick --out results/quick --overwrite

bench: $(STAMP)  ## measures speed: each scripts/bench_*.py prints one line of JSON
	@for file in scripts/bench_*.py; do echo "# $$file" >&2; $(RUN) $$file; done

clean:  ## removes .venv and everything that was built; results stay
	rm -rf $(VENV) $(OUTSIDE) build dist *.egg-info .pytest_cache .ruff_cache
