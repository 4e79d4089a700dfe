# Two commands do everything: `make reproduce` and `make test`. `make help` lists the others.
PYTHON  ?= python3
PROFILE ?= smoke
RUN     ?=
EXECUTOR ?=
GPU     ?= 1
CORES   ?= $(shell nproc 2>/dev/null || echo 2)

BIN  := .venv/bin
INSTALLED := .venv/.installed
# Frameworks greet on stderr; what matters is in the reports.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# Of the user's surroundings: no other folder for packages, and no other kernel of the name python3.
export PIP_USER := 0
export JUPYTER_PREFER_ENV_PATH := 1
unexport PIP_TARGET PIP_PREFIX JUPYTER_PATH
# Without stored bytecode the imports of a notebook take 23 s instead of 9.
unexport PYTHONDONTWRITEBYTECODE

quote = '$(subst ','\'',$1)'
# Its cache is in the project: a home folder may be missing or read-only. Weights stay where torch looks for them.
SNAKEMAKE = TORCH_HOME="$${TORCH_HOME:-$${XDG_CACHE_HOME:-$$HOME/.cache}/torch}" XDG_CACHE_HOME="$$PWD/.snakemake/cache" \
	$(BIN)/snakemake $(WHERE) --nolock --rerun-incomplete --keep-going \
	$(if $(RUN),one_run,all) --config profile=$(call quote,$(PROFILE)) $(if $(RUN),run=$(call quote,$(RUN))) $(if $(EXECUTOR),gpu=$(GPU))
# Here one training at a time takes the GPU; a cluster gives each job its own (docs/cluster.md).
WHERE = $(if $(EXECUTOR),--workflow-profile profiles/$(EXECUTOR),--cores $(CORES) --resources gpu=1)

.DEFAULT_GOAL := help
.PHONY: help env reproduce test lab live page data check-params check-gpu refresh-outputs readme bench lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

env: $(INSTALLED) ## build the environment in .venv from requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else f"Python {sys.version.split()[0]} found; 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...")'
	@echo "building the environment in .venv (about 8 GB, a minute or more)"
	@$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

reproduce: env check-params ## make the runs of a profile and their index page (PROFILE=smoke|reference|paper, RUN=one run, EXECUTOR=slurm)
	@$(SNAKEMAKE) --quiet all || { why=$$($(SNAKEMAKE) --dry-run 2>&1) || echo "$$why"; exit 1; }
	@$(if $(RUN),$(BIN)/python -m fer_utils.cli index --profile $(call quote,$(PROFILE)),echo "report: reports/"$(call quote,$(PROFILE))"/index.html")

# One queue, the long notebooks first, so that no core is idle; more threads would only wait for each other.
test: export OMP_NUM_THREADS ?= 1
test: env check-params ## lint, unit, property, papermill and notebook checks
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pytest --quiet -n $(CORES) --dist loadfile --no-loadscope-reorder \
		--nbval-lax --nbval-cell-timeout 600 --nbval-sanitize-with tests/nbval.cfg notebooks tests
	@$(BIN)/pytest --quiet tests/after_notebooks.py

lab: env ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=$(call quote,$(CURDIR)) --LabApp.default_url=/lab/tree/notebooks

live: env ## open the live demo in JupyterLab
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=$(call quote,$(CURDIR)) --LabApp.default_url=/lab/tree/notebooks/50_live_demo.ipynb

page: env ## show the live demo as a web page on localhost
	@$(BIN)/python -m fer_utils.cli page

data: env ## list which data sets are found, complete or missing
	@$(BIN)/python -m fer_utils.cli data

check-params: env ## validate the parameter files (all, or PROFILE's)
	@$(BIN)/python -m fer_utils.cli check-params \
		$(if $(RUN)$(filter-out file,$(origin PROFILE)),--profile $(call quote,$(PROFILE))) \
		$(if $(RUN),--run $(call quote,$(RUN)))

refresh-outputs: env ## execute the notebooks and store their outputs
	@$(BIN)/python -m fer_utils.cli refresh-outputs

readme: env ## regenerate the tables in README and docs/ from reports/reference
	@$(BIN)/python -m fer_utils.cli readme

check-gpu: env ## try what a training on a GPU needs; without a GPU it says so
	@$(BIN)/python benchmarks/check_gpu.py

bench: env ## benchmark training, readers and the live demo
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

lock: env ## resolve the dependencies again into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --quiet --output-file requirements.lock

clean: ## delete checkpoints, prepared data, and the reports of smoke runs and runs by hand
	@rm -rf checkpoints data/prepared .snakemake reports/smoke reports/by_hand reports/.staging reports/.locks
