"""`make reproduce` makes what is missing, again what failed, and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PYTHON = """\
#!/bin/sh
# Stands in for `python -m fer_utils.cli <command> ...`: notes what was asked for and does as it was told.
echo "$3 $(basename -- "$4" .yaml)" >> calls
mkdir -p reports/smoke
test "$3" = index && touch reports/smoke/index.html
echo "begin" >> course; test ! -e slow || sleep 0.5; echo "end" >> course
test ! -e broken
"""
EVERYTHING = ["index --profile", "run 10_a", "run 10_a--b", "run 10_a--c", "run 90_summary"]


@pytest.fixture
def reproduce(tmp_path):
    """Return a function that makes an imitated project: exit status, and the commands in order of name."""
    for run in ("10_a", "10_a--b", "10_a--c", "90_summary"):
        (tmp_path / "params" / "smoke").mkdir(parents=True, exist_ok=True)
        (tmp_path / "params" / "smoke" / f"{run}.yaml").touch()
    for file in (
        "notebooks/10_a.ipynb",
        "notebooks/90_summary.ipynb",
        "fer_utils/cli.py",
        ".venv/bin/python",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(PYTHON if file.endswith("python") else "")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    shutil.copy(PROJECT / "Snakefile", tmp_path)
    shutil.copytree(PROJECT / "profiles", tmp_path / "profiles")
    command = [Path(sys.executable).with_name("snakemake"), "--quiet", "all", "--nolock"]
    options = ["--rerun-incomplete", "--keep-going", "all", "--config", "profile=smoke"]

    def make(*more: str, cores: int = 2) -> tuple[int, list[str]]:
        calls = tmp_path / "calls"
        calls.write_text("")
        how = [*command, "--cores", str(cores), *options, *more]
        ended = subprocess.run(how, cwd=tmp_path, capture_output=True, check=False)
        return ended.returncode, sorted(calls.read_text().splitlines())

    return make


def test_what_failed_or_changed_is_made_again_and_nothing_else(reproduce, tmp_path):
    (tmp_path / "broken").touch()
    assert reproduce()[0] == 1
    assert (tmp_path / "reports" / "smoke" / "index.html").exists(), "a failure is shown on the page"
    assert reproduce()[0] == 1, "the page exists, the runs do not"
    (tmp_path / "broken").unlink()
    assert reproduce() == (0, EVERYTHING)

    (tmp_path / "params" / "smoke" / "10_a--b.yaml").write_text("seed: 1")
    for run, status in (("10_a", "not_run"), ("10_a--c", "done")):
        (tmp_path / "reports" / "smoke" / run / "results.json").write_text(f'{{"status": "{status}"}}')
    without_c = [command for command in EVERYTHING if not command.endswith("--c")]
    assert reproduce() == (0, without_c), "an edited file, and data that may be there by now"


def test_a_run_with_jobs_has_its_trainings_spread_over_them_first(reproduce, tmp_path):
    (tmp_path / "params" / "smoke" / "10_a--b.yaml").write_text("fold_jobs: 3")
    ended, calls = reproduce()
    assert ended == 0
    assert [call for call in calls if call.startswith("train")] == ["train 10_a--b"] * 3
    in_order = (tmp_path / "calls").read_text().splitlines()
    assert in_order.index("run 10_a--b") > max(i for i, call in enumerate(in_order) if "train" in call)
    assert sorted(path.name for path in (tmp_path / "checkpoints/.jobs/smoke/10_a--b").iterdir()) == list(
        "012"
    )
    assert reproduce() == (0, []), "what is trained and made stays so"


def test_trainings_do_not_share_a_gpu_though_there_are_cores_for_all(reproduce, tmp_path):
    (tmp_path / "slow").touch()
    assert reproduce("gpu=1", cores=16) == (0, EVERYTHING)
    assert (tmp_path / "course").read_text().split() == ["begin", "end"] * len(EVERYTHING)
