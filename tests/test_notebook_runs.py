"""papermill, Snakemake and JupyterLab's "run all" give the same numbers and refuse the same mistakes.

Everything happens in a copy of the project. Each way has a checkpoint folder of its own, so that a training
found again cannot pass for one that was repeated.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from checkout import copy_project, environment
from lab_server import SECONDS, chromium, jupyterlab, open_notebook, run_all_cells

NOTEBOOK = "10_baseline_cnn"
RUN = f"{NOTEBOOK}--small"
SMALL = {
    "synthetic_subjects": 5,
    "synthetic_per_subject": 14,
    "image_size": 32,
    "batch_size": 16,
    "epochs": 2,
    "threads": 2,
}
MISSPELT = {"epoch": 2}
HINT = "'epoch'.*'epochs'"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a copy in which the notebook draws no figures: `make test` draws them with nbval."""
    copy = copy_project(tmp_path_factory.mktemp("project") / "fer", without=("params/", "reports/"))
    path = copy / "notebooks" / f"{NOTEBOOK}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "run.show(" not in cell.source]
    nbformat.write(notebook, path)
    return copy


def call(project: Path, *command: str) -> subprocess.CompletedProcess:
    captured = {"capture_output": True, "text": True, "timeout": SECONDS}
    return subprocess.run(command, cwd=project, env=environment(project), **captured)


def papermill(project: Path, folder: Path, parameters: dict) -> subprocess.CompletedProcess:
    folder.mkdir(parents=True)
    given = folder / "given.yaml"
    own = {"output_dir": str(folder), "checkpoint_dir": str(folder / "checkpoints")}
    given.write_text(yaml.safe_dump(parameters | own))
    notebook, executed = f"notebooks/{NOTEBOOK}.ipynb", str(folder / "notebook.ipynb")
    options = ["--no-progress-bar", "-k", "python3", "-f", str(given)]
    return call(project, sys.executable, "-m", "papermill", notebook, executed, *options)


def snakemake(project: Path, profile: str, parameters: dict) -> subprocess.CompletedProcess:
    given = project / "params" / profile / f"{RUN}.yaml"
    given.parent.mkdir(parents=True)
    given.write_text(yaml.safe_dump(parameters))
    options = ["--quiet", "all", "--cores", "2", "--nolock", "--config", f"profile={profile}", f"run={RUN}"]
    return call(project, ".venv/bin/snakemake", "one_run", *options)


@pytest.fixture(scope="module")
def by_papermill(project) -> Path:
    folder = project / "reports" / "papermill" / RUN
    ran = papermill(project, folder, SMALL)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def by_snakemake(project) -> Path:
    ran = snakemake(project, "snakemake", SMALL)
    assert ran.returncode == 0, ran.stderr
    return project / "reports" / "snakemake" / RUN


def assert_same_numbers(one: Path, other: Path) -> None:
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (one, other))
    assert first["status"] == second["status"] == "done"
    for block in ("dataset", "confusion_matrix", "params"):
        assert first[block] == second[block], block
    for name, record in first["metrics"].items():
        assert record["value"] == pytest.approx(second["metrics"][name]["value"], abs=1e-6), name
    assert first["protocol"] == second["protocol"]
    measured = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    curves = [pd.read_csv(folder / "history.csv")[measured] for folder in (one, other)]
    pd.testing.assert_frame_equal(*curves, rtol=1e-5)
    with np.load(one / "predictions.npz") as here, np.load(other / "predictions.npz") as there:
        assert here.files == there.files
        np.testing.assert_array_equal(here["sample_id"], there["sample_id"])
        np.testing.assert_allclose(here["probabilities"], there["probabilities"], atol=1e-3)


def test_papermill_and_snakemake_give_the_same_numbers(by_papermill, by_snakemake):
    assert_same_numbers(by_papermill, by_snakemake)


def test_misspelt_parameter_fails_in_papermill(project):
    folder = project / "reports" / "papermill" / f"{RUN}-misspelt"
    ran = papermill(project, folder, SMALL | MISSPELT)
    assert ran.returncode != 0 and re.search(HINT, ran.stderr)
    assert not (folder / "results.json").exists()


@pytest.fixture(scope="module")
def lab(project) -> Iterator[Callable[[str], str]]:
    with jupyterlab(project, environment(project)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def open_with(browser, lab, project: Path, name: str, parameters: dict):
    """Open a copy of the notebook with other defaults and without outputs, and return the page."""
    notebook = nbformat.read(project / "notebooks" / f"{NOTEBOOK}.ipynb", as_version=4)
    defaults = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    defaults.source += "".join(f"\n{key} = {value!r}" for key, value in parameters.items())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")
    return open_notebook(browser, lab(f"notebooks/{name}.ipynb"))


def saved_errors(page, path: Path) -> list[str]:
    """Save the open notebook and return its error messages; cells out of sight are not in the page."""
    page.keyboard.press("Control+s")
    try:
        cells = nbformat.read(path, as_version=4).cells
    except ValueError:  # while the file is being written
        return []
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.evalue for output in outputs if output.output_type == "error"]


@pytest.mark.browser
def test_jupyterlab_gives_the_numbers_of_papermill_and_refuses_a_misspelt_parameter(
    browser, lab, project, by_papermill
):
    folder = f"reports/jupyterlab/{RUN}"
    own = {"output_dir": folder, "checkpoint_dir": f"{folder}/checkpoints"}
    page = open_with(browser, lab, project, "by_hand", SMALL | own)
    run_all_cells(page, until=(project / folder / "params.yaml").exists)  # the second cell writes it
    deadline = time.monotonic() + SECONDS
    while not (project / folder / "results.json").exists() and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert not errors.count(), errors.first.inner_text()
    assert_same_numbers(by_papermill, project / folder)
    page.close()
    own = {"output_dir": f"{folder}-misspelt"}
    page = open_with(browser, lab, project, "misspelt", SMALL | MISSPELT | own)
    errors: list[str] = []

    def is_refused() -> bool:
        errors[:] = saved_errors(page, project / "notebooks" / "misspelt.ipynb")
        return bool(errors)

    run_all_cells(page, until=is_refused)
    assert re.search(HINT, errors[0])
    assert not (project / own["output_dir"] / "results.json").exists()
    page.close()
