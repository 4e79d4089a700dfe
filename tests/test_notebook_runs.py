"""papermill, Snakemake and JupyterLab's "run all" give the same numbers and refuse the same mistakes.

Everything happens in a copy of the project. Each way has a checkpoint folder of its own, so that a training
found again cannot pass for one that was repeated.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from checkout import copy_project, environment

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
HINT = "unknown parameter 'epoch'; did you mean 'epochs'?"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 300
"""How long one run may take on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project") / "fer", without=("params/",))


def call(project: Path, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=SECONDS
    )


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


def test_a_misspelt_parameter_fails_in_papermill_and_names_the_right_one(project):
    folder = project / "reports" / "papermill" / f"{RUN}-misspelt"
    ran = papermill(project, folder, SMALL | MISSPELT)
    assert ran.returncode != 0
    assert HINT in ran.stderr
    assert not (folder / "results.json").exists()


def test_a_misspelt_parameter_fails_in_snakemake_and_names_the_right_one(project):
    ran = snakemake(project, "misspelt", SMALL | MISSPELT)
    assert ran.returncode != 0
    assert HINT in ran.stderr
    assert not (project / "reports" / "misspelt" / RUN / "results.json").exists()


@pytest.fixture(scope="module")
def lab(project, tmp_path_factory):
    """Start JupyterLab on the copy and yield its address for a notebook."""
    home, token = tmp_path_factory.mktemp("jupyter"), secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser"]
    options += [f"--ServerApp.root_dir={project}", f"--IdentityProvider.token={token}"]
    options += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    own = {"JUPYTER_CONFIG_DIR": home / "config", "JUPYTER_RUNTIME_DIR": home / "runtime"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": home / "settings", "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces"}
    with open(home / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=project,
            env=environment(project) | {name: str(path) for name, path in own.items()},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for_server(server, f"http://127.0.0.1:{port}/api?token={token}", log=home / "log")
        # A workspace for each: in a common one JupyterLab opens the earlier notebooks, too, and its menu and
        # status bar may be about one of those.
        address = f"http://127.0.0.1:{port}/lab/workspaces/{{}}/tree/{{}}?token={token}"
        yield lambda notebook: address.format(Path(notebook).stem, notebook)
    finally:
        server.terminate()  # the server ends its kernels
        server.wait(30)


def _wait_for_server(server: subprocess.Popen, url: str, *, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_in_lab(browser, lab, project: Path, name: str, parameters: dict):
    """Open a copy of the notebook with other defaults and without outputs, and return the page."""
    path = project / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(project / "notebooks" / f"{NOTEBOOK}.ipynb", as_version=4)
    defaults = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    defaults.source = "\n".join(
        [defaults.source, *(f"{key} = {value!r}" for key, value in parameters.items())]
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    page = browser.new_page()
    page.goto(lab(f"notebooks/{name}.ipynb"))
    page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for(timeout=SECONDS * 1000)
    return page


def run_all_cells(page, *, until) -> None:
    """Choose Run > Run All Cells, again where JupyterLab was not ready for it, until `until` is true."""
    started = time.monotonic()
    chosen = 0
    while not until() and time.monotonic() < started + SECONDS:
        if time.monotonic() >= started + 40 * chosen:
            page.keyboard.press("Escape")  # a question whether to wait for the kernel
            page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
            page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
            chosen += 1
        page.wait_for_timeout(1000)


def saved_outputs(page, path: Path) -> list:
    """Save the open notebook and return its outputs.

    The page itself does not do: JupyterLab takes cells that are scrolled out of sight out of the page.
    """
    page.keyboard.press("Control+s")
    try:
        cells = nbformat.read(path, as_version=4).cells
    except ValueError:  # caught while it was being written
        return []
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.browser
def test_jupyterlab_run_all_gives_the_numbers_of_papermill(browser, lab, project, by_papermill):
    folder = project / "reports" / "jupyterlab" / RUN
    own = {
        "output_dir": f"reports/jupyterlab/{RUN}",
        "checkpoint_dir": f"reports/jupyterlab/{RUN}/checkpoints",
    }
    page = open_in_lab(browser, lab, project, "by_hand", SMALL | own)
    run_all_cells(page, until=(folder / "params.yaml").exists)  # the second cell writes it
    deadline = time.monotonic() + SECONDS
    while not (folder / "results.json").exists() and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert not errors.count(), errors.first.inner_text()
    assert_same_numbers(by_papermill, folder)
    page.close()


@pytest.mark.browser
def test_a_misspelt_parameter_fails_in_jupyterlab_and_names_the_right_one(browser, lab, project):
    own = {"output_dir": f"reports/jupyterlab/{RUN}-misspelt"}
    path = project / "notebooks" / "misspelt.ipynb"
    page = open_in_lab(browser, lab, project, "misspelt", SMALL | MISSPELT | own)
    outputs: list = []  # kept, as a second look might come while the file is being written

    def are_saved() -> bool:
        outputs[:] = saved_outputs(page, path)
        return bool(outputs)

    run_all_cells(page, until=are_saved)
    errors = [output for output in outputs if output.output_type == "error"]
    assert errors and HINT in errors[0].evalue
    assert not (project / own["output_dir"] / "results.json").exists()
    page.close()
