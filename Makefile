# make run        the whole series: notebooks 00-09, the table, the figure and the report
# make lab        JupyterLab, opened on notebook 00
# make check      linter, types and the fast unit tests, in about a minute
# make test       linter, types, unit tests, every notebook at smoke scale; 03 as on Colab and in a browser
# make test-all   the same with the slow tests, and every notebook as on Colab and in a browser
# make test-browser   every notebook in JupyterLab and every page, in a real browser; fetches one if needed
# make mutants    plants errors in the masking code, one at a time: do its tests notice each of them?
# make bench      the speed of masking, beside other people's, on this machine
# make bench-training   the speed of training, beside the Trainer's, and what each lever brings
# make coursework   the students' notebooks, without solutions; ARGS="--students FILE.csv" for own seeds
# make book       the series as a web book, with slides, from the committed outputs: build/book/html/index.html
# make clean      removes .venv, .colab and everything that running the series made, but no seeds and no grades
#
# Options for `run`, `mutants`, `coursework` and the two `bench` go into ARGS:   make run ARGS="--minutes 30"
# Another scale:                       SCALE=smoke make run
# Another Python (3.11, 3.12, 3.13):   make run PYTHON=/path/to/python3.12

CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
BIN := .venv/bin
FOR_RUN := .venv/installed-run
FOR_COURSEWORK := .venv/installed-coursework
FOR_BOOK := .venv/installed-book
FOR_TEST := .venv/installed-test

# What `check` leaves to `test`: files that train, start other processes or count many random draws. It uses
# one thread, because a second one costs more than it brings where tensors are small and the machine is busy.
SLOWER := benchmark_training cli collator experiment experiment_reproduced finetuning masking_against_others \
          masking_distributions memory packaging real_input world
FAST = $(filter-out $(SLOWER:%=tests/test_%.py),$(wildcard tests/test_*.py))

.PHONY: run lab lint check test test-all test-browser mutants bench bench-training coursework book clean

run: $(FOR_RUN)
	@$(BIN)/python -m helpers run $(ARGS)

lab: $(FOR_RUN)
	$(BIN)/jupyter lab notebooks/00_the_question.ipynb

coursework: $(FOR_COURSEWORK)
	@$(BIN)/python -m helpers coursework release $(ARGS)

book: $(FOR_BOOK)
	@$(BIN)/python -m helpers book

lint: $(FOR_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -k "not every_process" $(FAST)

test: PYTEST_OPTIONS =
test-all: PYTEST_OPTIONS = -m "not real"
test test-all: lint
	SCALE=smoke OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --nbmake $(PYTEST_OPTIONS) tests notebooks

test-browser: $(FOR_TEST)
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest -m "not real" tests/browser

mutants: $(FOR_TEST)
	$(BIN)/python tests/mutants.py $(ARGS)

bench: $(FOR_TEST)
	$(BIN)/python -m tests.benchmarks.masking $(ARGS)

bench-training: $(FOR_TEST)
	$(BIN)/python -m tests.benchmarks.training $(ARGS)

clean:
	rm -rf .venv .colab data/locks build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@# Nobody can make the students' seeds and the points that somebody typed again.
	@for run in data/runs/* data/runs/.[!.]*; do \
	  if [ -n "$$(find "$$run" \( -name record.json -o -name written.csv \) -print -quit 2>/dev/null)" ]; \
	  then echo "Kept: $$run, with students' seeds or points"; else rm -rf "$$run"; fi; done
	@rmdir data/runs 2>/dev/null || true

# One environment. Each file stands for a set of extras that is installed, and is made again when one of the
# two files that name the versions changes. What `test` needs holds what the others need.
$(FOR_RUN): EXTRAS = lab
$(FOR_RUN): STAMPS = $(FOR_RUN)
$(FOR_COURSEWORK): EXTRAS = lab,coursework
$(FOR_COURSEWORK): STAMPS = $(FOR_RUN) $(FOR_COURSEWORK)
$(FOR_BOOK): EXTRAS = lab,book
$(FOR_BOOK): STAMPS = $(FOR_RUN) $(FOR_BOOK)
$(FOR_TEST): EXTRAS = lab,test,browser,coursework,cluster,book
$(FOR_TEST): STAMPS = $(FOR_RUN) $(FOR_COURSEWORK) $(FOR_BOOK) $(FOR_TEST)

# Some installations list a Python that does not start, so each candidate is asked for its version.
$(FOR_RUN) $(FOR_COURSEWORK) $(FOR_BOOK) $(FOR_TEST): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in $(CANDIDATES); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	       2>/dev/null; then "$$python" -m venv --clear .venv && exit 0; fi; \
	  done; \
	  echo "No Python 3.11, 3.12 or 3.13 with venv and pip among: $(CANDIDATES)." \
	       "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $(STAMPS)
