"""Bad input ends in one clear message and a non-zero exit, and leaves what was made earlier as it was."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import copy_project, environment

from fer_utils.files import read_json, write_json

PIXELS = " ".join(["7"] * 2304)
RUN = "00_data_prep--copy"
SECONDS = 300


def table(path: Path, *bad: str) -> Path:
    """Write a small fer2013.csv: every class in every part, and the bad rows at its end."""
    rng = np.random.default_rng(0)
    rows = [
        f"{label},{' '.join(map(str, rng.integers(256, size=2304)))},{part}"
        for part in ("Training", "PublicTest", "PrivateTest")
        for label in range(7)
    ]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows, *bad, ""]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project") / "fer", without=("params/", "reports/"))


def run(project: Path, parameters: str) -> subprocess.CompletedProcess:
    given = project / "params" / "mine" / f"{RUN}.yaml"
    given.parent.mkdir(parents=True, exist_ok=True)
    given.write_text(parameters, encoding="utf-8")
    command = [sys.executable, "-m", "fer_utils.cli", "run", str(given)]
    kept = environment(project)
    return subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True, timeout=SECONDS)


def test_a_bad_row_fails_the_run_and_keeps_the_earlier_result_and_drop_lists_it(project):
    data = table(project / "fer2013.csv", f"3,{PIXELS} 9,Training", f"7,{PIXELS},Training")
    parameters = f"dataset: fer2013\ndata_path: {data}\n"
    folder = project / "reports" / "mine" / RUN
    earlier = write_json(folder / "results.json", {"status": "done"}).read_text()
    failed = run(project, parameters)
    assert failed.returncode == 1
    assert "fer2013.csv, line 23: 2305 pixel values instead of 2304" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (folder / "results.json").read_text() == earlier
    assert "line 23" in read_json(folder.parent / ".failed" / RUN / "results.json")["reason"]

    dropped = run(project, parameters + "on_bad_rows: drop\n")
    assert dropped.returncode == 0, dropped.stderr
    assert read_json(folder / "results.json")["dataset"]["samples"] == 21
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "line 23: 2305 pixel values instead of 2304" in page
    assert "line 24: emotion is" in page
