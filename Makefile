# Two commands matter: `make book` builds what readers read, `make test` proves it.
# Everything runs in .venv, which the first call makes. PYTHON= names another Python to make it with, which is kept.

# The Python that made .venv, if it is still there; python3 else.
ifeq ($(PYTHON),)
override PYTHON := $(or $(shell made=$$(sed -n 's/^executable *= *//p' .venv/pyvenv.cfg 2>/dev/null); \
	[ -x "$$made" ] && echo "$$made"),python3)
endif
# What a person has set for other Pythons must not get into this one.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONSTARTUP PYTHONOPTIMIZE \
	PYTHONWARNINGS PYTHONINSPECT PYTHONDEBUG PYTHONVERBOSE PYTHONCASEOK PYTHONEXECUTABLE __PYVENV_LAUNCHER__
# Nor what is set for other tests and other notebooks: a proof is of all tests, and a figure is shown by its notebook.
unexport PYTEST_ADDOPTS PYTEST_PLUGINS PYTEST_DISABLE_PLUGIN_AUTOLOAD JAXTYPING_DISABLE MYPYPATH MPLBACKEND JUPYTER_PATH
export JUPYTER_PREFER_ENV_PATH := 1
# Their own IPython and their own style of figures are theirs in Lab; elsewhere everybody has the same.
ifneq ($(MAKECMDGOALS),lab)
export MATPLOTLIBRC := /dev/null
export IPYTHONDIR := $(CURDIR)/.venv/ipython
endif
# Without a home, as in some containers, matplotlib would say in a notebook where it keeps its list of fonts.
ifeq ($(MPLCONFIGDIR)$(shell [ -w "$$HOME" ] && echo home),)
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
endif
RUN := .venv/bin/python
PYTEST := $(RUN) -m pytest
TOOL := $(RUN) -m book.tools
UNIT := $(PYTEST) -q -n 2 --dist worksteal
SHAPES := --jaxtyping-packages=minattn,beartype.beartype
# A cell may take this long before nbval gives it up.
CELL_TIMEOUT := 300
NBVAL := $(PYTEST) --nbval --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) -p no:cacheprovider \
	-n 2 --dist loadfile -q
# Notebooks are made with the widest arithmetic there is, and compared with the next narrower.
NARROWER := $(shell grep -qw avx512vl /proc/cpuinfo 2>/dev/null && echo avx2 || echo default)
PLAIN := OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE ATEN_CPU_CAPABILITY=default
# In CI at once the narrowest, with other threads: that is what `make portable` does elsewhere.
NARROW := $(if $(filter true,$(CI)),$(PLAIN),OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=$(NARROWER))
# Runs a part of the tests, unless it was proved here and nothing it looks at has changed since.
PROVED := $(TOOL).proved
# Make runs a line that names it even under -n, -t and -q; by this name, it does not. What was not run is not proved.
SUBMAKE := $(MAKE) --no-print-directory
# A setting that is 1 or left out.
flag = $(if $(filter-out 1,$($1)),$(error minattn: $1 must be 1 or left out, got $1=$($1)),$($1))
CHROMIUM := $(firstword $(foreach name,chromium-headless-shell chromium chromium-browser google-chrome chrome,$(shell command -v $(name))))

.DEFAULT_GOAL := help
.PHONY: help env book serve lab notebooks experiments prove live models bench test lint unit nbval portable page pdf zip audit lock clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env: ## Make .venv, or complete it (every target below does so first)
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "minattn: no $(PYTHON) found; install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@"$(PYTHON)" -c "" 2>/dev/null || { echo "minattn: $(PYTHON) does not run as Python 3.11 or newer does" >&2; exit 1; }
	@"$(PYTHON)" book/tools/environment.py

book: env ## Build the book into _build/html
	@$(TOOL).build_book

serve: book ## Show the book at a local address, until Ctrl-C
	@$(TOOL).serve $(if $(PORT),"$$PORT")

lab: env ## Open your own copies of the chapters in JupyterLab (ARGS=--no-browser)
	@$(TOOL).open_lab $(ARGS)

notebooks: env ## Execute the chapters that changed (ALL=1: all), then gather claims, defaults and open questions
	@$(TOOL).notebooks $(if $(call flag,ALL),--all)
	@$(TOOL).claims_page
	@$(TOOL).models_page
	@$(TOOL).benchmarks_page
	@$(TOOL).gathered_pages

experiments: env ## Run the measurements that take longer (ONLY=name: one)
	@$(TOOL).experiments $(if $(ONLY),"$$ONLY")

prove: env ## Train an experiment again, to its end, and compare (ONLY=name; ARM="an arm"; SEEDS=n)
	@$(TOOL).prove "$$ONLY" $(if $(ARM),--arm "$$ARM") $(if $(SEEDS),--seeds "$$SEEDS")

live: env ## Train the models of the live pages and export them (ONLY=name: one)
	@$(TOOL).live_places $(if $(ONLY),"$$ONLY")

models: env ## Train the stored models (ONLY=name: one)
	@$(TOOL).models $(if $(ONLY),"$$ONLY")

bench: env ## Measure against other libraries (ONLY=name: one part; QUICK=1: 2 minutes, writes nothing)
	@$(TOOL).bench_environment
	@.venv-bench/bin/python -m benchmarks.run $(if $(ONLY),--only "$$ONLY") $(if $(call flag,QUICK),--quick)
	@$(if $(QUICK),,$(TOOL).benchmarks_page)

test: env ## Prove everything; what was proved here and has not changed is skipped, but not in CI
	@$(PROVED) lint minattn book benchmarks tests notebooks _toc.yml -- $(SUBMAKE) lint
	@$(PROVED) package minattn tests/conftest.py tests/package -minattn/exercises -- \
		$(UNIT) $(SHAPES) -m "not plain" minattn tests/package
	@$(PROVED) package-plain minattn tests/conftest.py tests/package -minattn/exercises -- \
		$(UNIT) -m plain tests/package
	@$(PROVED) exercises minattn tests/conftest.py tests/exercises book/chapters -- $(UNIT) tests/exercises
	@$(PROVED) experiments minattn book/experiments tests/conftest.py tests/book/test_experiments.py -minattn/exercises -- \
		$(UNIT) tests/book/test_experiments.py
	@$(PROVED) book minattn book benchmarks tests/conftest.py tests/book notebooks _toc.yml _config.yml README.md \
		CONTRIBUTING.md CHANGELOG.md CITATION.cff LICENSE -- \
		$(UNIT) tests/book --ignore=tests/book/test_experiments.py
	@$(NARROW) $(PROVED) --each nbval $(wildcard notebooks/*.ipynb) -- $(NBVAL)
	@$(SUBMAKE) book
	@$(PROVED) page minattn tests/conftest.py tests/page book/tools book/_static _build/html -minattn/exercises \
		-_build/html/_sources -- $(SUBMAKE) page
	@echo "Proved: style, types and import order; unit tests; the beginning of every run of every experiment; every output of every notebook, on narrower arithmetic; the book without a warning$(if $(CHROMIUM),; its pages in a browser. Nothing was left out.,. Left out: the pages in a browser (apt-get install chromium-headless-shell).)"

lint: env ## Style, types, import order; nothing stale of what is made by running
	@.venv/bin/ruff check -q .
	@.venv/bin/ruff format -q --check . || { echo "minattn: not formatted; run .venv/bin/ruff format ." >&2; exit 1; }
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo
	@$(TOOL).freshness
	@$(TOOL).notebooks --check
	@$(TOOL).claims_page --check
	@$(TOOL).models_page --check
	@$(TOOL).benchmarks_page --check
	@$(TOOL).gathered_pages --check

unit: env ## Unit tests and docstring examples, most of them with shapes checked at run time
	@$(UNIT) $(SHAPES) -m "not plain" minattn tests/package
	@$(UNIT) -m plain --ignore=tests/page tests

nbval: env ## Execute every notebook on narrower arithmetic; its outputs must be the stored ones
	@$(NARROW) $(NBVAL) notebooks

portable: env ## The same with plain arithmetic (no AVX) and another number of threads
	@$(PLAIN) $(NBVAL) notebooks

page: book ## Open every page of the book in Chromium
ifneq ($(CHROMIUM),)
	@MINATTN_REQUIRE_CHROMIUM=1 $(TOOL).alone book -- $(PYTEST) -q -n 2 --dist loadfile tests/page
else ifeq ($(CI),true)
	@echo "minattn: no chromium, and CI leaves nothing out" >&2; exit 1
else
	@echo "The page tests were left out: no chromium here (apt-get install chromium-headless-shell)."
endif

pdf: book ## Print the whole book into _build/minattn.pdf (SOLUTIONS=0: without solutions; needs Chromium)
	@$(TOOL).pdf $(SOLUTIONS)

zip: book ## Pack the book into _build/minattn-book.zip, to be read without a network
	@$(TOOL).zip_book

audit: book ## Weigh and examine every page against its bars (needs Chromium and node)
	@$(TOOL).audit

# Needs only uv of the old environment: where the first part has changed, `make env` may fail until this is done.
lock: $(if $(wildcard .venv/minattn-stamp),,env) ## Write the second part of requirements.txt anew
	@$(TOOL).lock

clean: ## Remove what was made, except .venv and your copies in my/
	@"$(PYTHON)" -m book.tools.clean
