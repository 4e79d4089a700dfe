"""`make reproduce` makes what is missing or changed, repeats what failed, and nothing else."""

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
FILES = {"10_a": "", "10_a--b": "", "10_a--c": "grid: {seed: [0, 1]}", "90_summary": ""}
RUNS = ["10_a", "10_a--b", "10_a--c--seed0", "10_a--c--seed1", "90_summary"]
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
    shutil.copy(PROJECT / "Snakefile", tmp_path)
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
    for run, status in (("10_a", "not_run"), ("10_a--c--seed1", "done")):
        (tmp_path / "reports" / "smoke" / run / "results.json").write_text(f'{{"status": "{status}"}}')
    unchanged = ("run 10_a--c--seed0", "run 10_a--c--seed1")
    assert reproduce() == (0, [call for call in EVERYTHING if call not in unchanged])


def test_a_parameter_file_makes_the_runs_of_its_grid_one_after_the_other_on_a_gpu(reproduce, tmp_path):
    (tmp_path / "slow").touch()
    made = reproduce("run=10_a--c", "gpu=1", target="one_run", cores=16)
    assert made == (0, ["run 10_a--c--seed0", "run 10_a--c--seed1"])
    assert (tmp_path / "course").read_text().split() == ["begin", "end"] * 2
