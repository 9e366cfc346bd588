# Two commands matter: `make book` builds what readers read, `make test` proves it.
# Everything runs in .venv, which the first call makes. PYTHON= names another Python to make it with.

PYTHON ?= python3
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
NARROW := OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=$(NARROWER)
# Runs a part of the tests, unless it was proved here and nothing it looks at has changed since.
PROVED := $(TOOL).proved
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome chrome,$(shell command -v $(name))))

.DEFAULT_GOAL := help
.PHONY: help env book serve lab notebooks experiments prove live models bench test lint unit nbval portable page pdf zip audit lock clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env: ## Make .venv, or complete it (every target below does so first)
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "minattn: no $(PYTHON) found; install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@"$(PYTHON)" book/tools/environment.py

book: env ## Build the book into _build/html
	@$(TOOL).build_book

serve: book ## Show the book at a local address, until Ctrl-C
	@$(TOOL).serve $(PORT)

lab: env ## Open your own copies of the chapters in JupyterLab (ARGS=--no-browser)
	@$(TOOL).lab
	@.venv/bin/jupyter lab --log-level=WARN --FileContentsManager.preferred_dir=my \
		--LabApp.default_url=/lab/tree/my $(ARGS)

notebooks: env ## Execute the chapters that changed (ALL=1: all), then gather the claims
	@$(TOOL).notebooks $(if $(ALL),--all)
	@$(TOOL).claims_page
	@$(TOOL).models_page
	@$(TOOL).benchmarks_page

experiments: env ## Run the measurements that take longer (ONLY=name: one)
	@set -e; for script in $$(grep -l __main__ book/experiments/$(or $(ONLY),[a-z]*).py); do \
		echo "$$script"; $(RUN) -m book.experiments.$$(basename "$$script" .py); done

prove: env ## Train an experiment again, to its end, and compare (ONLY=name; ARM="an arm"; SEEDS=n)
	@$(RUN) -m book.tools.prove $(ONLY) $(if $(ARM),--arm "$(ARM)") $(if $(SEEDS),--seeds $(SEEDS))

live: env ## Train the models of the live pages and export them (ONLY=name: one)
	@$(if $(filter speech,$(ONLY)),,$(TOOL).live $(ONLY))
	@$(if $(filter-out speech,$(ONLY)),,$(TOOL).live_speech)

models: env ## Train the stored models (ONLY=name: one)
	@$(TOOL).models $(ONLY)

bench: env .venv-bench/done ## Measure against other libraries (ONLY=name: one part; QUICK=1: 2 minutes, writes nothing)
	@.venv-bench/bin/python -m benchmarks.run $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)
	@$(if $(QUICK),,$(TOOL).benchmarks_page)

# The libraries that are compared with, on top of .venv: they never get into it.
.venv-bench/done: benchmarks/requirements.txt $(wildcard .venv/minattn-stamp) | env
	@rm -rf .venv-bench
	@$(RUN) -m venv .venv-bench
	@$(RUN) -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" > \
		"$$(.venv-bench/bin/python -c 'import site; print(site.getsitepackages()[0])')/minattn.pth"
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

test: env ## Prove everything; what was proved here and has not changed is skipped, but not in CI
	@$(PROVED) lint minattn book benchmarks tests notebooks _toc.yml -- $(MAKE) --no-print-directory lint
	@$(PROVED) package minattn tests/conftest.py tests/package -minattn/exercises -- \
		$(UNIT) $(SHAPES) -m "not plain" minattn tests/package
	@$(PROVED) package-plain minattn tests/conftest.py tests/package -minattn/exercises -- \
		$(UNIT) -m plain tests/package
	@$(PROVED) exercises minattn tests/conftest.py tests/exercises book/chapters -- $(UNIT) tests/exercises
	@$(PROVED) experiments minattn book/experiments tests/conftest.py tests/book/test_experiments.py -minattn/exercises -- \
		$(UNIT) tests/book/test_experiments.py
	@$(PROVED) book minattn book benchmarks tests/conftest.py tests/book notebooks _toc.yml README.md CONTRIBUTING.md -- \
		$(UNIT) tests/book --ignore=tests/book/test_experiments.py
	@$(NARROW) $(PROVED) --each nbval $(wildcard notebooks/*.ipynb) -- $(NBVAL)
	@$(MAKE) --no-print-directory book
	@$(PROVED) page minattn tests/conftest.py tests/page book/tools book/_static _build/html -minattn/exercises \
		-_build/html/_sources -- $(MAKE) --no-print-directory page
	@echo "Proved: style, types and import order; unit tests; the beginning of every run of every experiment; every output of every notebook, on narrower arithmetic; the book without a warning$(if $(CHROMIUM),; its pages in a browser. Nothing was left out.,. Left out: the pages in a browser (apt-get install chromium).)"

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

unit: env ## Unit tests and docstring examples, most of them with shapes checked at run time
	@$(UNIT) $(SHAPES) -m "not plain" minattn tests/package
	@$(UNIT) -m plain --ignore=tests/page tests

nbval: env ## Execute every notebook on narrower arithmetic; its outputs must be the stored ones
	@$(NARROW) $(NBVAL) notebooks

portable: env ## The same with plain arithmetic (no AVX) and another number of threads
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE ATEN_CPU_CAPABILITY=default $(NBVAL) notebooks

page: book ## Open every page of the book in Chromium
ifneq ($(CHROMIUM),)
	@MINATTN_REQUIRE_CHROMIUM=1 $(PYTEST) -q -n 2 --dist loadfile tests/page
else ifeq ($(CI),true)
	@echo "minattn: no chromium, and CI leaves nothing out" >&2; exit 1
else
	@echo "The page tests were left out: no chromium here (apt-get install chromium)."
endif

pdf: book ## Print the whole book into _build/minattn.pdf (needs Chromium)
	@$(TOOL).pdf

zip: book ## Pack the book into _build/minattn-book.zip, to be read without a network
	@$(TOOL).zip_book

audit: book ## Weigh and examine every page against its bars (needs Chromium and node)
	@$(TOOL).audit

# Needs only uv of the old environment: where the first part has changed, `make env` may fail until this is done.
lock: $(if $(wildcard .venv/minattn-stamp),,env) ## Write the second part of requirements.txt anew
	@$(TOOL).lock

clean: ## Remove what was made, except .venv and your copies in my/
	rm -rf _build dist mutants .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
