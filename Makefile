# Two commands set up all they need in .venv and run: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes that run tests. Slow ones stay together with those of their file, which share what took long to make;
# the files come in the order of tests/conftest.py.
JOBS ?= 2
SLOW := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -rs --durations=25 --durations-min=5

# Tests compare bits, which depend on the number of threads; those that several processes run share the cores.
test proofs slow reader: export OMP_NUM_THREADS := 1

.PHONY: demo test proofs slow check docs reader system

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tenfold demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS)

# Programs that slow tests start: a browser, a display, a bare Debian, another processor. Debian's names; root.
system:
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $$(cat system-packages.txt) 2>/dev/null \
	  | awk '/install ok installed/ {print $$1}' | sort | comm -13 - system-packages.txt); \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; fi

# The slow tests that CI runs: commands of README and quick start, both examples, jobs that are killed, teams of
# processes, packages where no Python is, windows, browser.
proofs: $(STAMP) system
	$(SLOW) -m "slow and not long"

# All of them.
slow: $(STAMP) system
	$(SLOW) -m slow

# The site, in site/: a warning is an error, and so is a link that leads nowhere.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python scripts/docs_links.py site

# What a reader would do: every command of README and quick start on small settings, both examples, a scheme of
# one's own as the page says.
reader: $(STAMP)
	$(BIN)/python -m pytest -m slow tests/test_examples.py tests/test_first_pages.py tests/test_docs.py

check: $(STAMP)
	$(BIN)/ruff check src tests scripts examples benchmarks
	$(BIN)/ruff format --check src tests scripts examples benchmarks
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports
