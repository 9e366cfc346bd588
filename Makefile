# Two commands matter: `make book` builds what readers read, `make test` proves it.
# Everything runs in .venv, which the first call makes. PYTHON= names another Python to make it with.

PYTHON ?= python3
RUN := .venv/bin/python
PYTEST := $(RUN) -m pytest
TOOL := $(RUN) book/tools
# A cell may take this long before nbval gives it up.
CELL_TIMEOUT := 300
NBVAL := $(PYTEST) --nbval --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) -p no:cacheprovider \
	-n 2 --dist loadfile -q notebooks
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome chrome,$(shell command -v $(name))))

.DEFAULT_GOAL := help
.PHONY: help env book serve lab notebooks experiments models bench test lint unit nbval portable page pdf zip audit lock clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env: ## Make .venv, or complete it (every target below does so first)
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "minattn: no $(PYTHON) found; install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@"$(PYTHON)" book/tools/environment.py

book: env ## Build the book into _build/html
	@$(TOOL)/build_book.py

serve: book ## Show the book at a local address, until Ctrl-C
	@$(TOOL)/serve.py $(PORT)

lab: env ## Open your own copies of the chapters in JupyterLab (ARGS=--no-browser)
	@$(TOOL)/lab.py
	@.venv/bin/jupyter lab --log-level=WARN --FileContentsManager.preferred_dir=my \
		--LabApp.default_url=/lab/tree/my $(ARGS)

notebooks: env ## Execute the chapters that changed (ALL=1: all), then gather the claims
	@$(TOOL)/notebooks.py $(if $(ALL),--all)
	@$(TOOL)/claims_page.py
	@$(TOOL)/models_page.py
	@$(TOOL)/benchmarks_page.py

experiments: env ## Run the measurements that take longer (ONLY=name: one)
	@set -e; for script in $$(grep -l __main__ book/experiments/$(or $(ONLY),[a-z]*).py); do \
		echo "$$script"; $(RUN) "$$script"; done

models: env ## Train the models of the live pages and export them (ONLY=name: one)
	@$(TOOL)/models.py $(ONLY)

bench: env .venv-bench/done ## Measure against other libraries (ONLY=name: one part; QUICK=1: 2 minutes, writes nothing)
	@.venv-bench/bin/python benchmarks/run.py $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)
	@$(if $(QUICK),,$(TOOL)/benchmarks_page.py)

# The libraries that are compared with, on top of .venv: they never get into it.
.venv-bench/done: benchmarks/requirements.txt $(wildcard .venv/minattn-stamp) | env
	@rm -rf .venv-bench
	@$(RUN) -m venv .venv-bench
	@$(RUN) -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" > \
		"$$(.venv-bench/bin/python -c 'import site; print(site.getsitepackages()[0])')/minattn.pth"
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

test: ## Prove everything: lint, unit, nbval, portable, page
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory nbval
	@$(MAKE) --no-print-directory portable
	@$(MAKE) --no-print-directory page
	@echo "Proved: style, types and import order; unit tests, with and without shape checks; every output of every notebook, on two kinds of arithmetic; the book without a warning$(if $(CHROMIUM),; its pages in a browser. Nothing was left out.,. Left out: the pages in a browser (apt-get install chromium).)"

lint: env ## Style, types, import order, sources in step with what is made from them
	@.venv/bin/ruff check -q .
	@.venv/bin/ruff format -q --check . || { echo "minattn: not formatted; run .venv/bin/ruff format ." >&2; exit 1; }
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo
	@$(TOOL)/notebooks.py --check
	@$(TOOL)/claims_page.py --check
	@$(TOOL)/models_page.py --check
	@$(TOOL)/benchmarks_page.py --check

unit: env ## Unit tests and docstring examples; then again with shapes checked at run time
	@$(PYTEST) -q -n 2 --dist worksteal --ignore=tests/page
	@$(PYTEST) -q -n 2 --dist worksteal --ignore=tests/page -m "not slow" --jaxtyping-packages=minattn,beartype.beartype

nbval: env ## Execute every notebook; its outputs must be the stored ones
	@OMP_NUM_THREADS=1 $(NBVAL)

portable: env ## The same with plain arithmetic (no AVX) and another number of threads
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE ATEN_CPU_CAPABILITY=default $(NBVAL)

page: book ## Open every page of the book in Chromium
ifneq ($(CHROMIUM),)
	@MINATTN_REQUIRE_CHROMIUM=1 $(PYTEST) -q -n 2 --dist loadfile tests/page
else ifeq ($(CI),true)
	@echo "minattn: no chromium, and CI leaves nothing out" >&2; exit 1
else
	@echo "The page tests were left out: no chromium here (apt-get install chromium)."
endif

pdf: book ## Print the whole book into _build/minattn.pdf (needs Chromium)
	@$(TOOL)/pdf.py

zip: book ## Pack the book into _build/minattn-book.zip, to be read without a network
	@$(TOOL)/zip_book.py

audit: book ## Weigh and examine every page against its bars (needs Chromium and node)
	@$(TOOL)/audit.py

# Needs only uv of the old environment: where the first part has changed, `make env` may fail until this is done.
lock: $(if $(wildcard .venv/minattn-stamp),,env) ## Write the second part of requirements.txt anew
	@$(TOOL)/lock.py

clean: ## Remove what was made, except .venv and your copies in my/
	rm -rf _build dist mutants .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
