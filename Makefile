# Two commands set up all they need in .venv and run: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test slow check system

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tenfold demo

test: $(STAMP)
	$(BIN)/python -m pytest

# Programs that slow tests start: a browser, a display, a bare Debian, another processor. Debian's names; root.
system:
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $$(cat system-packages.txt) 2>/dev/null \
	  | awk '/install ok installed/ {print $$1}' | sort | comm -13 - system-packages.txt); \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; fi

slow: $(STAMP) system
	$(BIN)/python -m pytest -m slow

check: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports
