# The project's commands; CI runs the same ones. `make help` lists them.
PYTHON  ?= python3
BIN     := .venv/bin
CONFIG  ?= configs/dropout.yaml
RUNS    ?=
JOBS    ?=
CLAIMS  := configs/does-dropout-help.yaml \
           configs/best.yaml \
           configs/exercises/drop-probs.yaml \
           configs/exercises/more-epochs.yaml \
           configs/exercises/activations.yaml \
           configs/exercises/with-weight-decay.yaml \
           configs/exercises/other-noise.yaml \
           configs/srivastava/figure-11-monte-carlo.yaml \
           configs/claims/overfitting.yaml \
           configs/claims/underfitting.yaml
FINDINGS := configs/findings/tuned-1000.yaml configs/findings/tuned-5000.yaml \
           configs/findings/tuned-20000.yaml configs/findings/images-and-updates.yaml \
           configs/findings/label-noise.yaml configs/findings/ensembles.yaml \
           configs/does-dropout-help.yaml configs/findings/recipes.yaml configs/best.yaml \
           $(filter-out %/l1.yaml %-sweep.yaml %-validation.yaml, $(wildcard configs/exercises/*.yaml)) \
           $(wildcard configs/srivastava/*.yaml)

# The data in a folder shared by several checkouts, unless this checkout has its own.
ifeq ($(wildcard data),)
ifneq ($(wildcard ../shared/data),)
export DROPEXP_DATA ?= ../shared/data
endif
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The scripts of an environment contain its full path, so it is reinstalled in a checkout that was moved or copied.
MOVED   := $(foreach venv,.venv .venv-peers,$(shell test ! -e $(venv)/bin/pip || \
             head -n 3 $(venv)/bin/pip | grep -qF '$(CURDIR)/$(venv)/' || echo $(venv)))

.DEFAULT_GOAL := help
.PHONY: help study install test test-browser test-latex test-fuzz torture soak lint audit check train compare report bench bench-peers publish-bench docs claims findings clean

help:     ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

study:    ## install, train the study (none, nn, scratch; 8 seeds; 5 epochs) and compare
study: .venv/installed
	$(BIN)/dropexp train --config configs/dropout.yaml
	@$(BIN)/dropexp compare --config configs/dropout.yaml

install:  ## create .venv with dropexp and its dependencies at pinned versions
install: .venv/installed

test:     ## run the whole test suite
test: .venv/installed-dev
# Three test files run at once, since many tests wait for processes; a waiting thread yields its core.
test: export OMP_WAIT_POLICY ?= passive
# Keep bytecode: otherwise every process compiles dropexp, and each of the three workers compiles all tests.
test: export PYTHONDONTWRITEBYTECODE :=
# The disabled plugins come with installed packages, are not needed here, and take seconds to import.
test:
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -p no:hypothesispytest -p no:anyio

test-browser: ## test the report in Chromium; as root on Debian and Ubuntu, install it first
test-browser: .venv/installed-dev
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	{ test "$$(id -u)" = 0 && command -v apt-get && apt-get update -q && apt-get install -q --yes chromium; } || \
	{ echo 'no browser found: put chromium, chromium-browser or google-chrome on the PATH' >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser

test-latex: ## compile the tables of a comparison with pdflatex; as root on Debian and Ubuntu, install it first
test-latex: .venv/installed-dev
	@command -v pdflatex || \
	{ test "$$(id -u)" = 0 && command -v apt-get && apt-get update -q && \
	apt-get install -q --yes --no-install-recommends texlive-latex-base texlive-latex-recommended; } || \
	{ echo 'put pdflatex on the PATH' >&2; exit 1; }
	$(BIN)/python -m pytest tests/latex

test-fuzz: ## test with a bounded number of generated inputs
test-fuzz: .venv/installed-dev
	$(BIN)/python -m pytest tests/fuzz

torture:  ## kill commands, corrupt files, fill disks, try many inputs (Linux); QUICK=1: a fixed part, without inputs
torture: .venv/installed-dev $(if $(QUICK),,.venv/installed-fuzz)
	$(BIN)/python -m pytest tests/torture $(if $(QUICK),--quick --seed 618875)
ifeq ($(QUICK),)
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=torture
	$(BIN)/python tests/fuzz/atheris_targets.py all 30
endif

soak:     ## watch memory, files and processes while one command trains 2,000 tiny runs (Linux)
soak: .venv/installed-dev
	$(BIN)/python benchmarks/soak.py

audit:    ## check the installed packages for known vulnerabilities
audit: .venv/installed-dev
	$(BIN)/python .ci/audit

lint:     ## check style, types and security
lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive dropexp --configfile .bandit.yaml

check: lint test  ## lint and test

train:    ## train CONFIG (one or more files; by default the study); JOBS=4 SEEDS=0..9
train: .venv/installed
	$(BIN)/dropexp train $(addprefix --config ,$(CONFIG)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SEEDS),--seeds $(SEEDS))

compare:  ## compare RUNS (names or folders; by default all)
compare: .venv/installed
	@$(BIN)/dropexp compare $(RUNS)

report:   ## train the study if needed, and write report.html about RUNS (by default the study)
report: .venv/installed
	$(BIN)/dropexp train --config configs/dropout.yaml
	$(BIN)/dropexp report $(or $(RUNS),dropout)

bench:    ## time an epoch on this machine, compared with the book's loop
bench: .venv/installed
	@$(BIN)/dropexp bench

bench-peers: ## time dropexp compared with its peers, into benchmarks/out/; PARTS=epochs,whole,many ROUNDS=5
bench-peers: .venv-peers/installed
	PYTHONPATH=benchmarks .venv-peers/bin/python -m peers $(if $(PARTS),--parts $(PARTS)) $(if $(ROUNDS),--rounds $(ROUNDS))

publish-bench: ## write benchmarks/results/ and docs/ from benchmarks/out/; BENCH="peers growth" only these
publish-bench: .venv/installed
	$(BIN)/python benchmarks/publish.py $(BENCH)

docs:     ## write the options in docs/commands.md and the keys in docs/config.md
docs: .venv/installed
	PYTHONPATH=benchmarks $(BIN)/python -m pages.reference

claims:   ## train the studies behind the claims of textbooks (three hours), and write docs/claims.md
claims: .venv/installed
	$(BIN)/dropexp train --config configs/dropout.yaml --seeds 0..39 || test $$? -eq 1
	$(BIN)/dropexp train $(addprefix --config ,$(CLAIMS)) || test $$? -eq 1
	$(BIN)/dropexp claims --format md > docs/claims.md.new
	mv docs/claims.md.new docs/claims.md

findings: ## train the studies behind docs/findings.md (nine hours), and write its tables and charts
findings: .venv/installed
	$(BIN)/dropexp train $(addprefix --config ,$(FINDINGS)) || test $$? -eq 1
	$(BIN)/dropexp train $(addprefix --config configs/book/, scratch.yaml concise.yaml blog-scratch.yaml) --seeds 0..39
	$(BIN)/python benchmarks/study_results.py
	PYTHONPATH=benchmarks $(BIN)/python -m pages.book
	PYTHONPATH=benchmarks $(BIN)/python -m pages.tuned
	PYTHONPATH=benchmarks $(BIN)/python -m pages.label_noise
	PYTHONPATH=benchmarks $(BIN)/python -m pages.images_and_updates
	$(BIN)/python benchmarks/ensembles.py
	PYTHONPATH=benchmarks $(BIN)/python -m pages.ensembles
	PYTHONPATH=benchmarks $(BIN)/python -m pages.findings

clean:    ## remove environments and caches; runs and data stay
	rm -rf .venv .venv-peers build *.egg-info .mypy_cache .ruff_cache .pytest_cache

.PHONY: moved
moved:
	@echo '$(MOVED) was installed for another folder: this checkout was moved or copied. It is installed again.' >&2

.venv/installed: pyproject.toml constraints.txt $(if $(filter .venv,$(MOVED)),moved)
	$(if $(filter .venv,$(MOVED)),rm -rf .venv)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv/installed-fuzz: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

.venv-peers/installed: pyproject.toml constraints.txt benchmarks/peers/requirements.txt \
                       $(if $(filter .venv-peers,$(MOVED)),moved)
	$(if $(filter .venv-peers,$(MOVED)),rm -rf .venv-peers)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt \
	--requirement benchmarks/peers/requirements.txt --editable .
	@touch $@
