# One job per run of a profile, then the profile's index page. A parameter file with a `grid:` makes several runs.
#
#     make reproduce [PROFILE=smoke|reference|paper] [RUN=<run or parameter file>]
#
# Where there is a GPU, a training takes it for itself (`--resources gpu=1`); `--config gpu=0` or `gpu=1` says
# whether there is one, for a machine that Snakemake sends its jobs to.
#
# Snakemake deletes what a rule declares as output before the job and after a failure. So a run declares only the
# marker `.made` inside its folder: the folder itself is replaced by the runner, as a whole, when it is finished.
import shutil
from pathlib import Path

import yaml

from fer_utils.run import find_runs, profile_runs
from fer_utils.tables import load_result

PROFILE = str(config.get("profile", "smoke"))
FILES = profile_runs(Path("params", PROFILE))  # run -> parameter file
RUNS = list(FILES)
STUDIES = [run for run in RUNS if not run.startswith(("61_", "62_", "63_", "90_"))]
CODE = {".py", ".json", ".j2", ".yaml", ".css", ".js", ".mplstyle"}
PACKAGE = sorted(str(path) for path in Path("fer_utils").rglob("*") if path.suffix in CODE)
PACKAGE += sorted(map(str, [*Path("data").glob("*.yaml"), *Path("data/published").glob("*.yaml")]))
TRAININGS = ("10_", "20_", "30_", "31_", "40_", "41_")
GPU = int(config.get("gpu", shutil.which("nvidia-smi") is not None))
PYTHON = ".venv/bin/python"


def made(runs):
    return expand("reports/{profile}/{run}/.made", profile=PROFILE, run=runs)


def read_by(run):
    # 61 and 62 read the reference runs: asked for by themselves, in whatever profile, they take those that are there.
    reads = run.startswith(("61_", "62_"))
    everything = run.startswith("90_") or (reads and PROFILE == "reference" and "run" not in config)
    return made(STUDIES) if everything else []


def fold_jobs(run):
    stated = yaml.safe_load(FILES[run].read_text(encoding="utf-8")) or {}
    return stated.get("fold_jobs", 1)


def fold_job_markers(wildcards):
    # The folds and seeds of a large run spread over cores and machines; the run finds them in `checkpoints/`.
    jobs = fold_jobs(wildcards.run)
    return expand("checkpoints/.jobs/{profile}/{run}/{job}", profile=PROFILE, run=wildcards.run,
        job=range(jobs)) if jobs > 1 else []


# A damaged result is made again, and what was missing for a run may have been put in place since.
for marker in Path("reports", PROFILE).glob("*/.made"):
    results = marker.with_name("results.json")
    if results.exists() and load_result(results)["status"] != "done":
        marker.unlink()


rule all:
    input:
        # Each run by itself, too: Snakemake does not miss what only an existing file was made from, and the index
        # exists after a failure as well.
        made(RUNS),
        f"reports/{PROFILE}/index.html",


rule one_run:
    input:
        made(find_runs(Path("params", PROFILE), str(config["run"])) if "run" in config else []),


rule run:
    input:
        yaml=lambda wildcards: FILES[wildcards.run],
        notebook=lambda wildcards: f"notebooks/{wildcards.run.split('--')[0]}.ipynb",
        package=PACKAGE,
        studies=lambda wildcards: read_by(wildcards.run),
        fold_jobs=fold_job_markers,
    output:
        touch(f"reports/{PROFILE}/{{run}}/.made"),
    # Smoke runs use one thread each and run side by side.
    threads: 1 if PROFILE == "smoke" else 2
    resources:
        gpu=lambda wildcards: GPU if wildcards.run.startswith(TRAININGS) else 0,
    shell:
        "{PYTHON} -m fer_utils.cli run {input.yaml:q} --run {wildcards.run:q}"


# The longest smoke runs start first, so that none runs alone at the end.
use rule run as first_run with:
    output:
        touch(f"reports/{PROFILE}/{{run,(10|30|40|41)_.*}}/.made"),
    priority: 1


ruleorder: first_run > run


rule fold_job:
    input:
        yaml=lambda wildcards: FILES[wildcards.run],
        package=PACKAGE,
    output:
        touch(f"checkpoints/.jobs/{PROFILE}/{{run}}/{{job}}"),
    threads: 1
    resources:
        gpu=GPU,
    shell:
        "{PYTHON} -m fer_utils.cli train {input.yaml:q} --run {wildcards.run:q} --job {wildcards.job}"


rule index:
    input:
        made(RUNS),
    output:
        f"reports/{PROFILE}/index.html",
    shell:
        "{PYTHON} -m fer_utils.cli index --profile {PROFILE:q} > /dev/null"


onerror:
    # A failure is shown on the page too; the earlier result of that run, if any, stays beside it.
    shell("{PYTHON} -m fer_utils.cli index --profile {PROFILE:q}")
