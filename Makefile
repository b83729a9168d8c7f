# make run        the whole series: notebooks 00-07, the table, the figure and the report
# make test       linter, unit tests, every notebook at smoke scale; 03 and 06 as on Colab, 03 in a browser
# make test-all   the same with the slow tests, and every notebook as on Colab and in a browser
# make test-browser   every notebook in JupyterLab and every page, in a real browser; fetches one if needed
# make mutants    plants errors in the masking code, one at a time: do its tests notice each of them?
# make bench      the speed of masking, beside other people's, on this machine
# make bench-training   the speed of training, beside the Trainer's, and what each lever brings
# make coursework   the students' notebooks, without solutions; ARGS="--students FILE.csv" for own seeds
# make lab        JupyterLab, opened on notebook 00
# make clean      removes .venv, .colab and everything that running the series made
#
# Options for `run`, `mutants`, `coursework` and the two `bench` go into ARGS:   make run ARGS="--minutes 30"
# Another scale:                       SCALE=smoke make run
# Another Python (3.11, 3.12, 3.13):   make run PYTHON=/path/to/python3.12

CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
BIN := .venv/bin

.PHONY: run test test-all test-browser mutants bench bench-training coursework lab clean

run: .venv/installed
	@$(BIN)/python -m helpers run $(ARGS)

test: PYTEST_OPTIONS =
test-all: PYTEST_OPTIONS = -m "not real"
test test-all: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	SCALE=smoke $(BIN)/python -m pytest --nbmake $(PYTEST_OPTIONS) tests notebooks

test-browser: .venv/installed
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest -m "not real" tests/browser

mutants: .venv/installed
	$(BIN)/python tests/mutants.py $(ARGS)

bench: .venv/installed
	$(BIN)/python -m tests.benchmarks.masking $(ARGS)

bench-training: .venv/installed
	$(BIN)/python -m tests.benchmarks.training $(ARGS)

coursework: .venv/installed
	@$(BIN)/python -m helpers coursework release $(ARGS)

lab: .venv/installed
	$(BIN)/jupyter lab notebooks/00_the_question.ipynb

clean:
	rm -rf .venv .colab data/runs data/locks build *.egg-info .pytest_cache .ruff_cache .hypothesis

# Made again only when the two files that name the versions change. Some installations
# list a Python that does not start, so each candidate is asked for its version.
.venv/installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in $(CANDIDATES); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	       2>/dev/null; then "$$python" -m venv --clear .venv && exit 0; fi; \
	  done; \
	  echo "No Python 3.11, 3.12 or 3.13 with venv and pip among: $(CANDIDATES)." \
	       "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[lab,test]"
	@touch $@
