"""`make reproduce` makes what is missing or changed, repeats what failed, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PYTHON = """\
#!/bin/sh
# Stands in for `python -m fer_utils.cli <command> ...`: records the command and the run.
echo "$3 ${6:-$4}" >> calls
mkdir -p reports/smoke
test "$3" = index && touch reports/smoke/index.html
echo "begin" >> course; test ! -e slow || sleep 0.5; echo "end" >> course
test ! -e broken
"""
FILES = {
    "10_a": "",
    "10_a--b": "",
    "10_a--c": "grid: {seed: [0, 1]}",
    "10_a--it's (a copy)": "",
    "90_summary": "",
}
FILES |= {".#10_a": "an editor's lock: ["}
RUNS = ["10_a", "10_a--b", "10_a--c--seed0", "10_a--c--seed1", "10_a--it's (a copy)", "90_summary"]
HEADING = {"kind": "summary", "variant": None, "notebook": "90_summary", "profile": "smoke", "paper": None}
EVERYTHING = ["index --profile", *(f"run {run}" for run in RUNS)]


@pytest.fixture
def reproduce(tmp_path):
    """Return a function that runs Snakemake on a small project: exit status, and the sorted commands."""
    files = {f"params/smoke/{run}.yaml": text for run, text in FILES.items()}
    files |= {"notebooks/10_a.ipynb": "", "notebooks/90_summary.ipynb": "", ".venv/bin/python": PYTHON}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    for name in ("Snakefile", "Makefile"):
        shutil.copy(PROJECT / name, tmp_path)
    command = [Path(sys.executable).with_name("snakemake"), "--quiet", "all", "--nolock"]
    options = ["--resources", "gpu=1", "--rerun-incomplete", "--keep-going"]

    def make(*more: str, target: str = "all", cores: int = 2) -> tuple[int, list[str]]:
        calls = tmp_path / "calls"
        calls.write_text("")
        how = [*command, "--cores", str(cores), *options, target, "--config", "profile=smoke", *more]
        ended = subprocess.run(how, cwd=tmp_path, capture_output=True, check=False)
        return ended.returncode, sorted(calls.read_text().splitlines())

    return make


def test_what_failed_or_changed_is_made_again_and_nothing_else(reproduce, tmp_path):
    (tmp_path / "broken").touch()
    assert reproduce()[0] == 1
    assert (tmp_path / "reports" / "smoke" / "index.html").exists(), "a failure is shown on the page"
    (tmp_path / "broken").unlink()
    (tmp_path / "params" / "smoke" / "10_a--b.yaml").write_text("fold_jobs: 3")
    assert reproduce() == (0, sorted([*EVERYTHING, *["train 10_a--b"] * 3]))
    in_order = (tmp_path / "calls").read_text().splitlines()
    assert in_order.index("run 10_a--b") > max(i for i, call in enumerate(in_order) if "train" in call)

    (tmp_path / "params" / "smoke" / "10_a--b.yaml").write_text("seed: 1")
    for run, status in (("10_a", "not_run"), ("10_a--c--seed0", "<<<<<<< HEAD"), ("10_a--c--seed1", "done")):
        content = json.dumps(HEADING | {"run": run, "status": status, "reason": "none"})
        (tmp_path / "reports" / "smoke" / run / "results.json").write_text(content)
    unchanged = ("run 10_a--c--seed1", "run 10_a--it's (a copy)")
    assert reproduce() == (0, [call for call in EVERYTHING if call not in unchanged])


def test_a_parameter_file_makes_the_runs_of_its_grid_one_after_the_other_on_a_gpu(reproduce, tmp_path):
    (tmp_path / "slow").touch()
    made = reproduce("run=10_a--c", "gpu=1", target="one_run", cores=16)
    assert made == (0, ["run 10_a--c--seed0", "run 10_a--c--seed1"])
    assert (tmp_path / "course").read_text().split() == ["begin", "end"] * 2


def test_make_needs_no_home_folder_and_never_ends_without_a_reason(reproduce, tmp_path):
    (tmp_path / ".venv" / "bin" / "snakemake").symlink_to(Path(sys.executable).with_name("snakemake"))
    command = ["make", "--assume-old=.venv/.installed", "reproduce", "RUN=10_a--it's (a copy)"]
    for name in (".venv/.installed", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()

    def make() -> subprocess.CompletedProcess:
        how = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False}
        return subprocess.run(command, env={**os.environ, "HOME": "/proc/none"}, **how)

    assert make().returncode == 0
    assert "run 10_a--it's (a copy)" in (tmp_path / "calls").read_text()
    with open(tmp_path / "Snakefile", "a") as file:
        file.write("\n1 / 0\n")
    assert "ZeroDivisionError" in make().stdout
