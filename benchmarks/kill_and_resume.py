"""Whenever `make reproduce` is killed, running it again ends in the numbers of an uninterrupted run.

    python benchmarks/kill_and_resume.py [kills] [run] [seed]

By default three kills at random moments of the smoke profile, which takes it twice; `run` is one of its runs,
`seed` chooses other moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from checkout import copy_project, environment

KILLS, RUN, SEED = (*sys.argv[1:], *("3", "", "0")[len(sys.argv) - 1 :])
NUMBERS = ("status", "dataset", "protocol", "metrics", "other_metrics", "per_class", "confusion_matrix")


def reproduce(project: Path) -> subprocess.Popen:
    """Start `make reproduce` as the leader of a process group of its own."""
    # The environment is linked from elsewhere: taken as it is, never rebuilt by a test.
    command = ["make", "--assume-old=.venv/.installed", "reproduce", "PROFILE=smoke", f"RUN={RUN}"]
    return subprocess.Popen(command, cwd=project, env=environment(project), start_new_session=True)


def finish(project: Path) -> float:
    """Run to the end and return the seconds it took."""
    start = time.monotonic()
    assert reproduce(project).wait() == 0
    return time.monotonic() - start


def kill_after(project: Path, seconds: float, *, kernels_too: bool) -> bool:
    """Kill `make reproduce` and all in its process group; say whether it was still running.

    A kernel has a group of its own: spared, it has to notice by itself that nobody listens any more.
    """
    process = reproduce(project)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        children = psutil.Process(process.pid).children(recursive=True) if kernels_too else []
        os.killpg(process.pid, signal.SIGKILL)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()
        return True


def numbers(project: Path) -> dict[str, dict]:
    found = {}
    for path in sorted(project.glob("reports/smoke/*/results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        found[path.parent.name] = {name: results.get(name) for name in NUMBERS}
    return found


def assert_nothing_half_made(project: Path) -> None:
    """A run folder that is there is whole; what was under way lies in the staging folder."""
    for folder in project.glob("reports/smoke/[!.]*/"):
        if (folder / ".made").exists() or (folder / "results.json").exists():
            made = {path.name for path in folder.iterdir()}
            assert made >= {"results.json", "report.html", "notebook.ipynb", "params.yaml"}, folder


def main(folder: Path) -> None:
    """Kill at random moments, resume, and compare with an uninterrupted run."""
    uninterrupted = copy_project(folder / "uninterrupted")
    seconds = finish(uninterrupted)
    project, chance, kills = copy_project(folder / "killed"), random.Random(int(SEED)), 0
    while kills < int(KILLS):
        moment, kernels_too = chance.uniform(0.02, 0.6) * seconds, chance.random() < 0.5
        if kill_after(project, moment, kernels_too=kernels_too):
            kills += 1
            print(
                f"kill {kills} after {moment:.0f} s, {'with' if kernels_too else 'without'} kernels",
                flush=True,
            )
        else:  # all is made: the remaining kills begin with a fresh copy
            assert numbers(project) == numbers(uninterrupted)
            project = copy_project(folder / f"killed-{kills}-{moment:.3f}")
        assert_nothing_half_made(project)
    finish(project)
    assert numbers(uninterrupted)
    assert numbers(project) == numbers(uninterrupted)
    print("the numbers are those of the uninterrupted run")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
